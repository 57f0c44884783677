"""Requests that no client library would send, byte by byte."""

from __future__ import annotations

import asyncio


async def send(address: str, head: str, *, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request whose lines are `head`'s to ``127.0.0.1:port``; status and whole answer."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [line.strip() for line in head.strip().splitlines()]
    try:
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), answer

"""The least a download can cost: one HTTP client, msgspec, arrow arrays, one Parquet file at the end.

No budgets, no journal, no coverage, nothing that survives a crash: what dccd's own figure is held against::

    python -m tests.bench.bare_loop --kind klines --rows 525600
    python -m tests.bench.bare_loop --kind trades --rows 1000000 --in-flight 4 --client aiohttp --decode text

It starts a stand-in of its own unless given `--url`, reads every page once beforehand so that the stand-in
has them ready, and prints one line of JSON. The best of several runs counts: a busy machine only slows them.
"""

import argparse
import asyncio
import json
import operator
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.standin_process import stand_in_process

PAGE_ROWS = 1_000
START_MS = 1_704_067_200_000  # 2024-01-01
NOW_MS = START_MS + 500 * 86_400_000
MICRO = {"X-MBX-TIME-UNIT": "MICROSECOND"}
UNLIMITED = ("--weight-limit", str(10**12), "--generated", "--now-ms", str(NOW_MS), "--trades-per-s", "100")

Get = Callable[[str], Awaitable[bytes]]
Decode = Callable[[bytes], Sequence[Sequence[Any]]]
_KLINE = "ts open high low close volume close_ts quote_volume trades taker taker_quote".split()  # noqa: SIM905
_KLINE_INTEGERS = {"ts", "close_ts", "trades"}


class _TextTrade(msgspec.Struct, gc=False):
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - Binance's name
    T: int
    m: bool


class _Trade(msgspec.Struct, gc=False):
    a: int
    p: float
    q: float
    f: int
    l: int  # noqa: E741 - Binance's name
    T: int
    m: bool


_trade_fields = operator.attrgetter("a", "p", "q", "f", "l", "T", "m")
_INTEGER, _FLOAT = pa.int64(), pa.float64()
_KLINE_SCHEMA = pa.schema(
    [pa.field(name, _INTEGER if name in _KLINE_INTEGERS else _FLOAT) for name in _KLINE]
)
_TRADE_SCHEMA = pa.schema(
    [
        *(pa.field(name, _FLOAT if name in "pq" else _INTEGER) for name in "apqflT"),
        pa.field("m", pa.bool_()),
    ]
)
SCHEMAS = {"klines": _KLINE_SCHEMA, "trades": _TRADE_SCHEMA}


def klines_as_text() -> Decode:
    """Decode prices as strings, then call float()."""
    row = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
    decoder = msgspec.json.Decoder(list[row])

    def decode(body: bytes) -> Sequence[Sequence[Any]]:
        columns = list(zip(*decoder.decode(body), strict=True))
        return [
            column if name in _KLINE_INTEGERS else [float(value) for value in column]
            for name, column in zip(_KLINE, columns, strict=False)
        ]

    return decode


def klines_as_floats() -> Decode:
    """Let the decoder read floats out of the strings; bit for bit what float() gives."""
    row = tuple[int, float, float, float, float, float, int, float, int, float, float, str]
    decoder = msgspec.json.Decoder(list[row], strict=False)
    return lambda body: list(zip(*decoder.decode(body), strict=True))[: len(_KLINE)]


def trades_as_text() -> Decode:
    """Decode prices as strings, then call float()."""
    decoder = msgspec.json.Decoder(list[_TextTrade])

    def decode(body: bytes) -> Sequence[Sequence[Any]]:
        ids, prices, sizes, *others = zip(*map(_trade_fields, decoder.decode(body)), strict=True)
        return [ids, [float(price) for price in prices], [float(size) for size in sizes], *others]

    return decode


def trades_as_floats() -> Decode:
    """Let the decoder read floats out of the strings."""
    decoder = msgspec.json.Decoder(list[_Trade], strict=False)
    return lambda body: list(zip(*map(_trade_fields, decoder.decode(body)), strict=True))


DECODERS: dict[tuple[str, str], Callable[[], Decode]] = {
    ("klines", "text"): klines_as_text,
    ("klines", "floats"): klines_as_floats,
    ("trades", "text"): trades_as_text,
    ("trades", "floats"): trades_as_floats,
}


def paths(kind: str, rows: int) -> list[str]:
    """Return the requests that cover so many rows, a page each."""
    whole = range(0, rows, PAGE_ROWS)
    limits = [min(PAGE_ROWS, rows - first) for first in whole]
    if kind == "trades":
        return [
            f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={first}&limit={limit}"
            for first, limit in zip(whole, limits, strict=True)
        ]
    return [
        f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={START_MS + first * 60_000}&limit={limit}"
        for first, limit in zip(whole, limits, strict=True)
    ]


@asynccontextmanager
async def http_client(name: str, url: str) -> AsyncIterator[Get]:
    """Open one client and yield how to get a path's body."""
    if name == "aiohttp":
        async with aiohttp.ClientSession(url, headers=MICRO) as session:

            async def get(path: str) -> bytes:
                async with session.get(path, raise_for_status=True) as answer:
                    return await answer.read()

            yield get
    else:
        async with httpx.AsyncClient(base_url=url, headers=MICRO, timeout=30) as client:

            async def get(path: str) -> bytes:
                return (await client.get(path)).raise_for_status().content

            yield get


async def in_order(get: Get, requests: Iterable[str], in_flight: int) -> AsyncIterator[bytes]:
    """Yield the bodies in the order of their requests, so many under way at once."""
    waiting: list[asyncio.Future[bytes]] = []
    for path in requests:
        waiting.append(asyncio.ensure_future(get(path)))
        if len(waiting) >= in_flight:
            yield await waiting.pop(0)
    for future in waiting:
        yield await future


async def run(url: str, *, kind: str, rows: int, in_flight: int, client: str, decode: str) -> dict[str, Any]:
    """Download, decode and write once; return the figures."""
    requests = paths(kind, rows)
    decoder, schema = DECODERS[kind, decode](), SCHEMAS[kind]

    def batch(body: bytes) -> pa.RecordBatch:
        columns = zip(decoder(body), schema, strict=True)
        return pa.record_batch([pa.array(column, field.type) for column, field in columns], schema=schema)

    async with http_client(client, url) as get:
        async for body in in_order(get, requests, 4):
            last = body
        batch(last)  # arrow's first conversion imports pandas, wherever that is installed
        with tempfile.TemporaryDirectory() as folder:
            started_s, started_cpu_s = time.perf_counter(), time.process_time()
            batches = [batch(body) async for body in in_order(get, requests, in_flight)]
            table = pa.Table.from_batches(batches)
            pq.write_table(table, Path(folder) / "all.parquet", compression="zstd")
            seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    if table.num_rows != rows:
        raise RuntimeError(f"asked for {rows} rows of {kind}, got {table.num_rows}")
    return {
        "what": f"bare loop: {client}, msgspec to {decode}, {in_flight} in flight",
        "kind": kind,
        "rows": rows,
        "requests": len(requests),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_s, 3),
        "rows_per_s": round(rows / seconds),
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
    }


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=["klines", "trades"], default="klines")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--in-flight", type=int, default=1, help="requests under way at once")
    parser.add_argument("--client", choices=["httpx", "aiohttp"], default="httpx")
    parser.add_argument("--decode", choices=["text", "floats"], default="floats")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--url", help="a running stand-in, its budget large enough")
    options = parser.parse_args()
    settings = {name: getattr(options, name) for name in ("kind", "rows", "in_flight", "client", "decode")}
    if options.url:
        print(json.dumps(asyncio.run(run(options.url, **settings))))
        return
    with stand_in_process(*UNLIMITED, "--latency-ms", str(options.latency_ms)) as stand_in:
        print(json.dumps(asyncio.run(run(stand_in.url, **settings))))


if __name__ == "__main__":
    main()

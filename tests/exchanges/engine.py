"""A small, fast HTTP/1.1 server on the loopback address, under every stand-in exchange.

A stand-in subclasses `StandIn` and turns a `Request` into a `Response`; everything else lives here:
keep-alive, latency, faults, the log of requests. It is written on bare asyncio, because a framework's cost
per request would be measured together with the program under test.
"""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal, Self
from urllib.parse import unquote_plus

STATS_PATH = "/_stand_in/stats"
_SEND_BUFFER_BYTES = 1 << 20  # a whole page in one system call
_SLOW_PIECES = 10
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """A request as it came in; `pairs` are the query's parameters in their order, repeated ones included."""

    method: str
    path: str
    pairs: list[tuple[str, str]]
    head: bytes
    received_s: float

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last."""
        return dict(self.pairs)

    @property
    def headers(self) -> dict[str, str]:
        """The headers, their names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }


@dataclass(slots=True)
class Response:
    """An answer; `Content-Length` is added when it is sent, which is all that is `bodiless` has of a body."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"
    bodiless: bool = False


@dataclass(slots=True)
class Fault:
    """Something to go wrong with the requests that match.

    Parameters
    ----------
    kind
        ``answer`` sends `response` instead of the real one, or what `change` makes of that; ``reset`` cuts
        the connection with a TCP reset; ``close`` ends it without an answer; ``truncate`` announces the
        whole body, sends half and ends the connection; ``hang`` never answers; ``slow`` sends the real
        answer in pieces over `delay_s`; ``delay`` sends the real answer `delay_s` later.
    path
        Beginning of the paths it applies to.
    when
        Further condition on the request.
    times
        How many requests it hits before things are normal again; None for ever.
    after
        How many matching requests go by unharmed first.
    """

    kind: Literal["answer", "reset", "close", "truncate", "hang", "slow", "delay"]
    path: str = "/"
    when: Callable[[Request], bool] | None = None
    times: int | None = 1
    after: int = 0
    response: Response | None = None
    change: Callable[[Response], Response] | None = None
    delay_s: float = 0.0

    def strikes(self, request: Request) -> bool:
        """Whether this request is hit; counts down `after` and `times`."""
        if self.times == 0 or not request.path.startswith(self.path):
            return False
        if self.when is not None and not self.when(request):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class StandIn:
    """A server that a stand-in exchange builds on; an async context manager.

    Parameters
    ----------
    port
        0 lets the system choose.
    latency_s
        Wait before each answer; can be changed while running.
    """

    def __init__(self, *, port: int = 0, latency_s: float = 0.0) -> None:
        self.port = port
        self.latency_s = latency_s
        self.faults: list[Fault] = []
        self.log: deque[Request] = deque(maxlen=100_000)
        self.statuses: Counter[int] = Counter()
        self.requests = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self._crashes: list[Exception] = []
        self._connections: set[_Connection] = set()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._server: asyncio.Server | None = None

    def respond(self, request: Request) -> Response:
        """Answer one request; the dialect's whole work."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Address without a path or a final slash."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, path: str = "/", **query: str) -> int:
        """How many logged requests had a path beginning so and these parameters."""
        return sum(1 for r in self.log.copy() if r.path.startswith(path) and query.items() <= r.query.items())

    def stats(self) -> dict[str, Any]:
        """Counters, for a benchmark that runs the stand-in in another process."""
        return {
            "requests": self.requests,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "in_flight_max": self.in_flight_max,
        }

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at now and after each request received or answered."""
        if not condition():
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((condition, future))
            await future

    async def start(self) -> None:
        """Bind and serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=256
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop serving and cut what is open; an error inside the stand-in is raised here."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.transport.abort()
            await self._server.wait_closed()
            await self.until(lambda: not self._connections)
            self._server = None
        if self._crashes:
            raise ExceptionGroup("the stand-in itself failed", self._crashes)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _received(self, request: Request, connection: "_Connection") -> None:
        if request.path == STATS_PATH:
            connection.send(Response(json.dumps(self.stats()).encode()))
            return
        self.requests += 1
        self.log.append(request)
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        fault = next((fault for fault in self.faults if fault.strikes(request)), None)
        try:
            if fault is not None and fault.kind == "answer" and fault.response is not None:
                response = fault.response
            else:
                response = self.respond(request)
                if fault is not None and fault.change is not None:
                    response = fault.change(response)
        except Exception as error:  # noqa: BLE001 - raised again by close(), where the test can see it
            self._crashes.append(error)
            connection.transport.abort()
            return
        if request.method == "HEAD":
            response = replace(response, bodiless=True)
        delay_s = self.latency_s + (fault.delay_s if fault is not None and fault.kind == "delay" else 0.0)
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self._answer, connection, response, fault)
        else:
            self._answer(connection, response, fault)
        self._wake()

    def _answer(self, connection: "_Connection", response: Response, fault: Fault | None) -> None:
        if connection.transport.is_closing():
            return
        match fault.kind if fault is not None else None:
            case "hang":
                return
            case "reset":
                connection.reset()
                return
            case "close":
                connection.transport.close()
                return
            case "truncate":
                connection.send(response, share=0.5)
            case "slow":
                assert fault is not None
                connection.dribble(response, fault.delay_s)
            case _:
                connection.send(response)
        self.statuses[response.status] += 1
        self._wake()

    def _wake(self) -> None:
        if self._waiters:
            for condition, future in self._waiters:
                if not future.done() and condition():
                    future.set_result(None)
            self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._buffer = bytearray()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._stand_in._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stand_in._connections.discard(self)
        self._finished()
        self._stand_in._wake()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._busy or self.transport.is_closing() or (end := self._buffer.find(b"\r\n\r\n")) < 0:
            return
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        method, target, _ = head[: head.index(b"\r\n")].decode("latin-1").split(" ", 2)
        path, _, query = target.partition("?")
        pairs = [_pair(item) for item in query.split("&")] if query else []
        self._busy = True
        self._stand_in.in_flight += 1
        self._stand_in._received(Request(method, path, pairs, head, time.monotonic()), self)

    def send(self, response: Response, *, share: float = 1.0) -> None:
        """Write the answer, or only a share of its body and then the end of the connection."""
        self._finished()
        body = b"" if response.bodiless else response.body
        if share < 1:
            self.transport.write(_head(response) + body[: int(len(body) * share)])
            self.transport.close()
            return
        self.transport.write(_head(response) + body)
        self._next()

    def dribble(self, response: Response, duration_s: float) -> None:
        """Write the answer in equal pieces over `duration_s`."""
        whole = _head(response) + response.body
        size = -(-len(whole) // _SLOW_PIECES)
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        loop = asyncio.get_running_loop()

        def write(index: int) -> None:
            if self.transport.is_closing():
                return
            self.transport.write(pieces[index])
            if index + 1 < len(pieces):
                loop.call_later(duration_s / len(pieces), write, index + 1)
            else:
                self._finished()
                self._next()

        write(0)

    def reset(self) -> None:
        """End the connection with a reset instead of an orderly end."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _finished(self) -> None:
        if self._busy:
            self._busy = False
            self._stand_in.in_flight -= 1


def _pair(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, unquote_plus(value) if "%" in value or "+" in value else value


def _head(response: Response) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@contextlib.contextmanager
def in_thread(stand_in: StandIn) -> Iterator[Callable[..., None]]:
    """Serve from a thread, for code under test that blocks or runs in a process of its own.

    Yields
    ------
    Callable
        ``wait(condition, timeout_s=30.0)`` blocks until the condition holds, as `StandIn.until` does.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with stand_in:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="stand-in") as thread:
        served = thread.submit(asyncio.run, serve())

        def not_started(ended: Future[None]) -> None:
            if not started.done():
                started.set_exception(ended.exception())

        served.add_done_callback(not_started)
        loop, stop = started.result()

        def wait(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
            asyncio.run_coroutine_threadsafe(stand_in.until(condition), loop).result(timeout_s)

        try:
            yield wait
        finally:
            loop.call_soon_threadsafe(stop.set)
            served.result()

from __future__ import annotations

import asyncio
import json
import re
import traceback
from collections.abc import AsyncIterator

import pytest

from dccd.domain.errors import (
    ExchangeError,
    ExchangeRefused,
    ExchangeUnavailable,
    MalformedPayload,
    NetworkError,
    Throttled,
)
from dccd.domain.timeutils import S_NS
from dccd.sources.base import Request, Response
from dccd.sources.binance import BINANCE
from dccd.transport.http import HttpTransport
from dccd.transport.retry import Backoff, Sleep
from tests.exchanges import engine
from tests.exchanges.engine import Fault, StandIn
from tests.unit.transport.fake_clock import START_NS, FakeClock

ASK = Request(
    "spot", "/api/v3/klines", (("symbol", "币安人生USDT"), ("limit", "2")), {"X-MBX-TIME-UNIT": "MICROSECOND"}
)


class Echo(StandIn):
    """Answers with what it was asked."""

    def respond(self, request: engine.Request) -> engine.Response:
        body = json.dumps({"pairs": request.pairs, "headers": request.headers, "method": request.method})
        return engine.Response(body.encode(), headers={"X-MBX-USED-WEIGHT-1M": "42"})


class SteppingClock(FakeClock):
    """Sleeps by moving on at once: for one request at a time, over real sockets."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ns += round(seconds * S_NS)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo() as server:
        yield server


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
async def http(echo: Echo, clock: SteppingClock) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(
        BINANCE,
        urls={"rest_url": echo.url + "/", "futures_url": "http://127.0.0.1:1"},
        units={},
        proxy=None,
        backoff=Backoff(attempts=3),
        now_ns=clock.now_ns,
        sleep=clock.sleep,
    )
    yield transport
    await transport.aclose()


def body(response: Response) -> bytes:
    return response.body


def decoded(response: Response) -> object:
    return json.loads(response.body)


async def test_a_request_arrives_as_it_was_built(http: HttpTransport) -> None:
    asked = json.loads(await http.fetch(ASK, body))
    assert asked["pairs"] == [["symbol", "币安人生USDT"], ["limit", "2"]]
    assert asked["headers"]["x-mbx-time-unit"] == "MICROSECOND"
    assert asked["headers"]["user-agent"] == "dccd"
    assert "gzip" in asked["headers"]["accept-encoding"]


async def test_a_body_is_posted_as_json(http: HttpTransport) -> None:
    asked = json.loads(await http.fetch(Request("spot", "/info", method="POST", body=b'{"a":1}'), body))
    assert asked["method"] == "POST"
    assert asked["headers"]["content-type"] == "application/json"
    assert asked["headers"]["content-length"] == "7"


async def test_header_names_are_lower_case_and_the_time_is_the_exchanges(
    http: HttpTransport, clock: SteppingClock
) -> None:
    http.offsets_ns.update(spot=5 * S_NS, linear=9 * S_NS)
    response = await http.fetch(ASK, lambda response: response)
    assert response.headers["x-mbx-used-weight-1m"] == "42"
    assert response.received_ns == START_NS + 5 * S_NS


@pytest.mark.parametrize("kind", ["reset", "close", "truncate"])
async def test_a_cut_answer_is_asked_for_again(http: HttpTransport, echo: Echo, kind: str) -> None:
    echo.faults.append(Fault(kind))  # type: ignore[arg-type]
    assert await http.fetch(ASK, decoded)
    assert echo.count("/api/v3/klines") == 2


@pytest.mark.parametrize("garbage", [b"", b"<html>", b'[[1,"2"', b"\xff\xfe", b"null", b'{"a":NaN}'])
async def test_garbage_raises_only_our_own_error(http: HttpTransport, echo: Echo, garbage: bytes) -> None:
    echo.faults.append(Fault("answer", times=None, response=engine.Response(garbage)))
    with pytest.raises(MalformedPayload, match="Binance answered /api/v3/klines"):
        await http.fetch(ASK, lambda response: json.loads(response.body)["rows"])
    assert echo.count("/api/v3/klines") == 3


async def test_a_429_silences_the_host_for_as_long_as_it_says(
    http: HttpTransport, echo: Echo, clock: SteppingClock
) -> None:
    refusal = engine.Response(b'{"code":-1003,"msg":"Too much"}', 429, {"Retry-After": "17"})
    echo.faults.append(Fault("answer", response=refusal))
    await http.fetch(ASK, body)
    assert clock.slept == [17.0]
    assert echo.count("/api/v3/klines") == 2


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}])
async def test_a_429_that_names_no_wait_silences_the_host_until_its_next_window(
    http: HttpTransport, echo: Echo, clock: SteppingClock, headers: dict[str, str]
) -> None:
    """For other requests too, of which dozens may be about to go out; the clock is 20 s past a minute."""
    refusal = engine.Response(b'{"code":-1003,"msg":"Too much"}', 429, headers)
    echo.faults.append(Fault("answer", response=refusal))
    with pytest.raises(Throttled):
        await http.fetch(ASK, body, backoff=Backoff(attempts=1))
    await http.fetch(ASK, body)
    assert clock.slept == [40.25]
    echo.faults.append(Fault("answer", response=refusal))
    await http.fetch(ASK, body)
    assert len(clock.slept) == 3  # its own back-off, and what was left of the minute
    assert clock.ns == START_NS + 100 * S_NS + S_NS // 4


async def test_a_gate_that_closes_while_a_request_waits_for_its_budget_holds_it(
    echo: Echo, clock: SteppingClock
) -> None:
    ban = engine.Response(b"", 418, {"Retry-After": "100"})

    async def sleep(seconds: float) -> None:
        if not clock.slept:
            echo.faults.append(Fault("answer", response=ban))
            with pytest.raises(Throttled):
                await transport.fetch(Request("spot", "/", weight=0), body, backoff=Backoff(attempts=1))
        await clock.sleep(seconds)

    transport = transport_to(echo.url, clock, sleep)
    transport.learn({"spot": 6})
    await transport.fetch(Request("spot", "/", weight=5), body)
    await transport.fetch(Request("spot", "/", weight=5), body)
    await transport.aclose()
    assert clock.slept == [40.25, 59.75]
    assert echo.requests == 3


async def test_each_hosts_budgets_go_by_its_own_clock(echo: Echo, clock: SteppingClock) -> None:
    """Our clock is 20 s past a minute and 200 s past five; that of the futures is ten seconds ahead."""
    transport = HttpTransport(
        BINANCE,
        urls={"rest_url": echo.url, "futures_url": echo.url},
        units={"spot": 1, "linear data": 1},
        proxy=None,
        backoff=Backoff(),
        now_ns=clock.now_ns,
        sleep=clock.sleep,
    )
    transport.offsets_ns["linear"] = 10 * S_NS
    for request in (Request("spot", "/"), Request("linear", "/", budget="linear data")):
        clock.ns = START_NS
        for _ in range(2):
            await transport.fetch(request, body)
    await transport.aclose()
    assert clock.slept == [40.25, 90.25]


async def test_a_long_ban_is_an_error_and_later_requests_are_not_even_sent(
    http: HttpTransport, echo: Echo, clock: SteppingClock
) -> None:
    ban = engine.Response(b'{"code":-1003,"msg":"Way too much"}', 418, {"Retry-After": "86400"})
    echo.faults.append(Fault("answer", response=ban))
    for _ in range(2):
        with pytest.raises(Throttled, match="418") as caught:
            await http.fetch(ASK, body)
        assert caught.value.retry_after_s == 86_400
    assert http.waiting() == "Binance (spot) asked for silence; resumes in 86400 s"
    assert echo.count("/api/v3/klines") == 1
    clock.ns += 86_400 * S_NS
    await http.fetch(ASK, body)
    assert http.waiting() is None


async def test_an_overloaded_exchange_is_tried_again_then_said(http: HttpTransport, echo: Echo) -> None:
    echo.faults.append(Fault("answer", times=None, response=engine.Response(b"<html>", 502)))
    with pytest.raises(ExchangeUnavailable, match="HTTP 502"):
        await http.fetch(ASK, body)
    assert echo.count("/api/v3/klines") == 3


async def test_a_json_error_under_http_200_is_an_error(http: HttpTransport, echo: Echo) -> None:
    answer = engine.Response(b'{"code":-1121,"msg":"Invalid symbol."}', 200)
    echo.faults.append(Fault("answer", response=answer))
    with pytest.raises(ExchangeRefused, match=r"Invalid symbol\.") as caught:
        await http.fetch(ASK, body)
    assert caught.value.native_code == "-1121"


async def test_waiting_for_the_allowance_is_said_in_words(echo: Echo) -> None:
    """The clock stands 20 s past a full minute; the window is taken to turn a quarter second late."""
    clock, said = SteppingClock(), []

    async def sleep(seconds: float) -> None:
        said.append(transport.waiting())
        await clock.sleep(seconds)

    transport = HttpTransport(
        BINANCE,
        urls={"rest_url": echo.url},
        units={"spot": 6},
        proxy=None,
        backoff=Backoff(),
        now_ns=clock.now_ns,
        sleep=sleep,
    )
    for _ in range(2):
        await transport.fetch(Request("spot", "/", weight=5), body)
    await transport.aclose()
    assert said == ["Binance allows 6 weight a minute; resumes in 40 s"]
    assert transport.waiting() is None


async def refusal(address: str, clock: SteppingClock) -> str:
    """What is said of an address where no exchange answers."""
    transport = transport_to(address, clock)
    with pytest.raises(NetworkError) as raised:
        await transport.fetch(ASK, body)
    await transport.aclose()
    return str(raised.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("http://127.0.0.1:1", "connection refused"), ("http://nowhere.invalid", "name not found")],
)
async def test_nobody_there_is_two_sentences(clock: SteppingClock, address: str, reason: str) -> None:
    assert await refusal(address, clock) == (
        f"Cannot connect to Binance at {address} ({reason}). "
        "Check the network, or the address in the configuration."
    )


async def test_a_host_without_tls_is_said_in_plain_words(clock: SteppingClock) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await refusal(f"https://127.0.0.1:{port}", clock)
    assert f"https://127.0.0.1:{port} (no secure connection: TLS failed)." in said


@pytest.mark.parametrize("kind", ["reset", "close", "truncate"])
async def test_a_cut_answer_is_said_in_plain_words(http: HttpTransport, echo: Echo, kind: str) -> None:
    echo.faults.append(Fault(kind, times=None))  # type: ignore[arg-type]
    with pytest.raises(
        NetworkError, match=r"No whole answer came from Binance at http://.* \(disconnected\)"
    ):
        await http.fetch(ASK, body)


def transport_to(address: str, clock: SteppingClock, sleep: Sleep | None = None) -> HttpTransport:
    return HttpTransport(
        BINANCE,
        urls={"rest_url": address},
        units={},
        proxy=None,
        backoff=Backoff(attempts=3),
        now_ns=clock.now_ns,
        sleep=sleep or clock.sleep,
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            None,
            r"Cannot connect to Binance at http://.* \(connection refused\); trying again in 1 s",
        ),
        (engine.Response(b"<html>", 502), r"Binance cannot answer now \(HTTP 502\); trying again in 1 s"),
    ],
)
async def test_while_a_request_is_retried_it_says_why(
    echo: Echo, clock: SteppingClock, fault: engine.Response | None, said: str
) -> None:
    heard: list[str | None] = []

    async def sleep(seconds: float) -> None:
        heard.append(transport.waiting())
        await clock.sleep(seconds)
        heard.append(transport.waiting())

    if fault is not None:
        echo.faults.append(Fault("answer", times=None, response=fault))
    transport = transport_to(echo.url if fault is not None else "http://127.0.0.1:1", clock, sleep)
    with pytest.raises(ExchangeError):
        await transport.fetch(ASK, body)
    assert len(heard) == 4
    for before, after in zip(heard[::2], heard[1::2], strict=True):
        assert re.fullmatch(said, before or "")
        assert (after or "").endswith("; trying again now")
    assert transport.waiting() is None  # it gave up, and said so to who asked
    await transport.aclose()


async def test_an_answer_to_anybody_ends_the_waiting_of_that_host(echo: Echo, clock: SteppingClock) -> None:
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await wake.wait()

    transport = transport_to(echo.url, clock, sleep)
    echo.faults.append(Fault("answer", response=engine.Response(b"<html>", 502)))
    retried = asyncio.create_task(transport.fetch(ASK, body))
    await asleep.wait()
    assert transport.waiting() is not None
    await transport.fetch(ASK, body)
    assert transport.waiting() is None
    wake.set()
    await retried
    await transport.aclose()


async def test_the_password_of_a_proxy_is_never_said(clock: SteppingClock) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    heads: list[bytes] = []
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport = HttpTransport(
            BINANCE,
            urls={"rest_url": "https://exchange.invalid"},
            units={},
            proxy=f"http://somebody:SECRETPW@127.0.0.1:{port}",
            backoff=Backoff(attempts=2),
            now_ns=clock.now_ns,
            sleep=clock.sleep,
        )
        with pytest.raises(NetworkError, match="the proxy answers with HTTP 407") as caught:
            await transport.fetch(ASK, body)
        await transport.aclose()
    assert heads[0].startswith(b"CONNECT exchange.invalid:443")
    assert len(heads) == 2
    assert "SECRETPW" not in "".join(traceback.format_exception(caught.value))
    assert "somebody" not in str(caught.value)


async def test_learned_allowances_give_way_to_those_set_by_hand(clock: SteppingClock) -> None:
    http = HttpTransport(
        BINANCE,
        urls={},
        units={"linear": 100},
        proxy=None,
        backoff=Backoff(),
        now_ns=clock.now_ns,
        sleep=clock.sleep,
    )
    http.learn({"spot": 3000, "linear": 5000, "nothing": 1})
    assert http.units(Request("spot", "/")) == 3000
    assert http.units(Request("linear", "/")) == 100

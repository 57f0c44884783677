"""The stand-in holds the rules of the exchange it stands for."""

import asyncio
import datetime as dt
import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response, in_thread

NOW_MS = 1_760_000_040_500  # 2025-10-09T08:54:00.5Z
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SPOT = "/api/v3/klines?symbol=BTCUSDT&interval=1m"


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn(now_ms=NOW_MS) as stand_in:
        yield stand_in


@pytest.fixture
async def http(exchange: BinanceStandIn) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=exchange.url, timeout=5) as client:
        yield client


async def rows(http: httpx.AsyncClient, path: str, **headers: str) -> Any:
    answer = await http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refusal(http: httpx.AsyncClient, path: str) -> tuple[int, int]:
    answer = await http.get(path)
    return answer.status_code, answer.json()["code"]


class TestKlines:
    async def test_bounds_are_inclusive_on_the_open_time(self, http: httpx.AsyncClient) -> None:
        start = NOW_MS - NOW_MS % MINUTE_MS - 50 * MINUTE_MS
        got = await rows(http, f"{SPOT}&startTime={start}&endTime={start + 2 * MINUTE_MS}")
        assert [row[0] for row in got] == [start, start + MINUTE_MS, start + 2 * MINUTE_MS]
        got = await rows(http, f"{SPOT}&startTime={start + 1}&endTime={start + 2 * MINUTE_MS - 1}")
        assert [row[0] for row in got] == [start + MINUTE_MS]

    async def test_a_start_gives_the_oldest_rows_and_no_start_the_newest(
        self, http: httpx.AsyncClient
    ) -> None:
        start = NOW_MS - NOW_MS % MINUTE_MS - 5_000 * MINUTE_MS
        got = await rows(http, f"{SPOT}&startTime={start}&limit=3")
        assert [row[0] for row in got] == [start + n * MINUTE_MS for n in range(3)]
        got = await rows(http, f"{SPOT}&endTime={start}&limit=3")
        assert [row[0] for row in got] == [start - n * MINUTE_MS for n in (2, 1, 0)]
        got = await rows(http, f"{SPOT}&limit=2")
        assert got[-1][0] == NOW_MS - NOW_MS % MINUTE_MS

    async def test_pages_join_into_the_same_series_whatever_their_size(self, http: httpx.AsyncClient) -> None:
        start = NOW_MS - 9_000 * MINUTE_MS
        whole = list(
            itertools.chain.from_iterable(
                [
                    await rows(http, f"{SPOT}&startTime={start + n * 1_000 * MINUTE_MS}&limit=1000")
                    for n in range(9)
                ]
            )
        )
        parts = [await rows(http, f"{SPOT}&startTime={row[0]}&limit=1") for row in whole[::500]]
        assert [part[0] for part in parts] == whole[::500]
        for row, following in itertools.pairwise(whole):
            assert row[6] + 1 == following[0]
            assert row[4] == following[1]
            assert float(row[3]) <= min(float(row[1]), float(row[4]))
            assert float(row[2]) >= max(float(row[1]), float(row[4]))

    async def test_the_last_bar_is_open_and_changes_until_its_minute_ends(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        (early,) = await rows(http, f"{SPOT}&limit=1")
        exchange.now_ms = NOW_MS - NOW_MS % MINUTE_MS + MINUTE_MS - 1
        (late,) = await rows(http, f"{SPOT}&limit=1")
        exchange.now_ms += 1
        closed, following = await rows(http, f"{SPOT}&limit=2")
        assert early[0] == late[0] == closed[0] == following[0] - MINUTE_MS
        assert early[6] == late[6] == early[0] + MINUTE_MS - 1
        assert float(early[5]) < float(late[5])
        assert late == closed

    async def test_spot_gives_its_most_where_futures_refuse(self, http: httpx.AsyncClient) -> None:
        assert len(await rows(http, f"{SPOT}&limit=5000")) == 1_000
        futures = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m"
        assert len(await rows(http, f"{futures}&limit=1500")) == 1_500
        assert await refusal(http, f"{futures}&limit=1501") == (400, -1130)
        assert await refusal(http, f"{SPOT}&limit=0") == (400, -1130)

    async def test_microseconds_on_request(self, http: httpx.AsyncClient) -> None:
        path = f"{SPOT}&startTime={NOW_MS - DAY_MS}&limit=2"
        plain = await rows(http, path)
        micro = await rows(http, path, **{"X-MBX-TIME-UNIT": "MICROSECOND"})
        assert [[row[0] * 1_000, *row[1:6], row[6] * 1_000 + 999, *row[7:]] for row in plain] == micro
        assert await rows(http, f"{SPOT}&startTime={(NOW_MS - DAY_MS) * 1_000}&limit=2") == plain
        path = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1"
        assert await rows(http, path, **{"X-MBX-TIME-UNIT": "MICROSECOND"}) == await rows(http, path)

    @pytest.mark.parametrize(
        ("span", "opens"),
        [
            ("1w", ["2025-09-29", "2025-10-06"]),
            ("1M", ["2025-09-01", "2025-10-01"]),
            ("1d", ["2025-10-08", "2025-10-09"]),
        ],
    )
    async def test_long_spans_open_where_the_calendar_says(
        self, http: httpx.AsyncClient, span: str, opens: list[str]
    ) -> None:
        got = await rows(http, f"/api/v3/klines?symbol=ETHUSDT&interval={span}&limit=2")
        assert [dt.datetime.fromtimestamp(row[0] / 1_000, dt.UTC).date().isoformat() for row in got] == opens

    async def test_coin_margined_klines_count_from_the_end_within_200_days(
        self, http: httpx.AsyncClient
    ) -> None:
        path = "/dapi/v1/klines?symbol=BTCUSD_PERP&interval=1h&limit=10"
        start = NOW_MS - NOW_MS % HOUR_MS - 300 * DAY_MS
        got = await rows(http, f"{path}&startTime={start}&endTime={start + 100 * HOUR_MS}")
        assert [row[0] for row in got] == [start + n * HOUR_MS for n in range(91, 101)]
        got = await rows(http, f"{path}&startTime={start}")
        assert got[-1][0] == start + 200 * DAY_MS
        assert await refusal(http, f"{path}&startTime={start}&endTime={start + 200 * DAY_MS + 1}") == (
            400,
            -4088,
        )


class TestTrades:
    PATH = "/api/v3/aggTrades?symbol=BTCUSDT"

    async def test_ids_are_consecutive_and_share_milliseconds(self, http: httpx.AsyncClient) -> None:
        got = await rows(http, f"{self.PATH}&fromId=7990&limit=1000")
        assert [row["a"] for row in got] == list(range(7_990, 8_990))
        times = [row["T"] for row in got]
        assert times == sorted(times)
        assert len(set(times)) < 0.7 * len(times)
        assert all(row["l"] + 1 == following["f"] for row, following in itertools.pairwise(got))

    async def test_a_time_window_is_inclusive_at_both_ends(self, http: httpx.AsyncClient) -> None:
        (some, *_) = await rows(http, f"{self.PATH}&fromId=5000&limit=1")
        around = await rows(http, f"{self.PATH}&fromId=4900&limit=200")
        got = await rows(http, f"{self.PATH}&startTime={some['T']}&endTime={some['T']}")
        assert got == [row for row in around if row["T"] == some["T"]]
        assert some in got

    async def test_without_bounds_the_most_recent(self, http: httpx.AsyncClient) -> None:
        got = await rows(http, self.PATH)
        assert len(got) == 500
        assert NOW_MS - 1_000 < got[-1]["T"] <= NOW_MS

    async def test_microseconds_keep_the_order(self, http: httpx.AsyncClient) -> None:
        plain = await rows(http, f"{self.PATH}&fromId=800&limit=800")
        micro = await rows(http, f"{self.PATH}&fromId=800&limit=800", **{"X-MBX-TIME-UNIT": "microsecond"})
        times = [row["T"] for row in micro]
        assert times == sorted(times)
        assert [time // 1_000 for time in times] == [row["T"] for row in plain]

    async def test_an_id_and_a_time_do_not_go_together(self, http: httpx.AsyncClient) -> None:
        assert await refusal(http, f"{self.PATH}&fromId=1&startTime=1") == (400, -1128)

    async def test_futures_windows_are_under_an_hour(self, http: httpx.AsyncClient) -> None:
        path = "/fapi/v1/aggTrades?symbol=BTCUSDT"
        start = NOW_MS - DAY_MS
        assert await refusal(http, f"{path}&startTime={start}&endTime={start + HOUR_MS}") == (400, -1127)
        got = await rows(http, f"{path}&startTime={start}&endTime={start + HOUR_MS - 1}")
        assert "M" not in got[0]


class TestFutures:
    async def test_funding_ascends_from_the_start(self, http: httpx.AsyncClient) -> None:
        path = "/fapi/v1/fundingRate?symbol=BTCUSDT"
        got = await rows(http, f"{path}&startTime={NOW_MS - 30 * DAY_MS}&limit=1000")
        times = [row["fundingTime"] for row in got]
        assert len(got) == 90
        assert times == sorted(times)
        assert {time // 1_000 % (8 * 3_600) for time in times} == {0}
        (same,) = await rows(http, f"{path}&startTime={times[4]}&endTime={times[4]}")
        assert same == got[4]
        old = await rows(http, f"{path}&startTime=1600000000000&limit=1")
        assert old[0]["markPrice"] == ""
        assert await rows(http, "/dapi/v1/fundingRate?symbol=BTCUSD_270326") == []

    async def test_open_interest_history_reaches_back_30_days(self, http: httpx.AsyncClient) -> None:
        path = "/futures/data/openInterestHist?period=1h&limit=500"
        got = await rows(http, f"{path}&symbol=BTCUSDT&startTime={NOW_MS - 30 * DAY_MS}")
        assert len(got) == 500
        assert got[-1]["timestamp"] == NOW_MS - NOW_MS % HOUR_MS
        assert await refusal(http, f"{path}&symbol=BTCUSDT&startTime={NOW_MS - 30 * DAY_MS - 1}") == (
            400,
            -1130,
        )
        (coins, *_) = await rows(http, f"{path}&pair=BTCUSD&contractType=PERPETUAL")
        assert coins["pair"] == "BTCUSD"

    async def test_dated_contracts_begin_and_end(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        (entry,) = (e for e in exchange.listings["usdm"] if e["symbol"] == "BTCUSDT_260327")
        exchange.now_ms = entry["deliveryDate"] + DAY_MS
        path = "/fapi/v1/klines?symbol=BTCUSDT_260327&interval=1h"
        assert (await rows(http, f"{path}&startTime=0&limit=1"))[0][0] == entry["onboardDate"]
        assert (await rows(http, f"{path}&limit=1"))[0][6] == entry["deliveryDate"] - 1

    async def test_order_books(self, http: httpx.AsyncClient) -> None:
        for path, count in (
            ("/api/v3/depth?symbol=BTCUSDT&limit=6000", 5_000),
            ("/dapi/v1/depth?symbol=BTCUSD_PERP", 500),
        ):
            book = await rows(http, path)
            assert len(book["bids"]) == len(book["asks"]) == count
            assert float(book["bids"][0][0]) < float(book["asks"][0][0])
        assert await refusal(http, "/fapi/v1/depth?symbol=BTCUSDT&limit=7") == (400, -4021)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v3/klines?symbol=NOSUCH&interval=1m", -1121),
        ("/fapi/v1/klines?symbol=ETHBTC&interval=1m", -1121),
        ("/api/v3/klines?symbol=BTCUSDT&interval=7m", -1120),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1s", -1120),
        ("/api/v3/klines?interval=1m", -1102),
        ("/api/v3/klines?symbol=&interval=1m", -1105),
        ("/api/v3/klines?symbol=btcusdt&interval=1m", -1100),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=2024-01-01", -1100),
        ("/api/v3/klines?symbol=BTCUSDT&symbol=BTCUSDT&interval=1m", -1101),
        ("/api/v3/aggTrades?symbol=BTCUSDT&limit=1&fromId=1&a=1&b=1&c=1", -1101),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m&since=1", -1104),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=2&endTime=1", -1023),
        ("/api/v3/exchangeInfo?symbol=NOSUCH", -1121),
    ],
)
async def test_bad_parameters(http: httpx.AsyncClient, path: str, code: int) -> None:
    assert await refusal(http, path) == (400, code)


class TestWeights:
    @pytest.mark.parametrize(
        ("path", "weight"),
        [
            ("/api/v3/ping", 1),
            ("/api/v3/exchangeInfo", 20),
            (SPOT, 2),
            ("/api/v3/aggTrades?symbol=BTCUSDT", 4),
            ("/api/v3/depth?symbol=BTCUSDT&limit=100", 5),
            ("/api/v3/depth?symbol=BTCUSDT&limit=101", 25),
            ("/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
            ("/api/v3/depth?symbol=BTCUSDT&limit=5000", 250),
            ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=99", 1),
            ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=499", 2),
            ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1000", 5),
            ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1001", 10),
            ("/fapi/v1/aggTrades?symbol=BTCUSDT", 20),
            ("/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
            ("/fapi/v1/fundingRate?symbol=BTCUSDT", 0),
            ("/api/v3/klines?symbol=NOSUCH&interval=1m", 2),
        ],
    )
    async def test_each_request_costs_what_the_documentation_says(
        self, http: httpx.AsyncClient, path: str, weight: int
    ) -> None:
        assert int((await http.get(path)).headers["X-MBX-USED-WEIGHT-1M"]) == weight

    async def test_a_429_says_how_long_until_the_minute_ends(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        exchange.budgets["spot"].limit = 4
        assert [(await http.get(SPOT)).status_code for _ in range(3)] == [200, 200, 429]
        answer = await http.get(SPOT)
        assert answer.headers["Retry-After"] == str(60 - NOW_MS % MINUTE_MS // 1_000)
        assert answer.json()["code"] == -1003
        exchange.now_ms += int(answer.headers["Retry-After"]) * 1_000
        assert (await http.get(SPOT)).headers["X-MBX-USED-WEIGHT-1M"] == "2"
        assert exchange.statuses[429] == 2

    async def test_ignored_429s_end_in_a_418_that_outlasts_the_minute(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        exchange.budgets["spot"].limit = 2
        exchange.budgets["spot"].patience = 3
        statuses = [(await http.get(SPOT)).status_code for _ in range(7)]
        assert statuses == [200, 429, 429, 429, 429, 418, 418]
        exchange.now_ms += 119_000
        banned = await http.get(SPOT)
        assert (banned.status_code, banned.headers["Retry-After"]) == (418, "1")
        assert (await http.get("/fapi/v1/ping")).status_code == 200
        exchange.now_ms += 1_000
        assert (await http.get(SPOT)).status_code == 200

    async def test_funding_has_a_budget_of_five_minutes(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        exchange.budgets["funding"].limit = 1
        path = "/fapi/v1/fundingRate?symbol=BTCUSDT"
        assert [(await http.get(path)).status_code for _ in range(2)] == [200, 429]
        assert (await http.get("/fapi/v1/ping")).status_code == 200


class TestListing:
    async def test_generated_symbols_are_listed_in_the_real_form(self, http: httpx.AsyncClient) -> None:
        for path, symbol in (
            ("/api/v3/exchangeInfo", "币安人生USDT"),
            ("/fapi/v1/exchangeInfo", "BTCUSDT_260327"),
            ("/dapi/v1/exchangeInfo", "BTCUSD_PERP"),
        ):
            info = await rows(http, path)
            (entry,) = (entry for entry in info["symbols"] if entry["symbol"] == symbol)
            assert {each["filterType"] for each in entry["filters"]} >= {"PRICE_FILTER", "LOT_SIZE"}
            assert await rows(http, path.replace("exchangeInfo", f"klines?symbol={symbol}&interval=1h"))
        assert entry["contractType"] == "PERPETUAL"
        assert entry["contractStatus"] == "TRADING"

    async def test_one_symbol(self, http: httpx.AsyncClient) -> None:
        info = await rows(http, '/api/v3/exchangeInfo?symbols=["BTCUSDT","ETHBTC"]')
        assert [entry["symbol"] for entry in info["symbols"]] == ["BTCUSDT", "ETHBTC"]


class TestFaults:
    async def test_faults_pass_and_then_all_is_normal(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        good = (await http.get(SPOT)).content
        exchange.faults += [
            Fault(
                "answer",
                path="/api/v3/klines",
                after=1,
                response=Response(b"<html>", 503, {"Retry-After": "3"}),
            ),
            Fault("reset", path="/api/v3/klines"),
            Fault("truncate", path="/api/v3/klines"),
            Fault("close", path="/api/v3/klines"),
        ]
        with pytest.raises(httpx.ReadError):
            await http.get(SPOT)
        answer = await http.get(SPOT)
        assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (503, "<html>", "3")
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(SPOT)
        assert (await http.get(SPOT)).content == good

    async def test_a_slow_answer_comes_whole(self, exchange: BinanceStandIn, http: httpx.AsyncClient) -> None:
        good = (await http.get(SPOT)).content
        exchange.faults.append(Fault("slow", delay_s=0.05))
        assert (await http.get(SPOT)).content == good

    async def test_a_hanging_answer_never_comes(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        exchange.faults.append(Fault("hang", when=lambda request: request.query.get("limit") == "3"))
        pending = asyncio.ensure_future(http.get(f"{SPOT}&limit=3"))
        await exchange.until(lambda: exchange.count("/api/v3/klines", limit="3") == 1)
        assert (await http.get(SPOT)).status_code == 200
        assert not pending.done()
        assert exchange.in_flight == 1
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending

    async def test_latency_holds_answers_back_but_not_each_other(
        self, exchange: BinanceStandIn, http: httpx.AsyncClient
    ) -> None:
        exchange.latency_s = 0.05
        await asyncio.gather(*(http.get(SPOT) for _ in range(5)))
        assert exchange.in_flight_max == 5

    async def test_an_error_inside_the_stand_in_fails_the_test(self) -> None:
        stand_in = BinanceStandIn(now_ms=NOW_MS)
        with pytest.RaisesGroup(NotImplementedError):
            async with stand_in, httpx.AsyncClient(base_url=stand_in.url) as client:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get(f"{SPOT}&timeZone=8")


def test_it_serves_from_a_thread() -> None:
    stand_in = BinanceStandIn(now_ms=NOW_MS)
    with in_thread(stand_in) as wait:
        assert httpx.get(stand_in.url + SPOT).status_code == 200
        wait(lambda: stand_in.requests == 1)


def test_it_runs_by_hand_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "tests.exchanges.binance", "--generated", "--now-ms", str(NOW_MS)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        try:
            assert httpx.get(f"{url}/api/v3/time").json() == {"serverTime": NOW_MS}
        finally:
            process.terminate()
        assert f'rest_url = "{url}"' in process.stdout.read()
    assert process.returncode == 0


@pytest.mark.needs("shared")
async def test_recorded_rows_are_served_word_for_word(shared: Path) -> None:
    path = shared / "datasets/binance_klines/BTCUSDT_1h.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()
    async with BinanceStandIn(shared=shared) as stand_in, httpx.AsyncClient(base_url=stand_in.url) as http:
        body = b""
        for start in range(0, 3_000, 1_000):
            first = json.loads(lines[start])[0]
            answer = await http.get(f"/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000&startTime={first}")
            body += answer.content[1:-1] + b","
        assert body.rstrip(b",").replace(b"],[", b"]\n[").splitlines() == lines[:3_000]
        trades = (await http.get("/api/v3/aggTrades?symbol=XRPETH&fromId=13519807&limit=1000")).json()
        assert [trade["a"] for trade in trades] == list(range(13_519_807, 13_520_807))
        assert trades[0]["p"] == "0.00141342"

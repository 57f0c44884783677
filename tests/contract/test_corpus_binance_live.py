"""Every recorded WebSocket message of Binance whose channel we listen to, and a whole recorded feed."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dccd.domain.book import BookSync, BookUpdate
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, US_NS
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Response, Rows, Target
from dccd.sources.binance import BINANCE
from dccd.transport.live import LiveConnection
from tests.contract.corpus import RECORDED, Case, rest_cases, ws_cases
from tests.contract.excused_binance import EXCUSED_LIVE

CHANNELS = {
    "trades",
    "agg_trades",
    "ohlcv",
    "book",
    "book_delta",
    "book_snapshot",
    "error",
    "heartbeat",
    "session",
}
MARKETS = {"spot": Market.SPOT, "usdm": Market.LINEAR, "coinm": Market.INVERSE} | {
    f"{market}_{kind}": market for market in (Market.LINEAR, Market.INVERSE) for kind in ("future", "swap")
}
CASES = ws_cases("binance", CHANNELS)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
BOOKS = BINANCE.streams[DataType.BOOK_UPDATES]
CONTRACT_SIZE = 100.0
# What the recorded sessions have beside what we listen to.
OTHERS = {"bookTicker"}
# Books that were recorded together with a snapshot, by the name of the one and of the other.
JOINED = {
    "cf_BINANCE_book_delta_lrcbtc": "cf_BINANCE_api-v3-depth-symbol-LRCBTC-limit-1000",
    "cf_BINANCE_book_delta_nknusdt": "cf_BINANCE_api-v3-depth-symbol-NKNUSDT-limit-1000",
    "cf_BINANCE_book_delta_runeeur": "cf_BINANCE_api-v3-depth-symbol-RUNEEUR-limit-1000",
    "cf_BINANCE_FUTURES_book_delta_ctkusdt": "cf_BINANCE_FUTURES_fapi-v1-depth-symbol-CTKUSDT-limit-1000",
    "cf_BINANCE_DELIVERY_book_delta_bchusd_perp": (
        "cf_BINANCE_DELIVERY_dapi-v1-depth-symbol-BCHUSD-PERP-limit-1000"
    ),
}
SNAPSHOTS = rest_cases("binance", {"book_snapshot"})

pytestmark = pytest.mark.needs("shared")


def target(market: Market, native: str) -> Target:
    kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
    settle = None if market is Market.SPOT else "X"
    size = CONTRACT_SIZE if market is Market.INVERSE else None
    return Target(Instrument("binance", Symbol("X", "Y", settle), native, market, kind, contract_size=size))


def unit_ns(market: Market) -> int:
    """Spot is asked for microseconds; recorded in milliseconds, its times are read a thousandth as large."""
    return US_NS if market is Market.SPOT else MS_NS


def market_of(name: str) -> Market:
    return MARKETS[CASES[name].market]


def frames(case: Case) -> Iterator[bytes]:
    """Messages as a connection of many streams has them; those of one stream come without its name."""
    for frame in case.frames:
        data = json.loads(frame)
        if "e" not in data:
            yield frame
            continue
        kind = {"kline": "kline_" + data.get("k", {}).get("i", ""), "depthUpdate": "depth@100ms"}
        stream = f"{data['s'].lower()}@{kind.get(data['e'], data['e'])}"
        yield b'{"stream":"%s","data":%s}' % (stream.encode(), frame)


def told(name: str, kind: str) -> list[Any]:
    """Events of a kind, read by another parser than ours."""
    events = (json.loads(frame).get("data", {}) for frame in frames(CASES[name]))
    return [event for event in events if event.get("e") == kind]


def connection(market: Market, texts: list[bytes]) -> LiveConnection:
    """One that listens to all streams of some messages."""
    feed = BOOKS.feeds[market]
    found = LiveConnection("Binance", feed, "ws://127.0.0.1:1")
    for stream in {json.loads(text).get("stream", "") for text in texts}:
        symbol, name, detail = re.fullmatch("([^@]*)@?([a-zA-Z]*)[@_]?(.*)", stream).groups()  # type: ignore[union-attr]
        found.targets[Channel(name, symbol, detail)] = target(market, symbol.upper())
    return found


def read(name: str) -> list[Message]:
    texts = list(frames(CASES[name]))
    listening = connection(market_of(name), texts)
    messages = [message for text in texts for message in listening.read(text)]
    assert all(isinstance(message, Rows | Change) for message in messages)
    return messages


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def asserted(case: Case) -> dict[str, float]:
    """What another parser's tests expect, where it is a number."""
    found = {}
    for text in case.expected["asserts"] if isinstance(case.expected, dict) else ():
        parts = [part.strip().removesuffix(".unwrap()") for part in text.split(", ")]
        numbers = [part.removeprefix("Some(").removesuffix(")") for part in parts]
        for field, number in zip(parts, numbers[::-1], strict=True):
            if re.fullmatch(r"[a-z_.\[\]0-9]*[a-z_]", field) and re.fullmatch(r"[0-9.]+", number):
                found[field.partition(".")[2]] = float(number)
    return found


@pytest.mark.parametrize("name", [*of("trades"), *of("agg_trades")])
def test_trades(name: str) -> None:
    rows = [message.columns for message in read(name) if isinstance(message, Rows)]
    stated = told(name, "aggTrade")
    unit = unit_ns(market_of(name))
    assert [row["ts"] for row in rows] == [[trade["T"] * unit] for trade in stated]
    assert [row["price"] for row in rows] == [[float(trade["p"])] for trade in stated]
    assert [row["amount"] for row in rows] == [[float(trade["q"])] for trade in stated]
    assert [row["tid_num"] for row in rows] == [[trade["a"]] for trade in stated]
    assert [row["side"] for row in rows] == [["sell" if trade["m"] else "buy"] for trade in stated]
    ids = [trade["a"] for trade in stated]
    if CASES[name].seq:
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    expected = asserted(CASES[name])
    assert rows[0]["price"] == [expected.get("price", rows[0]["price"][0])]
    assert rows[0]["amount"] == [expected.get("quantity_contract", rows[0]["amount"][0])]


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    messages = [message for message in read(name) if isinstance(message, Rows)]
    market = market_of(name)
    unit = unit_ns(market)
    for message, event in zip(messages, told(name, "kline"), strict=True):
        bar, row = event["k"], {column: values[0] for column, values in message.columns.items()}
        assert row["ts"] == bar["t"] * unit
        assert message.open_from_ns == (bar["T"] + 1 if bar["x"] else bar["t"]) * unit
        fields = {"open": "o", "high": "h", "low": "l", "close": "c", "trades": "n"}
        assert {column: row[column] for column in fields} == {
            column: float(bar[field]) for column, field in fields.items()
        }
        base, quote = ([float(bar[field]) for field in pair] for pair in ("vV", "qQ"))
        if market is Market.INVERSE:
            base, quote = quote, [contracts * CONTRACT_SIZE for contracts in base]
        assert [row["volume"], row["taker_buy_volume"]] == base
        assert [row["quote_volume"], row["taker_buy_quote_volume"]] == quote
        for column, number in asserted(CASES[name]).items():
            # Of inverse contracts worth something else than ours it would be another.
            if column != "quote_volume" or market is not Market.INVERSE:
                assert row.get(column, number) == number


@pytest.mark.parametrize("name", [*of("book_delta"), *(name for name in of("book") if not CASES[name].seq)])
def test_changes_of_books(name: str) -> None:
    updates = [message.update for message in read(name) if isinstance(message, Change)]
    unit = unit_ns(market_of(name))
    for update, book in zip(updates, told(name, "depthUpdate"), strict=True):
        assert [[level.price, level.amount] for level in update.bids] == book["b"]
        assert [[level.price, level.amount] for level in update.asks] == book["a"]
        assert update.ts_ns == book.get("T", book["E"]) * unit
        assert (update.seq, update.follows) == (book["u"], book.get("pu", book["U"] - 1))
    if CASES[name].seq:
        assert [update.follows for update in updates[1:]] == [update.seq for update in updates[:-1]]
    expected = asserted(CASES[name])
    for field, number in expected.items():
        if place := re.fullmatch(r"(bids|asks)\[(\d)\]\.(price|quantity_contract)", field):
            level = getattr(updates[0], place[1])[int(place[2])]
            assert float(level.price if place[3] == "price" else level.amount) == number
    assert (updates[0].seq, updates[0].follows) == (
        expected.get("seq_id", updates[0].seq), expected.get("prev_seq_id", updates[0].follows)
    )  # fmt: skip
    for update, shown in zip(
        updates, CASES[name].expected if isinstance(CASES[name].expected, list) else (), strict=False
    ):
        for levels, wanted in ((update.bids, shown["bids"]), (update.asks, shown["asks"])):
            assert [(float(level.price), float(level.amount)) for level in levels] == [
                (level["price"], level["amount"]) for level in wanted
            ]


def snapshot(market: Market, body: bytes) -> BookUpdate:
    assert BOOKS.start is not None
    return BOOKS.start.parse(target(market, "X"), Response(200, {}, body))


def joined(market: Market, texts: list[bytes], place: int, start: BookUpdate) -> BookSync:
    """A book after some of its messages, a snapshot that came then, and the rest; it is never crossed."""
    sync, listening = BookSync(joins=True), connection(market, texts)
    taken = 0
    for number, text in enumerate(texts):
        if number == place:
            taken += len(sync.take(start)) - 1
            assert sync.is_whole
        (message,) = listening.read(text)
        assert isinstance(message, Change)
        taken += len(sync.take(message.update))
        if sync.is_whole and all(best := [sync.book.best(side, 1) for side in ("bid", "ask")]):
            assert float(best[0][0].price) < float(best[1][0].price)
    assert taken > 0
    return sync


@pytest.mark.parametrize("name", [name for name in of("book") if CASES[name].seq])
def test_recorded_books_are_joined_to_the_snapshot_among_them(name: str) -> None:
    texts = [text for text in frames(CASES[name]) if b'"stream"' in text]
    ((place, start),) = (
        (number, text) for number, text in enumerate(frames(CASES[name])) if b'"stream"' not in text
    )
    assert len(joined(market_of(name), texts, place, snapshot(market_of(name), start)).book) > 1000


@pytest.mark.parametrize("name", JOINED)
def test_recorded_books_are_joined_to_a_snapshot_of_the_same_recording(name: str) -> None:
    texts = list(frames(CASES[name]))
    market, start = market_of(name), SNAPSHOTS[JOINED[name]].response.body
    asked_at = json.loads(start)["lastUpdateId"]
    later = [place for place, text in enumerate(texts) if json.loads(text)["data"]["u"] > asked_at]
    joined(market, texts, later[0] if later else len(texts) - 1, snapshot(market, start))


def test_a_change_that_is_partly_in_the_snapshot_already() -> None:
    """Tardis's messages of GNT/BTC: two, a snapshot from within the second, one that begins before it."""
    early = [bytes(CASES[f"tn_binance_binance_messages_{number}"].payload) for number in (7, 8, 10)]
    shown = CASES["tn_binance_binance_messages_9"]
    start = msgspec.json.encode(json.loads(bytes(shown.payload))["data"])
    sync, listening = BookSync(joins=True), connection(Market.SPOT, early)
    updates = [
        message.update for text in early for message in listening.read(text) if isinstance(message, Change)
    ]
    assert [sync.take(update) for update in updates[:2]] == [[], []]
    begun = snapshot(Market.SPOT, start)
    assert sync.take(begun) == [begun, updates[1]]
    (expected,) = shown.expected
    for side, levels in (("bid", expected["bids"]), ("ask", expected["asks"])):
        assert [(float(level.price), float(level.amount)) for level in sync.book.best(side)] == [  # type: ignore[arg-type]
            (level["price"], level["amount"]) for level in levels
        ]
    assert sync.take(updates[2]) == [updates[2]]


@pytest.mark.parametrize("name", of("session"))
def test_sessions(name: str) -> None:
    texts = list(frames(CASES[name]))
    listening = connection(market_of(name), texts)
    read = Counter(type(message).__name__ for text in texts for message in listening.read(text))
    others = sum(json.loads(text)["stream"].partition("@")[2] in OTHERS for text in texts)
    assert read["Rows"] + read["Change"] == len(texts) - others
    assert read["Unknown"] == others


def feed(shared: Path, file: str) -> tuple[list[bytes], list[int], dict[int, bytes]]:
    """Changes of a recorded feed, ids of its fills, and snapshots by the number of changes before them."""
    texts: list[bytes] = []
    fills, starts = [], {}
    with gzip.open(shared / "datasets" / "binance_feed" / file) as lines:
        for line in lines:
            text = line.partition(b" ")[2].strip()
            if b'"lastUpdateId"' in text[:40]:
                starts[len(texts)] = text
            elif b"@depth@" in text[:40]:
                texts.append(text)
            elif b"@trade" in text[:40]:
                fills.append(json.loads(text)["data"]["t"])
    return texts, fills, starts


def test_a_recorded_feed_of_spot_is_followed_without_a_hole(shared: Path) -> None:
    """Its trades are of the other kind, one for each fill: their ids are continuous too."""
    texts, fills, starts = feed(shared, "spot_btcusdt_20240808.gz")
    ((place, start),) = starts.items()
    assert len(texts) > 2000
    assert len(joined(Market.SPOT, texts, place, snapshot(Market.SPOT, start)).book) > 1000
    assert fills == list(range(fills[0], fills[0] + len(fills)))


def test_a_recorded_feed_of_futures_is_followed_without_a_hole(shared: Path) -> None:
    """It has no snapshot: the book is what its changes tell of."""
    texts, fills, starts = feed(shared, "usdm_btcusdt_20230405.dat.gz")
    assert (len(texts), starts) == (11_788, {})
    nothing = BookUpdate([], [], is_snapshot=True, seq=json.loads(texts[0])["data"]["pu"])
    assert len(joined(Market.LINEAR, texts, 0, nothing).book) > 1000
    assert fills == list(range(fills[0], fills[0] + len(fills)))


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    counts = Counter(CASES[name].channel for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{what} {count}" for what, count in sorted((counts + tiers).items()))
        print(f"\nBinance corpus (WebSocket): {len(READ)} read ({shown}), {len(EXCUSED_LIVE)} excused")  # noqa: T201

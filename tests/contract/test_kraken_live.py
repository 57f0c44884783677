"""What is particular to listening to Kraken."""

from __future__ import annotations

import json

from dccd.domain.book import BookUpdate, Level, OrderBook
from dccd.domain.span import Span
from dccd.domain.types import DataType
from dccd.sources.base import Channel, Refused, Target
from dccd.sources.kraken import KRAKEN
from dccd.sources.kraken.live import checksum
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES

(PARTY,) = (party for party in PARTIES if party.source is KRAKEN)
FEED = KRAKEN.streams[DataType.TRADES].feeds[PARTY.market]


def channels(*symbols: str) -> list[Channel]:
    found = []
    for symbol in symbols:
        it = PARTY.instrument(symbol, symbol.replace("/", ""))
        for kind, target in (
            (DataType.TRADES, Target(it)),
            (DataType.OHLC, Target(it, Span.parse("15d"))),
            (DataType.BOOK_UPDATES, Target(it, None, 60)),
        ):
            found.append(KRAKEN.streams[kind].channel(target))
    return found


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = FEED.dialect({})
    wanted = channels("BTC/USD", "DOGE/EUR")
    both = '"symbol":["BTC/USD","DOGE/EUR"]'
    assert dialect.subscribe(wanted) == [
        f'{{"method":"subscribe","params":{{"channel":"trade",{both},"snapshot":false}},"req_id":1}}',
        f'{{"method":"subscribe","params":{{"channel":"ohlc",{both},"interval":21600}},"req_id":2}}',
        f'{{"method":"subscribe","params":{{"channel":"book",{both},"depth":100}},"req_id":3}}',
    ]
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"method":"unsubscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":4}'
    ]


def test_a_refusal_names_its_channel() -> None:
    connection = LiveConnection("Kraken", FEED, "ws://127.0.0.1:1")
    wanted = channels("BTC/USD")
    connection.dialect.subscribe(wanted)
    frame = {
        "error": "Currency pair not supported BTC/USD", "method": "subscribe", "req_id": 1,
        "success": False, "symbol": "BTC/USD",
    }  # fmt: skip
    assert connection.read(json.dumps(frame).encode()) == [Refused(wanted[0], str(frame["error"]))]


def test_the_checksum_is_of_all_digits_whether_or_not_they_are_sent() -> None:
    """JSON may leave out zeros at the end, the checksum never does."""
    connection = LiveConnection("Kraken", FEED, "ws://127.0.0.1:1")
    it = PARTY.instrument()  # prices to 0.1, amounts to 1e-8
    target = Target(it, None, 10)
    channel = KRAKEN.streams[DataType.BOOK_UPDATES].channel(target)
    connection.targets[channel] = target
    connection.dialect.subscribe([channel])
    row = {"symbol": "BTC/USD", "bids": [{"price": 99, "qty": 1e-05}], "asks": [], "checksum": 1}
    frame = json.dumps({"channel": "book", "type": "snapshot", "data": [row]})
    (change,) = connection.read(frame.encode())
    book, full = OrderBook(), OrderBook()
    book.apply(change.update)  # type: ignore[union-attr]
    full.apply(BookUpdate([Level("99.0", "0.00001000")], [], is_snapshot=True))
    assert book.best("bid") == full.best("bid")
    assert checksum(book) == checksum(full)

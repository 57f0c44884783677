"""What the contract tests of all exchanges need: a slow clock, whole histories, canned answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dccd.application.bound_source import BoundSource, FetchedPage
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DccdError, ExchangeError
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.records import SCHEMAS, Columns, Kind
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByCursor, History, Request, Response, Source, Target
from dccd.transport.http import HttpTransport
from dccd.transport.retry import Backoff

SKEW_NS = 300 * S_NS


class Clock:
    """Our clock, which is slow (or fast, where the skew is less than 0) and runs on by what is slept."""

    def __init__(self, exchange_ns: int, skew_ns: int = SKEW_NS) -> None:
        self.ns = exchange_ns - skew_ns
        self.skew_ns = skew_ns
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self.ns

    @property
    def exchange_ns(self) -> int:
        """The exchange's time."""
        return self.ns + self.skew_ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ns += round(seconds * S_NS)
        await asyncio.sleep(0)


def bound(source: Source, url: str, clock: Clock) -> BoundSource:
    """A source whose hosts are all at one address."""
    urls = {host.setting: url for host in source.hosts.values()}
    return BoundSource(source, urls=urls, backoff=Backoff(attempts=4), now_ns=clock.now_ns, sleep=clock.sleep)


class Fetched:
    """A history fetched whole, its pages checked on the way."""

    def __init__(self) -> None:
        self.pages: list[FetchedPage] = []
        self.columns: dict[str, list[Any]] = {}
        self.covered = IntervalSet()

    def add(self, page: FetchedPage) -> None:
        assert page.rows == len(page.columns["ts"])
        assert len({len(column) for column in page.columns.values()}) == 1
        self.pages.append(page)
        self.covered |= page.covered
        if page.rows:
            for name, column in page.columns.items():
                self.columns.setdefault(name, []).extend(column)

    @property
    def ts(self) -> list[int]:
        return self.columns.get("ts", [])


async def dataset(
    source: BoundSource, symbol: str, kind: DataType, span: str | None = None, depth: int | None = None
) -> tuple[DatasetId, Instrument]:
    it = (await source.instruments()).resolve(symbol)
    return DatasetId(source.id, it.symbol, kind, Span.parse(span) if span else None, depth), it


async def fetch(
    source: BoundSource,
    symbol: str,
    kind: DataType,
    start: str | int,
    end: str | int,
    span: str | None = None,
) -> Fetched:
    what, it = await dataset(source, symbol, kind, span)
    got = Fetched()
    async for page in source.history(what, it, parse_time(start), parse_time(end)):
        got.add(page)
        assert len(got.covered) <= 1
    return got


_TYPES = {Kind.TIME: int, Kind.INT: int, Kind.FLOAT: float, Kind.TEXT: str, Kind.SIDE: str}


def assert_rows(kind: DataType, columns: Mapping[str, Sequence[object]]) -> None:
    """No column is missing or unknown, each is of its type, rows are in order, prices are plausible."""
    known = {column.name: column for column in SCHEMAS[kind].columns}
    assert columns.keys() <= known.keys()
    assert {name for name, column in known.items() if not column.nullable} <= columns.keys()
    for name, values in columns.items():
        types = {type(value) for value in values} - ({type(None)} if known[name].nullable else set())
        assert types <= {_TYPES[known[name].kind]}, f"{name} has {types}"
    ts: Sequence[int] = columns["ts"]  # type: ignore[assignment]
    assert list(ts) == sorted(ts)
    if "side" in columns:
        assert set(columns["side"]) <= ({"bid", "ask"} if kind is DataType.ORDERBOOK else {"buy", "sell"})
    for name in columns.keys() & {"price", "open", "high", "low", "close"}:
        assert all(value > 0 for value in columns[name])  # type: ignore[operator]
    for name in columns.keys() & {"amount", "volume", "quote_volume", "trades", "open_interest"}:
        assert all(value is None or value >= 0 for value in columns[name])  # type: ignore[operator]
    if kind is DataType.OHLC:  # an open may lie without, where it is the bar before's close
        for low, close, high in zip(*(columns[name] for name in ("low", "close", "high")), strict=True):
            assert low <= close <= high


def expected_opens(span: str, start_ns: int, end_ns: int, anchor_ns: int | None = None) -> list[int]:
    """Open times of all bars that open in a range."""
    step = Span.parse(span)
    found = []
    at_ns = step.ceil(start_ns, anchor_ns)
    while at_ns < end_ns:
        found.append(at_ns)
        at_ns = step.next(at_ns)
    return found


def target(exchange: str, market: Market, *, span: str = "1m", contract_size: float | None = None) -> Target:
    """An instrument of a market, for parsers."""
    kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
    settle = None if market is Market.SPOT else "Z"
    it = Instrument(exchange, Symbol("X", "Y", settle), "XY", market, kind, contract_size=contract_size)
    return Target(it, Span.parse(span), 100)


def parsed(source: Source, data_type: DataType, whose: Target, response: Response) -> Columns:
    """The rows of an answer, once they are seen to be columns of that type and of one length."""
    assert source.error(response) is None
    columns = parser(source.history[data_type], whose)(response)
    assert set(columns) <= {column.name for column in SCHEMAS[data_type].columns}
    assert len({len(column) for column in columns.values()}) == 1
    return columns


def parser(history: History, whose: Target) -> Callable[[Response], Columns]:
    """How a history's answers are read."""
    if isinstance(history, ByCursor):
        return lambda response: history.parse(whose, response, "0").columns
    return lambda response: history.parse(whose, response)


class Canned(HttpTransport):
    """A transport without a socket, which is tried once and answers with `answer`."""

    def __init__(self, source: Source) -> None:
        self.answer = Response(200, {}, b"")
        super().__init__(
            source,
            urls={},
            units={},
            proxy=None,
            backoff=Backoff(attempts=1, malformed_attempts=1),
            now_ns=time.time_ns,
            sleep=asyncio.sleep,
        )

    async def _send(self, request: Request, sink: object = None) -> Response:
        return self.answer

    async def read(self, body: bytes, parse: Callable[[Response], Any], status: int = 200) -> object:
        """What `fetch` makes of an answer: rows, or the error."""
        self.answer = Response(status, {}, body)
        try:
            return await self.fetch(Request(next(iter(self._source.hosts)), "/x", weight=0), parse)
        except DccdError as error:
            return error


def mutations(body: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The same bytes with one to four places changed, left out or filled with others."""
    draw = random.Random(seed)
    for _ in range(count):
        changed = bytearray(body)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(changed) + 1)
            changed[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        yield bytes(changed)


async def assert_safe(
    source: Source, body: bytes, parse: Callable[[Response], Any], count: int = 300
) -> None:
    """Every beginning of an answer is an error of ours; any change of it is one, or is read."""
    transport = Canned(source)
    for length in range(len(body)):
        assert isinstance(await transport.read(body[:length], parse), ExchangeError)
    for changed in mutations(body, count, seed=1):
        result = await transport.read(changed, parse)
        if isinstance(result, Mapping):
            assert len({len(column) for column in result.values()}) == 1
    assert not isinstance(await transport.read(body, parse), DccdError)


def assert_whole(found: InstrumentList, items: list[Instrument], *, has_ticks: bool = True) -> None:
    """Each instrument is found by its unified name and back, and none hides another."""
    assert len(found) == len(items)
    for item in items:
        assert found.resolve(str(item.symbol)) == item
        assert Symbol.from_slug(item.symbol.slug) == item.symbol
        assert (item.symbol.settle is None) == (item.market is Market.SPOT)
        assert (item.symbol.expiry is not None) == (item.type is InstrumentType.FUTURE)
        assert (item.tick_size is not None) == has_ticks
        assert item.lot_size is not None

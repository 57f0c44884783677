"""Bitfinex over REST: lists, bars, trades, books and the status of contracts, with no key.

Documentation: https://docs.bitfinex.com/reference/rest-public-candles and the pages beside it (…-trades,
…-book, …-derivatives-status-history, …-conf, …-platform-status); allowances and errors:
https://docs.bitfinex.com/docs/requirements-and-limitations and …/docs/abbreviations-glossary; which funding
is paid when: https://www.bitfinex.com/legal/derivative/funding. What was found odd is in
``docs/exchanges/bitfinex.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS, datetime_ns, iso
from dccd.domain.types import DataType, Evidence, Market
from dccd.sources.base import (
    ByCursor,
    ByTime,
    ByWindow,
    History,
    Page,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    levels,
)

_DOCS = "https://docs.bitfinex.com/reference/rest-public-"
_STATUS_DOCS = _DOCS + "derivatives-status-history"
SPANS = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "3h": "3h", "6h": "6h", "12h": "12h",
    "1d": "1D", "1w": "1W", "14d": "14D", "1mo": "1M",
}  # fmt: skip
MARKETS = (Market.SPOT, Market.LINEAR)
_ROWS, _LEVELS = dict.fromkeys(MARKETS, 10_000), dict.fromkeys(MARKETS, 250)
_STATES = {Market.LINEAR: 5000}  # one a minute
_FUNDINGS = {Market.LINEAR: 10}
_PERIOD_MS = 8 * 3_600_000
_PARAMETERS = 10020  # "Request parameters error", which comes under HTTP 500
_BUSY = {10001, 10008, 11000, 20051, 20060, 20061}
_BLOCKED_S = 60.0  # "the IP is blocked for 60 seconds"


def _oldest(path: str, budget: str, limit: int, start_ns: int, end_ns: int | None = None) -> Request:
    """The first rows of a range, of which Bitfinex includes both ends; a start of 0 is none to it."""
    query = {"sort": 1, "start": max(1, -(-start_ns // MS_NS)), "limit": limit}
    if end_ns is not None:
        query["end"] = -(-end_ns // MS_NS) - 1
    return Request(
        "rest", f"/v2/{path}/hist", tuple((name, str(query[name])) for name in query), budget=budget
    )


# Bars, see rest-public-candles: none of times without trades


class Bar(msgspec.Struct, array_like=True, gc=False):
    """As REST and streams list it."""

    ts: int
    open: float
    close: float
    high: float
    low: float
    volume: float


_bars = msgspec.json.Decoder(list[Bar])


def _candles(target: Target, start_ns: int = 0, end_ns: int | None = None, limit: int = 1) -> Request:
    key = f"trade:{SPANS[str(target.span)]}:{target.instrument.native}"
    return _oldest(f"candles/{key}", "candles", limit, start_ns, end_ns)


def bar_columns(target: Target, bars: Sequence[Bar]) -> Columns:
    """Bars in the order they come in.

    Where weeks begin is not documented: were it not on Mondays, the open one would be taken for closed.
    """
    found = columns(bars, "open", "high", "low", "close", "volume")
    first: Sequence[int] = found["ts"][:1]  # type: ignore[assignment]
    if target.span is not None and any(target.span.floor(ts) != ts for ts in first):
        raise ValueError(f"a bar of {target.span} begins at {iso(first[0])}")
    return found


def _parse_candles(target: Target, response: Response) -> Columns:
    return bar_columns(target, _bars.decode(response.body))


# Trades, see rest-public-trades


class Trade(msgspec.Struct, array_like=True, gc=False):
    """As REST and streams list it."""

    tid: int
    ts: int
    amount: float  # negative when the taker sold
    price: float


_trades = msgspec.json.Decoder(list[Trade])


def _fills(target: Target, start_ns: int = 0, end_ns: int | None = None, limit: int = 1) -> Request:
    return _oldest(f"trades/{target.instrument.native}", "trades", limit, start_ns, end_ns)


def trade_columns(trades: Iterable[Trade]) -> Columns:
    """In order of time, and of ids within a millisecond, where theirs is the reverse."""
    rows = sorted(trades, key=lambda row: (row.ts, row.tid))
    sides = ["buy" if row.amount > 0 else "sell" for row in rows]
    return columns(rows, "price", tid_num="tid") | {
        "amount": [abs(row.amount) for row in rows],
        "side": sides,
    }


def _parse_trades(target: Target, response: Response) -> Columns:
    return trade_columns(_trades.decode(response.body))


# Order book, see rest-public-book: price, number of orders, amount (negative of asks); no time

_book = msgspec.json.Decoder(list[tuple[float, int, float]])


def _depth(target: Target) -> Request:
    path = f"/v2/book/{target.instrument.native}/P0"
    return Request("rest", path, (("len", str(target.depth)),), budget="books")


def _parse_book(target: Target, response: Response) -> Columns:
    rows = _book.decode(response.body)
    sides = [[row for row in rows if (row[2] > 0) is is_bid] for is_bid in (True, False)]
    bids, asks = ([(price, abs(amount)) for price, _, amount in side] for side in sides)
    return {**levels(bids, asks), "count": [row[1] for side in sides for row in side]}


# Status of contracts, see rest-public-derivatives-status-history: one a minute, at any second of it

_states = msgspec.json.Decoder(list[list[float | None]])
_MTS, _NEXT_FUNDING, _FUNDING, _INTEREST = 0, 7, 11, 17


def _status(target: Target, cursor: str, start_ns: int, end_ns: int) -> Request:
    """From a cursor on, which is a time in milliseconds, and of fundings the last known."""
    start_ns = int(cursor.partition(" ")[0]) * MS_NS
    return _oldest(f"status/deriv/{target.instrument.native}", "status", 5000, start_ns, end_ns)


def _first_interest(target: Target, start_ns: int, end_ns: int) -> str:
    return str(-(-start_ns // MS_NS))


def _first_funding(target: Target, start_ns: int, end_ns: int) -> str:
    """What is paid is told from eight hours earlier on."""
    return str(-(-start_ns // MS_NS) - _PERIOD_MS)


def _ms(row: Sequence[float | None], place: int) -> int:
    value = row[place]
    if value is None:
        raise ValueError("a status lacks its time")
    return int(value)


def _parse_interest(target: Target, response: Response, cursor: str) -> Page:
    """No page is the last but one without rows: any may be smaller than what was asked for."""
    rows = _states.decode(response.body)
    told = [row for row in rows if row[_INTEREST] is not None]
    times, values = [_ms(row, _MTS) * MS_NS for row in told], [row[_INTEREST] for row in told]
    return Page({"ts": times, "open_interest": values}, str(_ms(rows[-1], _MTS) + 1) if rows else None)


def _parse_funding(target: Target, response: Response, cursor: str) -> Page:
    """Each once, in the first page that tells it; pages end as those of open interest."""
    rows = _states.decode(response.body)
    known_ms = int(cursor.partition(" ")[2] or 0)
    told = {_ms(row, _NEXT_FUNDING): row[_FUNDING] for row in rows if row[_FUNDING] is not None}
    times = sorted(time_ms for time_ms in told if time_ms > known_ms)
    rates = [told[time_ms] for time_ms in times]
    after = f"{_ms(rows[-1], _MTS) + 1} {max([known_ms, *times])}" if rows else None
    return Page({"ts": [time_ms * MS_NS for time_ms in times], "rate": rates}, after)


# Errors: ["error", code, words], or {"error": words} from what stands before the API


class _Blocked(msgspec.Struct):
    error: str


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Bitfinex's words; None when nothing is."""
    status, body = response.status, response.body
    if status < 400 and not body.startswith((b'["error"', b'{"error"')):
        return None
    code, words = status, body[:80].decode(errors="replace").strip()
    try:
        said = msgspec.json.decode(body, type=tuple[str, int, str] | _Blocked)
        code, words = (code, said.error) if isinstance(said, _Blocked) else said[1:]
    except ValueError:  # another's page, or not even text
        if status < 400:
            return None  # for a parser to refuse
    answer = f"(HTTP {status}, {f'{code} ' if code != status else ''}{words!r})."
    if status == 429 or "ratelimit" in words or "RATE_LIMIT" in words:
        return Throttled(f"Bitfinex asked for fewer requests {answer}", _BLOCKED_S)
    if code in _BUSY or (status >= 500 and code != _PARAMETERS):
        return ExchangeUnavailable(f"Bitfinex cannot answer now {answer} Try again later.")
    return ExchangeRefused(f"Bitfinex refused the request {answer}", str(code))


def clock_ns(response: Response) -> int:
    """There is no other clock than the answers' own, in whole seconds."""
    return datetime_ns(parsedate_to_datetime(response.headers["date"]))


CLOCK = Request("rest", "/v2/platform/status")
HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: ByWindow(
        request=_candles, parse=_parse_candles, first=_candles, rows=_ROWS, settle_s=60.0
    ),
    DataType.TRADES: ByTime(request=_fills, parse=_parse_trades, first=_fills, rows=10_000, typical_s=3.0),
    DataType.ORDERBOOK: Snapshot(request=_depth, parse=_parse_book),
    DataType.FUNDING: ByCursor(
        start=_first_funding,
        request=_status,
        parse=_parse_funding,
        rows=10,
        typical_s=8 * 3600.0,
        settle_s=300.0,
    ),
    DataType.OPEN_INTEREST: ByCursor(
        start=_first_interest,
        request=_status,
        parse=_parse_interest,
        rows=5000,
        typical_s=60.0,
        settle_s=300.0,
    ),
}
CAPABILITIES = (
    historical(
        DataType.OHLC,
        _DOCS + "candles",
        _ROWS,
        direction="forward",
        spans=SPANS,
        evidence=Evidence.RECORDED,
    ),
    historical(DataType.TRADES, _DOCS + "trades", _ROWS, direction="forward"),
    historical(
        DataType.ORDERBOOK,
        _DOCS + "book",
        _LEVELS,
        depths=(1, 25, 100, 250),
        recent=True,
        evidence=Evidence.RECORDED,
    ),
    historical(DataType.FUNDING, _STATUS_DOCS, _FUNDINGS, direction="forward"),
    historical(DataType.OPEN_INTEREST, _STATUS_DOCS, _STATES, direction="forward", spans=("1m",)),
)

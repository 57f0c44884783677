"""A stand-in for data.binance.vision: the rows of the stand-in's REST API as zipped tables with checksums.

Spot tables have no line of names and tell microseconds from 2025 on; the futures' have one and tell
milliseconds.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from tests.exchanges.binance_listing import Market
from tests.exchanges.binance_series import Series
from tests.exchanges.engine import Request, Response
from tests.exchanges.files import served

_MARKETS: dict[str, Market] = {"spot": "spot", "futures/um": "usdm", "futures/cm": "coinm"}
_PATH = re.compile(
    r"/data/(spot|futures/um|futures/cm)/(daily|monthly)/(klines|aggTrades|metrics)/([^/]+)/(?:(\w+)/)?"
    r"([^/]+)-(\w+)-(\d{4}-\d\d(?:-\d\d)?)\.zip"
)
_MICRO_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
_NAMES = {
    "klines": b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    b"taker_buy_quote_volume,ignore\n",
    "aggTrades": b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n",
    "metrics": b"create_time,symbol,sum_open_interest,sum_open_interest_value,"
    b"count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
    b"sum_taker_long_short_vol_ratio\n",
}


class BinanceArchive:
    """The public files.

    Parameters
    ----------
    series : callable (kind, market, symbol, span) -> Series or None
        What REST serves: klines, aggTrades, and open interest as metrics.

    Attributes
    ----------
    edit : callable (path, table) -> bytes, or None
        Changes a table before it is zipped.
    gone : set of str
        Parts of paths of which there are no files.
    wrong : set of str
        Parts of paths whose checksum is another file's.
    """

    def __init__(self, series: Callable[[str, Market, str, str], Series | None]) -> None:
        self._series = series
        self.edit: Callable[[str, bytes], bytes] | None = None
        self.gone: set[str] = set()
        self.wrong: set[str] = set()
        self._files: dict[str, bytes] = {}
        self._zips: dict[str, bytes] = {}

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""
        path = request.path.removesuffix(".CHECKSUM")
        file = self.file(path, now_ms)
        if file is None:
            return Response(b"<Error><Code>NoSuchKey</Code></Error>", 404, content_type="application/xml")
        if path == request.path:
            return served(file, request)
        digest = hashlib.sha256(b"" if any(part in path for part in self.wrong) else file).hexdigest()
        return Response(f"{digest}  {path.rpartition('/')[2]}\n".encode(), content_type="text/plain")

    def file(self, path: str, now_ms: int) -> bytes | None:
        """A file as it is published, None where there is none."""
        found = _PATH.fullmatch(path)
        if found is None or any(part in path for part in self.gone):
            return None
        if path not in self._files:
            folder, every, kind, symbol, span, _, _, when = found.groups()
            start = datetime.fromisoformat(when if every == "daily" else f"{when}-01").replace(tzinfo=UTC)
            end = start + timedelta(days=1)
            if every == "monthly":
                end = (start + timedelta(days=32)).replace(day=1)
            market = _MARKETS[folder]
            series = self._series(kind, market, unquote(symbol), span or "")
            end_ms = int(end.timestamp()) * 1_000
            if series is None or end_ms > now_ms:
                return None
            micro = market == "spot" and start >= _MICRO_SINCE
            table = _table(series, kind, int(start.timestamp()) * 1_000, end_ms, micro=micro)
            if not table:
                return None
            named = market != "spot" or kind == "metrics"
            self._files[path] = (_NAMES[kind] if named else b"") + table
        table = self._files[path]
        if self.edit is not None:
            return zipped(path, self.edit(path, table))
        if path not in self._zips:
            self._zips[path] = zipped(path, table)
        return self._zips[path]


def zipped(path: str, table: bytes) -> bytes:
    """A table as the one file of a zip, the same bytes whenever it is made."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        name = path.rpartition("/")[2].replace(".zip", ".csv")
        archive.writestr(zipfile.ZipInfo(name), table, zipfile.ZIP_DEFLATED, compresslevel=1)
    return into.getvalue()


def _table(series: Series, kind: str, start_ms: int, end_ms: int, *, micro: bool) -> bytes:
    low, high = series.bounds(end_ms - 1)
    first, stop = max(low, series.at_or_after(start_ms)), min(high, series.at_or_after(end_ms))
    if first >= stop:
        return b""
    rows = series.rows(first, stop, end_ms, micro=micro)
    if kind == "klines":
        return rows.replace(b'"', b"").replace(b"[", b"").replace(b"],", b"\n")
    if kind == "metrics":
        return b"".join(map(_metric, json.loads(b"[" + rows[:-1] + b"]")))
    best = b'"M":true' in rows
    for text in (b'{"a":', b'"', b"p:", b"q:", b"f:", b"l:", b"T:", b"m:", b"M:"):
        rows = rows.replace(text, b"")
    if best:  # spot writes its words with a capital
        rows = rows.replace(b"true", b"True").replace(b"false", b"False")
    return rows.replace(b"},", b"\n")


def _metric(row: dict[str, str]) -> bytes:
    when = datetime.fromtimestamp(int(row["timestamp"]) / 1_000, UTC)
    name = row.get("symbol", f"{row.get('pair')}_PERP")
    amount, value = row["sumOpenInterest"], row["sumOpenInterestValue"]
    return f"{when:%Y-%m-%d %H:%M:%S},{name},{amount},{value},1.1,1.2,1.3,1.4\n".encode()

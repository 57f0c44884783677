"""Rows of the shared recordings, as the records of the dccd 3 package."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MS = 1_000_000

Row = dict[str, Any]


def klines(shared: Path, name: str, count: int) -> list[Row]:
    """The first bars of a file of Binance's."""
    lines = _lines(shared / "datasets" / "binance_klines" / f"{name}.jsonl.gz")
    return [
        {
            "ts": bar[0] * MS,
            **{key: float(bar[at]) for at, key in enumerate(("open", "high", "low", "close", "volume"), 1)},
            "quote_volume": float(bar[7]),
            "trades": bar[8],
        }
        for bar, _ in zip(map(json.loads, lines), range(count), strict=False)
    ]


def bitfinex(shared: Path, hours: int) -> list[Row]:
    """Bitfinex's minutes of the first hours of 2018; those without a trade are absent."""
    lines = _lines(shared / "datasets" / "bitfinex_1m" / "BTCUSD_1m_2018_raw_responses.jsonl.gz")
    bars = {}
    for line, _ in zip(lines, range(hours // 2), strict=False):
        for ts, opened, close, high, low, volume in json.loads(json.loads(line)["body"]):
            bars[ts] = {
                "ts": ts * MS,
                "open": float(opened),
                "high": float(high),
                "low": float(low),
                "close": float(close),
                "volume": float(volume),
            }
    return [bars[ts] for ts in sorted(bars)]


def trades(shared: Path, *, ids: bool = True) -> list[Row]:
    """Binance's aggregate trades of XRP/ETH; without their ids, as of an exchange that gives none."""
    path = next((shared / "datasets" / "binance_aggtrades").glob("*.json.gz"))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [item["info"] for item in json.load(file)]
    return [
        {
            "ts": item["T"] * MS,
            "price": float(item["p"]),
            "amount": float(item["q"]),
            "side": "sell" if item["m"] else "buy",
            "tid": str(item["a"]) if ids else None,
        }
        for item in found
    ]


def book(shared: Path, levels: int, updates: int) -> list[Row]:
    """A snapshot of Binance's book, cut to some levels, and the changes after it."""
    rows: list[Row] = []
    for line in _lines(shared / "datasets" / "binance_feed" / "spot_btcusdt_20240808.gz"):
        received, _, text = line.partition(" ")
        message = json.loads(text)
        if "lastUpdateId" in message:
            rows.append(_book(int(received), message["bids"][:levels], message["asks"][:levels], whole=True))
        elif message["data"].get("e") == "depthUpdate":
            data = message["data"]
            rows.append(_book(data["E"] * MS, data["b"], data["a"], whole=False))
        if len(rows) > updates:
            break
    return sorted(rows, key=lambda row: row["ts"])


def _book(ts: int, bids: list[list[str]], asks: list[list[str]], *, whole: bool) -> Row:
    sides = [[{"price": float(p), "amount": float(a)} for p, a in side] for side in (bids, asks)]
    return {"ts": ts, "bids": sides[0], "asks": sides[1], "is_snapshot": whole}


def funding(shared: Path) -> list[Row]:
    """Binance's fundings of one contract, as recorded."""
    path = shared / "corpus" / "binance" / "funding" / "gct_binance_fapi_v1_fundingRate_3.json"
    found = {
        row["fundingTime"]: {"ts": row["fundingTime"] * MS, "rate": float(row["fundingRate"])}
        for row in payload(path)
    }
    return [found[ts] for ts in sorted(found)]


def open_interest(shared: Path) -> list[Row]:
    """Binance's open interest of one contract, a day apart, as recorded."""
    folder = shared / "corpus" / "binance" / "open_interest"
    return [
        {
            "ts": row["timestamp"] * MS,
            "open_interest": float(row["sumOpenInterest"]),
            "open_interest_value": float(row["sumOpenInterestValue"]),
        }
        for row in payload(folder / "gct_binance_futures_data_openInterestHist_2.json")
    ]


def payload(path: Path) -> Any:
    """What the exchange answered, of a case of the corpus."""
    case = json.loads(path.read_text(encoding="utf-8"))
    return json.loads(case["payload"]) if isinstance(case["payload"], str) else case["payload"]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file

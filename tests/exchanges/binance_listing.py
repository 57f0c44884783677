"""What the stand-in lists: recorded listings where they are at hand, and entries of its own in their form."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Market = Literal["spot", "usdm", "coinm"]
Entry = dict[str, Any]

RECORDED_LISTINGS: dict[Market, str] = {
    "spot": "binance__api_binance_com_api_v3_exchangeInfo.json.gz",
    "usdm": "binance__fapi_binance_com_fapi_v1_exchangeInfo.json.gz",
}
SPOT_START_MS = 1_502_942_400_000  # 2017-08-17T04:00Z, the first bar of Binance's oldest symbols
_PERPETUAL_DELIVERY_MS = 4_133_404_800_000
_PRICE_LEVELS = {"BTC": 50_000, "ETH": 3_000}
_DELIVERY_MS = {"260327": 1_774_598_400_000, "270326": 1_806_048_000_000}  # at 08:00Z

_SPOT = [  # base, quote, tick size, step size, status
    ("BTC", "USDT", "0.01000000", "0.00001000", "TRADING"),
    ("ETH", "USDT", "0.01000000", "0.00010000", "TRADING"),
    ("ETH", "BTC", "0.00001000", "0.00010000", "TRADING"),
    ("XRP", "ETH", "0.00000100", "0.10000000", "TRADING"),
    ("SHIB", "USDT", "0.00000001", "1.00000000", "TRADING"),
    ("BCC", "BTC", "0.00000100", "0.00001000", "BREAK"),
    ("币安人生", "USDT", "0.00010000", "0.10000000", "TRADING"),
]
_USDM = [  # base, quote, suffix, tick size, step size, onboard date
    ("BTC", "USDT", "", "0.10", "0.001", 1_569_398_400_000),
    ("ETH", "USDT", "", "0.01", "0.001", 1_569_398_400_000),
    ("1000SHIB", "USDT", "", "0.000001", "1", 1_620_637_200_000),
    ("BTC", "USDC", "", "0.1", "0.001", 1_704_355_200_000),
    ("BTC", "USDT", "260327", "0.1", "0.001", 1_758_873_600_000),
    ("BTC", "USDT", "270326", "0.1", "0.001", 1_774_598_400_000),
]
_COINM = [  # base, suffix, tick size, contract size, onboard date
    ("BTC", "PERP", "0.1", 100, 1_597_042_800_000),
    ("ETH", "PERP", "0.01", 10, 1_597_734_000_000),
    ("BTC", "260327", "0.1", 100, 1_758_873_600_000),
    ("BTC", "270326", "0.1", 100, 1_774_598_400_000),
]


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the generators need to know of a symbol; times in ms, decimals of its price and quantity."""

    market: Market
    symbol: str
    pair: str
    price_decimals: int
    quantity_decimals: int
    onboard_ms: int
    delivery_ms: int
    contract_type: str
    contract_size: int

    @property
    def seed(self) -> int:
        """A number of its own, the same on every machine."""
        return int.from_bytes(f"{self.market} {self.symbol}".encode(), "big") % 1_000_003

    @property
    def base_ticks(self) -> int:
        """Price level in ticks that its generated prices move around."""
        dollars = _PRICE_LEVELS.get(self.symbol[:3])
        return 400_000 if dollars is None or self.price_decimals > 2 else dollars * 10**self.price_decimals


def entries(market: Market, shared: Path | None) -> list[Entry]:
    """Return the market's listing: the recorded one, if any, then the stand-in's own symbols it lacks."""
    recorded: list[Entry] = []
    if shared is not None and market in RECORDED_LISTINGS:
        path = shared / "datasets" / "instruments" / RECORDED_LISTINGS[market]
        recorded = json.loads(json.loads(gzip.decompress(path.read_bytes()))["body"])["symbols"]
    known = {entry["symbol"] for entry in recorded}
    own = {"spot": _own_spot, "usdm": _own_usdm, "coinm": _own_coinm}[market]()
    return recorded + [entry for entry in own if entry["symbol"] not in known]


def instrument(market: Market, entry: Entry) -> Instrument:
    """Read an entry of a listing."""
    filters = {each["filterType"]: each for each in entry["filters"]}
    return Instrument(
        market=market,
        symbol=entry["symbol"],
        pair=entry["pair"] if market != "spot" else entry["symbol"],
        price_decimals=_decimals(filters["PRICE_FILTER"]["tickSize"]),
        quantity_decimals=_decimals(filters["LOT_SIZE"]["stepSize"]),
        onboard_ms=entry.get("onboardDate", SPOT_START_MS),
        delivery_ms=entry.get("deliveryDate", _PERPETUAL_DELIVERY_MS),
        contract_type=entry.get("contractType", ""),
        contract_size=entry.get("contractSize", 1),
    )


def _decimals(size: str) -> int:
    return len(size.rstrip("0").partition(".")[2])


def _own_spot() -> Iterator[Entry]:
    for base, quote, tick, step, status in _SPOT:
        yield {
            "symbol": base + quote,
            "status": status,
            "baseAsset": base,
            "baseAssetPrecision": 8,
            "quoteAsset": quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "isSpotTradingAllowed": status == "TRADING",
            "isMarginTradingAllowed": status == "TRADING",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": tick,
                    "maxPrice": "1000000.00000000",
                    "tickSize": tick,
                },
                {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000.00000000", "stepSize": step},
                {"filterType": "ICEBERG_PARTS", "limit": 10},
                {
                    "filterType": "NOTIONAL",
                    "minNotional": "5.00000000",
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            ],
            "permissions": [],
            "permissionSets": [["SPOT", "MARGIN"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }


def _own_usdm() -> Iterator[Entry]:
    for base, quote, suffix, tick, step, onboard_ms in _USDM:
        yield {
            **_contract(base, quote, suffix, tick=tick, step=step, onboard_ms=onboard_ms),
            "marginAsset": quote,
            "status": "TRADING",
        }


def _own_coinm() -> Iterator[Entry]:
    for base, suffix, tick, contract_size, onboard_ms in _COINM:
        yield {
            **_contract(base, "USD", suffix, tick=tick, step="1", onboard_ms=onboard_ms),
            "marginAsset": base,
            "contractStatus": "TRADING",
            "contractSize": contract_size,
            "equalQtyPrecision": 4,
        }


def _contract(base: str, quote: str, suffix: str, *, tick: str, step: str, onboard_ms: int) -> Entry:
    pair = base + quote
    kinds = {"260327": "CURRENT_QUARTER", "270326": "NEXT_QUARTER"}
    return {
        "symbol": pair + ("_" + suffix if suffix else ""),
        "pair": pair,
        "contractType": kinds.get(suffix, "PERPETUAL"),
        "deliveryDate": _DELIVERY_MS.get(suffix, _PERPETUAL_DELIVERY_MS),
        "onboardDate": onboard_ms,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "pricePrecision": _decimals(tick),
        "quantityPrecision": _decimals(step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000000", "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "120", "stepSize": step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }

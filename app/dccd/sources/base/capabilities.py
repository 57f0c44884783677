"""What an exchange serves of the past over REST and in files, and tells live, said once for all markets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from dccd.domain.capability import Capability
from dccd.domain.types import DataType, Evidence, Market, Mode, Transport


def historical(
    data_type: DataType,
    docs: str,
    rows: Mapping[Market, int],
    *,
    direction: Literal["forward", "backward"] | None = None,
    spans: Iterable[str] = (),
    depths: Iterable[int] = (),
    recent: bool = False,
    lookback_s: int | None = None,
    evidence: Evidence = Evidence.DOCUMENTED,
) -> Capability:
    """A capability of the markets that `rows` has, each with the same spans.

    Parameters
    ----------
    recent : bool
        Only what is recent is served, even without a `lookback_s`.

    Others as in :class:`~dccd.domain.capability.Capability`.
    """
    spans = tuple(spans)
    return Capability(
        data_type=data_type,
        transport=Transport.REST,
        mode=Mode.HISTORICAL,
        markets=tuple(rows),
        history="recent" if recent or lookback_s is not None else "full",
        lookback_s=lookback_s,
        rows_max=rows,
        direction=direction,
        spans=dict.fromkeys(rows, spans) if spans else {},
        depths=tuple(depths),
        evidence=evidence,
        docs=docs,
    )


def archived(
    data_type: DataType,
    docs: str,
    markets: Iterable[Market],
    *,
    spans: Mapping[Market, Iterable[str]] | None = None,
    evidence: Evidence = Evidence.DOCUMENTED,
) -> Capability:
    """What an exchange publishes of the past in files."""
    return Capability(
        data_type=data_type,
        transport=Transport.ARCHIVE,
        mode=Mode.HISTORICAL,
        markets=tuple(markets),
        spans={market: tuple(names) for market, names in (spans or {}).items()},
        evidence=evidence,
        docs=docs,
    )


def streamed(
    data_type: DataType,
    docs: str,
    markets: Iterable[Market],
    *,
    spans: Iterable[str] = (),
    depths: Iterable[int] = (),
    evidence: Evidence = Evidence.DOCUMENTED,
) -> Capability:
    """What an exchange tells as it happens, in the same spans in all of its markets."""
    markets, spans, depths = tuple(markets), tuple(spans), tuple(depths)
    return Capability(
        data_type=data_type,
        transport=Transport.WS,
        mode=Mode.LIVE,
        markets=markets,
        history="recent",
        rows_max=dict.fromkeys(markets, max(depths)) if depths else {},
        spans=dict.fromkeys(markets, spans) if spans else {},
        depths=depths,
        evidence=evidence,
        docs=docs,
    )


def streamed_book(
    docs: str,
    markets: Iterable[Market],
    depths: Iterable[int] = (),
    evidence: Evidence = Evidence.DOCUMENTED,
) -> tuple[Capability, Capability]:
    """A book as it changes: snapshots of it at an interval, and each of its changes."""
    markets, depths = tuple(markets), tuple(depths)
    return (
        streamed(DataType.ORDERBOOK, docs, markets, depths=depths, evidence=evidence),
        streamed(DataType.BOOK_UPDATES, docs, markets, depths=depths, evidence=evidence),
    )

"""What an exchange serves of the past over REST, said once for all of its markets."""

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

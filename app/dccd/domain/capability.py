"""What an exchange offers, declared; what is not declared cannot be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dccd.domain.types import DataType, Evidence, Market, Mode, Transport


class Capability(BaseModel):
    """One thing a source can do.

    Attributes
    ----------
    data_type, transport, mode
        What, how, and whether past or present.
    markets : tuple of Market
        Markets it serves.
    history : {"full", "recent"}
        Whether all of the exchange's past is served; always "recent" for snapshots of now.
    lookback_s : int or None
        With ``history="recent"``: how far back, in seconds, when bound by time.
    rows_max : mapping of Market to int
        Rows of one request at most.
    direction : {"forward", "backward"} or None
        Order the exchange pages in; None where there is one page.
    spans : mapping of Market to tuple of str
        Bar lengths for ohlc and open_interest; empty elsewhere.
    depths : tuple of int
        Levels a side that can be asked for; empty where there are none.
    evidence : Evidence
        What its correctness rests on.
    docs : str
        Address of the page of the exchange's documentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_type: DataType
    transport: Transport
    mode: Mode
    markets: tuple[Market, ...]
    history: Literal["full", "recent"] = "full"
    lookback_s: int | None = None
    rows_max: Mapping[Market, int] = {}
    direction: Literal["forward", "backward"] | None = None
    spans: Mapping[Market, tuple[str, ...]] = {}
    depths: tuple[int, ...] = ()
    evidence: Evidence = Evidence.DOCUMENTED
    docs: str = ""

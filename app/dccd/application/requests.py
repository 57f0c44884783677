"""What a person asks for, in a person's words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dccd.application.jobs import HistoryTransport, JobParams, JobTarget, Moment, SpanLabel, Start
from dccd.domain.types import DataType, Transport


def _exchange_id(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class DatasetRequest(BaseModel):
    """A dataset, its symbol in any form that the exchange's list resolves.

    Attributes
    ----------
    span : str or None
        For ohlc and open_interest: ``1m``, ``1h``, ``daily``, or seconds.
    depth : int or None
        For orderbook: levels a side; None is the deepest that the exchange gives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: Annotated[str, BeforeValidator(_exchange_id)]
    symbol: str
    data_type: DataType
    span: SpanLabel | None = None
    depth: int | None = Field(default=None, gt=0)

    @property
    def target(self) -> JobTarget:
        """The same as a job's target (its depth is a parameter)."""
        return JobTarget(exchange=self.exchange, symbol=self.symbol, data_type=self.data_type, span=self.span)


class BackfillRequest(DatasetRequest):
    """A dataset and what to fetch of it.

    Attributes
    ----------
    start : {"last", "origin"} or int
        ISO-8601 text or nanoseconds UTC, inclusive.
    end : int or None
        ISO-8601 text or nanoseconds UTC, exclusive; None is now.
    transport : {"auto", "rest", "archive"}
        Where it comes from.
    derive_from : {"trades"} or None
        Make the bars from stored trades instead of fetching them.
    """

    start: Start = "last"
    end: Moment | None = None
    transport: HistoryTransport = Transport.AUTO
    derive_from: Literal["trades"] | None = None

    @property
    def params(self) -> JobParams:
        """The same as a job's parameters."""
        return JobParams(
            start=self.start,
            end=self.end,
            depth=self.depth,
            transport=self.transport,
            derive_from=self.derive_from,
        )

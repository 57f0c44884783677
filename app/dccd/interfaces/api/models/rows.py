"""Rows and charts of what is stored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dccd.domain.records import Kind
from dccd.interfaces.api.models.base import Answer, Request, Text, Time
from dccd.interfaces.api.models.datasets import DatasetRequest


class RowsQuery(Request):
    """A page of rows of ``[start, end)``; `cursor` is what the page before gave as `next_cursor`."""

    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    cursor: Text | None = None
    order: Literal["asc", "desc"] = "asc"
    format: Literal["json", "arrow"] = "json"


class ReadRequest(DatasetRequest):
    """Rows of a dataset named in a person's words."""

    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    cursor: Text | None = None
    order: Literal["asc", "desc"] = "asc"
    format: Literal["json", "arrow"] = "json"


class ColumnItem(Answer):
    """A column's name and kind; cells of kind ``time`` are ISO-8601 text, exact to the nanosecond."""

    name: str
    type: Kind


class Rows(Answer):
    """Rows as lists of cells in the columns' order; `next_cursor` is null at the end."""

    columns: list[ColumnItem]
    rows: list[list[str | float | int | bool | None]]
    next_cursor: str | None


class ChartQuery(Request):
    """The stretch a chart shows and how many points it has room for; all of the dataset by default."""

    start_ms: int | None = None
    end_ms: int | None = None
    points: Annotated[int, Field(ge=10, le=5000)] = 1000


class ChartBars(Answer):
    """Columns of bars: open time in seconds UTC, open, high, low, close, volume (null where none is)."""

    t: list[int]
    o: list[float]
    h: list[float]
    l: list[float]  # noqa: E741 - the field's letter for it
    c: list[float]
    v: list[float | None]


class Depth(Answer):
    """One snapshot of a book: ``[price, amount]`` levels, best first."""

    ts_ms: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


class Chart(Answer):
    """What to draw: candles, a line (its value is the close), or the newest depth of the stretch."""

    kind: Literal["bars", "line", "depth"]
    span_s: int
    bars: ChartBars
    depth: Depth | None
    gaps: list[tuple[int, int]]
    start_ms: int | None
    end_ms: int | None

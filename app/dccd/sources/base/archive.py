"""Public files of an exchange's past, a day or a month each, and how their lines are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from dccd.sources.base.requests import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines of comma-separated values, with a first line of names or without.

    Attributes
    ----------
    names : tuple of str
        What the file calls its columns, in their order where no line says so. A line of names goes before:
        it is matched ignoring case, up to a slash.
    columns : mapping of str to str
        The file's column by ours (names of :mod:`dccd.domain.records`).
    times : {"integer", "seconds", "text"}
        How ``ts`` is written: an integer since 1970, whose size tells its unit; seconds with a fraction; a
        date and a time of day, ``D``, ``T`` or a space between them.
    convert : mapping of str to callable (values) -> values
        By column of ours: the distinct values of the file (text, or floats where the column holds floats),
        as they are stored. A value that it does not know is a :exc:`KeyError`.
    where : (name, value) or None
        Only the lines whose column of the file has this value are taken.
    """

    names: tuple[str, ...]
    columns: Mapping[str, str]
    times: Literal["integer", "seconds", "text"] = "integer"
    convert: Mapping[str, Callable[[Sequence[Any]], Sequence[object]]] = field(default_factory=dict)
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Files of one data type, each ``.zip`` with one table in it, or ``.gz``.

    Attributes
    ----------
    day : callable (target, date) -> str
        Path of the file of a day.
    table : callable (target) -> Table
    since : callable (target) -> date
        No file is of a day before.
    month : callable (target, date) -> str or None, or None
        Path of the file of a month, by its first day, where there are such: it is preferred where all of a
        month is wanted.
    host : str
        Key of :attr:`Source.hosts`.
    checksum : str or None
        What a file's path has appended in that of its SHA-256; None where there is none, and the sums
        that gzip and zip keep have to do.
    starts_s : int
        When its days start, seconds after midnight UTC; negative before.
    lag_s, month_lag_s : int
        How long after its end the file of a day, or of a month, is there for sure.
    consecutive : bool
        Ids (``tid_num``) rise by one from row to row: where they do not, rows are missing.
    row_bytes : int
        Size of a row in a file, for estimates.
    """

    day: Callable[[Target, date], str]
    table: Callable[[Target], Table]
    since: Callable[[Target], date]
    month: Callable[[Target, date], str | None] | None = None
    host: str = "archive"
    checksum: str | None = None
    starts_s: int = 0
    lag_s: int = 36 * 3600
    month_lag_s: int = 10 * 86_400
    consecutive: bool = False
    row_bytes: int = 16

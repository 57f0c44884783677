"""Which part of a range comes from an exchange's files, and which from its API."""

from __future__ import annotations

from typing import NamedTuple

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.instrument import Instrument
from dccd.domain.types import Transport
from dccd.sources.base import ByWindow

# Bars of fewer pages than this are asked for: it is over before many files have come.
WORTH_PAGES = 200


class Share(NamedTuple):
    """An interval, and where it comes from: ``REST`` or ``ARCHIVE``."""

    transport: Transport
    interval: Interval


def shares(
    todo: IntervalSet,
    dataset: DatasetId,
    instrument: Instrument,
    source: BoundSource,
    *,
    transport: Transport,
    now_ns: int,
    kept_ns: int,
) -> tuple[Share, ...]:
    """What of `todo` comes from where, in order of time.

    Left to choose, whole days come from files, if that is worth it, and so does what the API no longer keeps.

    Parameters
    ----------
    transport : Transport
        As asked for.
    kept_ns : int
        Since when the API keeps its history.
    """
    by_file = IntervalSet()
    if transport is not Transport.REST:
        by_file = todo & source.archived.reach(dataset, instrument, now_ns)
    if transport is Transport.AUTO and by_file:
        whole = source.archived.days(dataset, instrument, by_file, whole_only=True)
        chosen = whole if _worth(whole, dataset, instrument, source) else IntervalSet()
        # To the end of the day: at the very edge of what an API keeps nobody knows what it still gives.
        beyond = by_file.clip(0, kept_ns)
        beyond = source.archived.days(dataset, instrument, beyond, whole_only=False)
        by_file &= chosen | beyond
    by_rest = IntervalSet() if transport is Transport.ARCHIVE else todo - by_file
    parts = [Share(Transport.ARCHIVE, each) for each in by_file]
    parts += [Share(Transport.REST, each) for each in by_rest]
    return tuple(sorted(parts, key=lambda share: share.interval))


def _worth(whole: IntervalSet, dataset: DatasetId, instrument: Instrument, source: BoundSource) -> bool:
    """Whether files save a noticeable number of requests."""
    history = source.source.history[dataset.data_type]
    if dataset.span is None or not isinstance(history, ByWindow):
        return True
    bars = sum(dataset.span.count(start, end) for start, end in whole)
    return bars > WORTH_PAGES * history.rows[instrument.market]

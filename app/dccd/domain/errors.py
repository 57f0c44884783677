"""Everything the program raises on purpose, as one tree.

::

    DccdError
    ├── UsageError              wrong use; nothing was tried
    │   ├── UnknownExchange
    │   ├── UnknownSymbol
    │   ├── AmbiguousSymbol     (carries the choices)
    │   ├── InvalidSpan
    │   ├── InvalidRange
    │   ├── UnknownDataset
    │   ├── UnknownRun
    │   ├── UnknownTrash
    │   ├── DatasetBusy         retryable: something writes to it
    │   ├── RunsUnderWay        retryable: they have to end before
    │   ├── NoCapability        the exchange does not offer it
    │   └── ConfigError
    ├── ExchangeError           the exchange, or the way to it
    │   ├── NetworkError        retryable
    │   ├── ExchangeUnavailable retryable (5xx)
    │   ├── Throttled           retryable, after ``retry_after_s``
    │   ├── ExchangeRefused     the exchange's own words
    │   ├── MalformedPayload
    │   └── BrokenBook          retryable: begin anew with a snapshot
    ├── StorageError
    │   ├── DiskFull
    │   ├── DataFolderUnusable
    │   ├── DataFolderLocked
    │   └── CorruptFile
    └── AccessDenied            a request to the local API that may not be

A message says what was being done, to what, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class DccdError(Exception):
    """Base of all errors raised on purpose.

    Attributes
    ----------
    code : str
        Stable, machine-readable name; API clients may rely on it.
    retryable : bool
        Whether the same attempt may succeed later without a change by a person.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class UsageError(DccdError):
    """The request cannot be carried out as it was put; nothing was tried."""

    code = "usage"


class UnknownExchange(UsageError):
    """No source has this name."""

    code = "unknown_exchange"

    def __init__(self, exchange: str, known: Sequence[str]) -> None:
        self.exchange = exchange
        super().__init__(f"There is no exchange {exchange!r}. Known: {', '.join(sorted(known))}.")


class UnknownSymbol(UsageError):
    """The exchange lists no such instrument."""

    code = "unknown_symbol"

    def __init__(self, exchange: str, symbol: str, similar: Sequence[str] = ()) -> None:
        self.exchange, self.symbol, self.similar = exchange, symbol, tuple(similar)
        hint = f" Did you mean {', '.join(similar)}?" if similar else " Search the symbols in the app."
        super().__init__(f"{exchange} lists no {symbol!r}.{hint}")


class AmbiguousSymbol(UsageError):
    """A form such as ``BTC/USD:perp`` that stands for more than one contract."""

    code = "ambiguous_symbol"

    def __init__(self, exchange: str, symbol: str, choices: Sequence[str]) -> None:
        self.exchange, self.symbol, self.choices = exchange, symbol, tuple(choices)
        super().__init__(
            f"{symbol!r} stands for more than one contract on {exchange}. "
            f"Choose one of: {', '.join(choices)}."
        )


class InvalidSpan(UsageError):
    """A span that cannot be read, or that a data type needs or must not have."""

    code = "invalid_span"


class InvalidRange(UsageError):
    """A time range that cannot be read, ends before it starts or lies in the future."""

    code = "invalid_range"


class UnknownDataset(UsageError):
    """Nothing is stored under this dataset."""

    code = "unknown_dataset"


class UnknownRun(UsageError):
    """No run has this id."""

    code = "unknown_run"


class UnknownTrash(UsageError):
    """Nothing with this id lies in the trash."""

    code = "unknown_trash"


class DatasetBusy(UsageError):
    """Something writes to the dataset, which it has to be left in peace for."""

    code = "dataset_busy"
    retryable = True


class RunsUnderWay(UsageError):
    """Runs have not ended, and would be in the way."""

    code = "runs_under_way"
    retryable = True

    def __init__(self, running: int) -> None:
        words = "1 run is" if running == 1 else f"{running:,} runs are"
        super().__init__(f"{words} under way. Wait for the end, or stop what runs, and try again.")


class NoCapability(UsageError):
    """The exchange does not offer this combination, as far as its source declares."""

    code = "no_capability"

    def __init__(self, exchange: str, data_type: str, mode: str, reason: str) -> None:
        self.exchange, self.data_type, self.mode = exchange, data_type, mode
        super().__init__(f"{exchange} offers no {mode} {data_type} here: {reason}")


class ConfigError(UsageError):
    """The configuration cannot be read or has a value that makes no sense."""

    code = "config"


class ExchangeError(DccdError):
    """Something went wrong at the exchange, or on the way to it."""

    code = "exchange"


class NetworkError(ExchangeError):
    """No answer: no route, no name, connection refused, reset or timed out."""

    code = "network"
    retryable = True


class ExchangeUnavailable(ExchangeError):
    """The exchange answered that it cannot serve now (HTTP 5xx or its own code for it)."""

    code = "exchange_unavailable"
    retryable = True


class Throttled(ExchangeError):
    """The exchange asked for fewer requests.

    Attributes
    ----------
    retry_after_s : float or None
        The wait it asked for, in seconds; None when it named none.
    """

    code = "throttled"
    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ExchangeRefused(ExchangeError):
    """The exchange refused the request.

    Attributes
    ----------
    native_code : str or None
        The exchange's own error code.
    """

    code = "exchange_refused"

    def __init__(self, message: str, native_code: str | None = None) -> None:
        self.native_code = native_code
        super().__init__(message)


class MalformedPayload(ExchangeError):
    """An answer that is not what the exchange documents."""

    code = "malformed_payload"


class BrokenBook(ExchangeError):
    """A message of an order book is missing, or its checksum is another: what was held is right no more."""

    code = "broken_book"
    retryable = True


class StorageError(DccdError):
    """The data folder could not do what was asked."""

    code = "storage"


class DiskFull(StorageError):
    """No room; nothing that was acknowledged is lost."""

    code = "disk_full"
    retryable = True


class DataFolderUnusable(StorageError):
    """The data folder is missing, not a folder, not writable, or belongs to another program."""

    code = "data_folder_unusable"


class DataFolderLocked(StorageError):
    """Another process works on this data folder.

    Attributes
    ----------
    holder : str
        Who holds the lock: ``host, pid``.
    """

    code = "data_folder_locked"

    def __init__(self, message: str, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class CorruptFile(StorageError):
    """A file of ours that cannot be read back; it is kept aside, never dropped."""

    code = "corrupt_file"


class AccessDenied(DccdError):
    """A request to the local API without the right to make it."""

    code = "access_denied"

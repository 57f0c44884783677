"""What checks on this data folder have confirmed: a small file of its own, replaced whole.

That an exchange's answers are read rightly may rest on its documentation alone. Where a check has fetched
stored rows again and found them the same, their kind counts as confirmed here, until a check finds otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from dccd.domain.types import DataType, Market, Transport
from dccd.storage.fs import FileSystem, RealFileSystem, in_words

_SIZE_MAX = 1 << 20  # there are a few dozen kinds


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A check that found no difference: the newest of its kind.

    Attributes
    ----------
    exchange, data_type, market, transport
        The kind of rows.
    dataset : str
        Id of the dataset that was checked.
    checked_ns : int
        When, nanoseconds UTC.
    rows : int
        How many rows were the same.
    """

    exchange: str
    data_type: DataType
    market: Market
    transport: Transport
    dataset: str
    checked_ns: int
    rows: int

    def is_of_the_kind_of(self, other: Confirmation) -> bool:
        """Whether it says something about the same kind of rows."""
        return (self.exchange, self.data_type, self.market, self.transport) == (
            other.exchange,
            other.data_type,
            other.market,
            other.transport,
        )


class Confirmations:
    """The file of a data folder; one process at a time writes it, and any may read it.

    Parameters
    ----------
    data_path : Path
    """

    def __init__(self, data_path: Path, fs: FileSystem | None = None) -> None:
        self._path = data_path / ".dccd" / "confirmed.json"
        self._fs = fs or RealFileSystem()

    def read(self) -> list[Confirmation]:
        """All there are; of a file that is missing or damaged none, as checks can be made again."""
        try:
            file = self._fs.open(self._path)
        except OSError:
            return []
        try:
            return msgspec.json.decode(file.read_at(0, _SIZE_MAX), type=list[Confirmation])
        except (OSError, msgspec.MsgspecError):
            return []
        finally:
            file.close()

    def note(self, made: Confirmation, *, passed: bool) -> None:
        """Keep what a check found in place of what the last one of this kind did; durable when this returns.

        Parameters
        ----------
        passed : bool
            False takes back what an earlier check had confirmed.

        Raises
        ------
        DiskFull, StorageError
            What was known before stays.
        """
        others = [known for known in self.read() if not known.is_of_the_kind_of(made)]
        kept = [*others, made] if passed else others
        fresh = self._path.with_suffix(".new")
        with in_words("noting what a check has confirmed"):
            self._fs.remove(fresh)
            file = self._fs.create(fresh)
            try:
                file.append(msgspec.json.encode(kept))
                file.sync()
            finally:
                file.close()
            self._fs.replace(fresh, self._path)
            self._fs.sync_folder(self._path.parent)

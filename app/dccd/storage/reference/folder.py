"""What a folder of the dccd 3 package holds: its datasets, and whatever else lies there, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.errors import UsageError
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType
from dccd.storage.reference.names import exchange_of, its_name, span_of, symbol_of
from dccd.storage.reference.recognise import DATA_TYPES, STATE, sign_of_reference


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something in the folder that is not taken over.

    Attributes
    ----------
    place : str
        Relative to the folder, with ``/``.
    reason : str
        In words.
    """

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class OldDataset:
    """One of its datasets, and what it is called here.

    Attributes
    ----------
    place : str
        Its folder, relative, with ``/``.
    name : str
        What its own databases call it.
    files : tuple of Path
        Its period files, by name, and so by time.
    """

    place: str
    name: str
    exchange: str
    symbol: Symbol
    data_type: DataType
    span: Span | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything in a folder: what can be taken over, and what cannot.

    Attributes
    ----------
    names : frozenset of str
        What its own databases call the datasets that have a folder, those left out too.
    """

    folder: Path
    datasets: tuple[OldDataset, ...]
    left_out: tuple[LeftOut, ...]
    names: frozenset[str]


def list_folder(folder: Path) -> Listing:
    """List a folder of the package; no file is opened, nothing is changed.

    Links are followed. Any file that ends in ``.parquet`` counts, as it does there.

    Raises
    ------
    UsageError
        There is no such folder, or nothing of the package is in it.
    """
    if not folder.is_dir():
        what = "that is a file" if folder.exists() else "there is no such folder"
        raise UsageError(f"Adopting {folder}: {what}. Name the data folder of the dccd 3 package.")
    if sign_of_reference(folder) is None:
        raise UsageError(
            f"Adopting {folder}: nothing of the dccd 3 package is in it. Name its data folder, which holds "
            "EXCHANGE/ohlc/PAIR/SPAN/YEAR.parquet."
        )
    walk = _Walk(folder)
    walk.run()
    return Listing(folder, tuple(walk.datasets), tuple(walk.left_out), frozenset(walk.names))


class _Walk:
    """One look through the folder, to the depth that the layout has and no further."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.datasets: list[OldDataset] = []
        self.left_out: list[LeftOut] = []
        self.names: set[str] = set()

    def run(self) -> None:
        for exchange in self._folders(self._folder, "the folder of an exchange"):
            if exchange.name == STATE:
                continue
            for kind in self._folders(exchange, "the folder of a data type"):
                if kind.name not in DATA_TYPES:
                    self._leave(kind, f"{kind.name} is no data type of the package")
                    continue
                self._pairs(exchange.name, DataType(kind.name), kind)

    def _pairs(self, exchange: str, data_type: DataType, kind: Path) -> None:
        for pair in self._folders(kind, "the folder of a pair"):
            if data_type not in SPAN_TYPES:
                self._dataset(exchange, data_type, pair, None, pair)
                continue
            for span in self._folders(pair, "the folder of a span"):
                self._dataset(exchange, data_type, pair, span.name, span)

    def _dataset(
        self, exchange: str, data_type: DataType, pair: Path, label: str | None, folder: Path
    ) -> None:
        try:
            span = None if label is None else span_of(label)
            name = its_name(exchange, pair.name, data_type, span)
            self.names.add(name)
            ours = exchange_of(exchange)
            symbol = symbol_of(ours, pair.name, data_type)
        except UsageError as error:
            self._leave(folder, str(error).rstrip("."))
            return
        files = tuple(self._files(folder))
        if files:
            self.datasets.append(OldDataset(self._place(folder), name, ours, symbol, data_type, span, files))

    def _folders(self, folder: Path, wanted: str) -> Iterator[Path]:
        for path in self._entries(folder):
            if path.is_dir():
                yield path
            else:
                self._leave(path, f"it is not {wanted}")

    def _files(self, folder: Path) -> Iterator[Path]:
        for path in self._entries(folder):
            if ".parquet.tmp." in path.name:
                self._leave(path, "it is left over from a write that never ended")
            elif path.suffix != ".parquet":
                self._leave(path, "it is no Parquet file")
            elif not path.is_file():
                self._leave(path, "it cannot be opened as a file; a link that leads nowhere, perhaps")
            else:
                yield path

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            self._leave(folder, f"it cannot be looked into ({error.strerror})")
            return []

    def _leave(self, path: Path, reason: str) -> None:
        self.left_out.append(LeftOut(self._place(path), reason))

    def _place(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

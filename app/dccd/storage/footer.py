"""What a period file says about itself: the key `dccd` of its Parquet footer."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile, DccdError
from dccd.domain.timeutils import US_NS
from dccd.storage.epochs import NOTHING_REPLACED, Replaced
from dccd.storage.fs import Entry
from dccd.storage.schema import SCHEMA_VERSION, arrow_schema

KEY = b"dccd"
SEAL_KEY = b"dccd_seal"
SEAL_BLANK = b"0" * 8
_SEAL_AT = SEAL_KEY + b"\x18\x08"  # in Thrift's compact form: the next field, a string of eight bytes
_END = struct.Struct("<I4s")


@dataclass(frozen=True, slots=True)
class Footer:
    """The truth about a period file, written with it.

    Attributes
    ----------
    covered : IntervalSet
        What of the period was fetched whole.
    applied : mapping of str to int
        By journal (hex UUID) the last frame of the dataset that is in the file.
    rows : int
    sha256 : str
        Of the file's first `data_size` bytes: all but the footer.
    data_size : int
    sources : tuple of str
        Where the rows came from.
    replaced : Replaced
        What of the period was fetched anew: rows from earlier epochs are not in the file, and never will be.
    epoch : int
        The greatest of the pages that are in the file.
    """

    dataset: DatasetId
    period: Period
    covered: IntervalSet
    applied: Mapping[str, int]
    rows: int
    sha256: str
    data_size: int
    sources: tuple[str, ...] = ()
    replaced: Replaced = NOTHING_REPLACED
    epoch: int = 0

    def encode(self) -> bytes:
        """JSON with a CRC of the rest of it, since Parquet's own footer has none."""
        replaced = {"replaced": [[epoch, [*held]] for epoch, held in self.replaced]} if self.replaced else {}
        epoch = {"epoch": self.epoch} if self.epoch else {}
        body = json.dumps(
            {
                "schema": SCHEMA_VERSION,
                "dataset": str(self.dataset),
                "period": [self.period.name, *self.period.interval],
                "covered": [*self.covered],
                "applied": dict(self.applied),
                "rows": self.rows,
                "sha256": self.sha256,
                "data_size": self.data_size,
                "sources": [*self.sources],
                **replaced,
                **epoch,
            },
            separators=(",", ":"),
        )
        return f'{{"crc32":{zlib.crc32(body.encode())},"footer":{body}}}'.encode()

    @classmethod
    def decode(cls, text: bytes) -> Footer:
        """Read what :meth:`encode` wrote.

        Raises
        ------
        CorruptFile
            It is not that, or a newer program's.
        """
        try:
            head, _, rest = text.partition(b',"footer":')
            if head != f'{{"crc32":{zlib.crc32(rest[:-1])}'.encode():
                raise CorruptFile("its footer fails its checksum")
            body = json.loads(rest[:-1])
            if body["schema"] > SCHEMA_VERSION:
                raise CorruptFile(f"it was written by a newer program (schema {body['schema']})")
            dataset = _dataset(body["dataset"])
            replaced = Replaced(
                (epoch, IntervalSet(map(tuple, held))) for epoch, held in body.get("replaced", ())
            )
            return cls(
                dataset,
                dataset.period(body["period"][1]),
                IntervalSet(tuple(item) for item in body["covered"]),
                body["applied"],
                body["rows"],
                body["sha256"],
                body["data_size"],
                tuple(body["sources"]),
                replaced,
                body.get("epoch", replaced.epoch),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CorruptFile(f"its footer cannot be read ({error})") from error
        except DccdError as error:
            raise CorruptFile(str(error)) from error


@lru_cache(maxsize=4096)
def _dataset(text: str) -> DatasetId:
    return DatasetId.parse(text)  # the files of a folder are of few datasets


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A published period file.

    Attributes
    ----------
    path : str
        Relative to the data folder, with ``/``.
    size_bytes, mtime_ns : int
        As the file system says.
    first_ns, last_ns : int
        Timestamps of the first and the last row, both inclusive; 0 without rows.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    first_ns: int
    last_ns: int
    footer: Footer

    @property
    def period(self) -> Period:
        """Its share of time."""
        return self.footer.period

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.footer.rows

    @property
    def sha256(self) -> str:
        """Hash of its data."""
        return self.footer.sha256


def seal(tail: bytearray) -> None:
    """Write into a file's end (all that follows its data) the CRC of that end.

    Parquet's footer has no checksum. Arrow trusts it so far as to end the process over one flipped bit, and
    the statistics in it decide which rows are looked at.
    """
    at = tail.rindex(_SEAL_AT) + len(_SEAL_AT)
    tail[at : at + len(SEAL_BLANK)] = b"%08x" % zlib.crc32(tail)


def check_seal(source: pa.NativeFile) -> None:
    """Check a file's end before anything else reads it.

    Raises
    ------
    CorruptFile
        It is not as :func:`seal` left it, or was never sealed.
    """
    size = source.size()
    source.seek(max(size - _END.size, 0))
    end = source.read(_END.size)
    length = _END.unpack(end)[0] if len(end) == _END.size else size
    if length + _END.size > size:
        raise CorruptFile("its footer is damaged or cut off")
    source.seek(size - length - _END.size)
    tail = bytearray(source.read(length + _END.size))
    at = tail.rfind(_SEAL_AT) + len(_SEAL_AT)
    found = bytes(tail[at : at + len(SEAL_BLANK)])
    tail[at : at + len(SEAL_BLANK)] = SEAL_BLANK
    if found != b"%08x" % zlib.crc32(tail):
        raise CorruptFile("its footer is damaged, or was not written by this program")
    source.seek(0)


def read_info(source: pa.NativeFile, path: str, entry: Entry) -> FileInfo:
    """A file seen through its footer; the rows are not read.

    Raises
    ------
    CorruptFile
        It is no Parquet file, or none of ours, or its columns are not what its dataset has.
    """
    try:
        check_seal(source)
        metadata = pq.read_metadata(source)
        text = (metadata.metadata or {}).get(KEY)
        schema = metadata.schema.to_arrow_schema()
    except CorruptFile as error:
        raise CorruptFile(f"{path} cannot be read: {error}.") from error
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{path} cannot be read as Parquet ({error}).") from error
    if text is None:
        raise CorruptFile(f"{path} was not written by this program.")
    try:
        footer = Footer.decode(text)
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}.") from error
    expected = f"{footer.dataset.folder}/{footer.period.name}.parquet"
    if expected != path or footer.rows != metadata.num_rows:
        raise CorruptFile(f"{path} is not what its footer says ({expected}, {footer.rows} rows).")
    if schema.remove_metadata() != arrow_schema(footer.dataset.data_type):
        raise CorruptFile(f"{path} has other columns than {footer.dataset.data_type} has.")
    bounds = [row_group_bounds(metadata, index) for index in range(metadata.num_row_groups)]
    first, last = min((low for low, _ in bounds), default=0), max((high for _, high in bounds), default=0)
    return FileInfo(path, entry.size, entry.mtime_ns, first * US_NS, last * US_NS, footer)


def row_group_bounds(metadata: pq.FileMetaData, index: int) -> tuple[int, int]:
    """First and last timestamp of a row group in microseconds, both inclusive."""
    statistics = metadata.row_group(index).column(0).statistics
    if statistics is None or statistics.min_raw is None or statistics.max_raw is None:
        raise CorruptFile("A row group says nothing about its timestamps.")
    return int(statistics.min_raw), int(statistics.max_raw)

"""Files of an archive on their way to this disk: resumed where they were cut, and proven whole."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dccd.domain.errors import (
    DiskFull,
    ExchangeError,
    ExchangeRefused,
    ExchangeUnavailable,
    MalformedPayload,
    StorageError,
    Throttled,
)
from dccd.sources.base import Request, Response
from dccd.transport.http import HttpTransport

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LEFT_OVER_S = 3 * 86_400  # what a run left behind that was never taken up again
_RANGE_START = re.compile(r"bytes (\d+)-")
_RANGE_TOTAL = re.compile(r"bytes \*/(\d+)")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# Exchanges name their symbols, and so files: Windows takes a backslash for a folder, a colon for a stream.
_NO_NAME = re.compile(r"[^A-Za-z0-9.%_-]")
_NAME_MAX = 100


class Downloads:
    """The files of one exchange's archive that are on this disk just now.

    A file that was cut short stays, and the next attempt, in this process or a later one, goes on from there:
    whether the pieces fit is proven by its checksum, or by the sums that gzip and zip keep.

    Parameters
    ----------
    name : str
        The exchange's, for errors.
    http : HttpTransport
    folder : Path
        Made when needed; nothing else is kept in it.
    """

    def __init__(self, name: str, http: HttpTransport, folder: Path) -> None:
        self._name, self._http, self._folder = name, http, folder
        self._coming: dict[str, int] = {}
        self._locks: dict[Path, asyncio.Lock] = {}

    def doing(self) -> str | None:
        """What is being downloaded, for people."""
        if not self._coming:
            return None
        size = sum(self._coming.values())
        names = sorted(self._coming)
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"downloading {names[0]}{others}, {size / 1e6:.1f} MB so far"

    async def size(self, request: Request) -> int | None:
        """Bytes of a file, None where there is none, or its host does not say."""

        def read(response: Response) -> int | None:
            stated = response.headers.get("content-length", "")
            return int(stated) if response.status < 300 and stated.isdecimal() else None

        head = Request(request.host, request.path, method="HEAD")
        return await self._http.download(lambda: head, None, read, self._error)

    async def get(
        self, request: Request, checksum: Request | None, whole: Callable[[Path], None]
    ) -> Path | None:
        """A file, proven whole, on this disk; the caller calls :meth:`drop`. None where there is none.

        Parameters
        ----------
        checksum : Request or None
            For the file that has its SHA-256.
        whole : callable (path) -> None
            Reads a file that has no checksum from end to end; raises :exc:`ValueError` where it is not whole.

        Raises
        ------
        MalformedPayload
            It is not whole, fetched anew too.
        ExchangeError
            The host, or the way to it, failed; what came is kept for the next time.
        DiskFull, StorageError
            The disk refused.
        """
        path = self._place(request)
        await self._locks.setdefault(path, asyncio.Lock()).acquire()
        try:
            for attempt in (1, 2):
                if not await self._fetched(request, path):
                    self.drop(path)
                    return None
                wanted = None if checksum is None else await self._sum(checksum)
                wrong = await asyncio.to_thread(_wrong, path, wanted, whole)
                if wrong is None:
                    return path
                with _in_words(path):
                    await asyncio.to_thread(path.unlink)
                if attempt == 2:
                    raise MalformedPayload(f"{self._name}'s file {request.path} is damaged: {wrong}.")
        except BaseException:
            self._locks[path].release()
            raise
        return None

    def drop(self, path: Path) -> None:
        """Remove a file that was got."""
        with _in_words(path):
            path.unlink(missing_ok=True)
        self.release(path)

    def release(self, path: Path) -> None:
        """Leave a file that was got for the next time; idempotent."""
        lock = self._locks.get(path)
        if lock is not None and lock.locked():
            lock.release()

    def sweep(self) -> None:
        """Remove what runs left behind some days ago."""
        before_s = time.time() - _LEFT_OVER_S
        with _in_words(self._folder):
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                lock = self._locks.get(path)
                if (lock is None or not lock.locked()) and path.stat().st_mtime < before_s:
                    path.unlink(missing_ok=True)

    def _place(self, request: Request) -> Path:
        """Where a file lies: its own name, made unique by where it comes from, and a name everywhere."""
        address = hashlib.sha256(f"{self._name} {request.host} {request.path}".encode()).hexdigest()
        name = _NO_NAME.sub("_", request.path.rpartition("/")[2])[-_NAME_MAX:]
        return self._folder / f"{address[:16]}-{name}"

    async def _fetched(self, request: Request, path: Path) -> bool:
        """Whether there is such a file; it is on this disk then, as far as its host's word goes."""

        def ask() -> Request:
            size = _size(path)
            # As it is kept, whatever a server would like to compress besides.
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={size}-"} if size else {})}
            return Request(request.host, request.path, headers=headers)

        async def sink(status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> None:
            begins = _RANGE_START.match(headers.get("content-range", "")) if status == 206 else None
            await self._write(path, int(begins[1]) if begins else 0, pieces)

        def there_is(response: Response) -> bool:
            if response.status == 416:
                total = _RANGE_TOTAL.match(response.headers.get("content-range", ""))
                if total is None or int(total[1]) != _size(path):
                    with _in_words(path):
                        path.unlink(missing_ok=True)
                    raise ExchangeUnavailable(f"{self._name}'s file {request.path} is another by now.")
            return response.status != 404

        try:
            return await self._http.download(ask, sink, there_is, self._error)
        finally:
            self._coming.pop(path.name, None)

    async def _write(self, path: Path, offset: int, pieces: AsyncIterator[bytes]) -> None:
        name = path.name.partition("-")[2]
        with _in_words(path):
            file = await asyncio.to_thread(_opened, path)
        with file:
            with _in_words(path):
                file.truncate(offset)
                file.seek(offset)
            self._coming[name] = offset
            try:
                async for piece in pieces:
                    with _in_words(path):
                        await asyncio.to_thread(file.write, piece)
                    self._coming[name] += len(piece)
            finally:
                self._coming.pop(name, None)

    async def _sum(self, checksum: Request) -> str | None:
        """The SHA-256 that a file is to have, None where its host has none of it."""

        def read(response: Response) -> str | None:
            if response.status == 404:
                return None
            stated = _SHA256.match(response.body.decode("ascii").strip())
            if stated is None:
                raise ValueError("no SHA-256")
            return stated[0].lower()

        return await self._http.download(lambda: checksum, None, read, self._error)

    def _error(self, response: Response) -> ExchangeError | None:
        """What is wrong with an answer; that there is no such file is not."""
        status = response.status
        if status < 300 or status in (404, 416):
            return None
        who = f"{self._name}'s archive"
        if status in (429, 503):
            after = response.headers.get("retry-after", "")
            wait_s = float(after) if after.isdecimal() else None
            return Throttled(f"{who} asked for fewer requests (HTTP {status}).", wait_s)
        if status >= 500:
            return ExchangeUnavailable(f"{who} cannot answer now (HTTP {status}). Try again later.")
        return ExchangeRefused(f"{who} does not serve this network (HTTP {status}).", str(status))


def _opened(path: Path) -> BinaryIO:
    """To write to; what is in it stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("r+b" if path.exists() else "wb")


def _size(path: Path) -> int:
    with _in_words(path):
        return path.stat().st_size if path.exists() else 0


def _wrong(path: Path, sha256: str | None, whole: Callable[[Path], None]) -> str | None:
    """What is wrong with a file, None when it is as it was published."""
    with _in_words(path):
        if sha256 is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            return None if found == sha256 else f"its SHA-256 is {found}, and should be {sha256}"
        try:
            whole(path)
        except ValueError as error:
            return str(error)
    return None


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what the disk says into what a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(
                f"The disk is full: downloading {path.name} found no room. "
                "Free some space; nothing stored is lost."
            ) from error
        raise StorageError(f"The disk refused: keeping {path} failed ({error.strerror or error}).") from error

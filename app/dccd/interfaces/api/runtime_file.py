"""Where a running program is found: its address and secret, in a file only its user can read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path

from platformdirs import user_cache_path, user_runtime_path
from pydantic import BaseModel, ConfigDict, ValidationError

from dccd.domain.errors import StorageError
from dccd.storage.lock import holder


class RuntimeInfo(BaseModel):
    """How to reach the program that works on a data folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    secret: str
    pid: int


def write_runtime_file(data_path: Path, url: str, secret: str) -> Path:
    """Leave the address and the secret for other programs of this user; returns the file.

    The file appears whole, with mode 0600, in a folder with mode 0700.

    Raises
    ------
    StorageError
        Neither the runtime folder nor the cache folder can be written by us alone.
    """
    content = RuntimeInfo(url=url, secret=secret, pid=os.getpid()).model_dump_json().encode()
    failures = []
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if sys.platform != "win32" and folder.lstat().st_uid == os.getuid():
                folder.chmod(0o700)
            _require_private(folder)
            return _write(folder / _name(data_path), content)
        except OSError as error:
            failures.append(f"{folder} ({error.strerror})")
    raise StorageError(
        f"Writing the file by which other commands find this program failed in {' and in '.join(failures)}. "
        "Make one of these folders writable for you alone."
    )


def read_runtime_file(data_path: Path) -> RuntimeInfo | None:
    """How to reach the program that works on `data_path`, or None when none of this user's does.

    A program that was killed leaves its file behind, so it is believed only while the process that wrote
    it holds the data folder's lock.
    """
    working = holder(data_path)
    if working is None:
        return None
    for folder in _folders():
        file = folder / _name(data_path)
        try:
            _require_private(folder)
            _require_private(file)
            found = RuntimeInfo.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
        if found.pid == working.pid:
            return found
    return None


def remove_runtime_file(data_path: Path) -> None:
    """Take the file away, if it is there."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            (folder / _name(data_path)).unlink()


def _folders() -> tuple[Path, ...]:
    """Where the file may lie, the best first."""
    cache = user_cache_path("dccd", appauthor=False) / "run"
    if sys.platform == "linux" and not os.environ.get("XDG_RUNTIME_DIR"):
        return (cache,)  # the login gave no runtime folder, as under cron and su
    return user_runtime_path("dccd", appauthor=False), cache


def _name(data_path: Path) -> str:
    identity = os.path.normcase(data_path.resolve())
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"


def _write(file: Path, content: bytes) -> Path:
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return file


def _require_private(path: Path) -> None:
    """Raise PermissionError where another user could have put or could read what is there."""
    if sys.platform == "win32":
        return  # the profile's folders are private there
    found = path.lstat()
    if found.st_uid != os.getuid() or stat.S_ISLNK(found.st_mode) or found.st_mode & 0o077:
        raise PermissionError(1, "other users can get at it", str(path))

"""Whether a folder lies on another computer's disk, as far as this one's system tells."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from dccd.storage.quarantine import Problem

_MOUNTINFO = Path("/proc/self/mountinfo")
_REMOTE = 4  # DRIVE_REMOTE, what GetDriveType says of a mapped share
_SHARES = {
    "afpfs", "afs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
    "webdav",
}  # fmt: skip
_FUSE_SHARES = {"davfs2", "glusterfs", "gvfsd-fuse", "rclone", "s3fs", "smbnetfs", "sshfs"}


def network_share(path: Path) -> str | None:
    """The kind of network share that a folder lies on, None on a local disk or where that cannot be told."""
    path = path.resolve()
    if sys.platform == "win32":
        return _windows(path)
    try:
        if sys.platform == "darwin":
            listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True, timeout=5)
            return share_among(path, _of_mount(listing.stdout))
        return share_among(path, _of_mountinfo(_MOUNTINFO.read_text(encoding="utf-8", errors="replace")))
    except (OSError, subprocess.SubprocessError):
        return None


def share_problems(path: Path) -> list[Problem]:
    """What is to be said of a data folder's place: nothing, or that it is a network share's."""
    kind = network_share(path)
    if kind is None:
        return []
    return [
        Problem(
            f"The data folder lies on a network share ({kind}). Use it from one computer at a time: another "
            "that has it open is noticed by its heartbeat alone. What is written may reach the share later "
            "than it says. A disk of this computer is safer and faster."
        )
    ]


def share_among(path: Path, mounts: Iterable[tuple[str, str]]) -> str | None:
    """The kind of the innermost of these mounts (place, kind) that holds the path, if that is a share."""
    best, found = -1, ""
    for place, kind in mounts:
        parts = len(Path(place).parts)
        if parts >= best and path.is_relative_to(place):  # of two on one place the later one is seen
            best, found = parts, kind
    name = found.removeprefix("fuse.")
    return found if name in (_FUSE_SHARES if name != found else _SHARES) else None


def _of_mountinfo(text: str) -> Iterable[tuple[str, str]]:
    r"""Linux: ``36 35 98:0 / /mnt\\040x rw - nfs4 host:/x rw``, any number of fields before the dash."""
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        if dash:
            yield re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), before.split()[4]), after.split()[0]


def _of_mount(text: str) -> Iterable[tuple[str, str]]:
    """macOS: ``//me@host/x on /Volumes/x (smbfs, nodev)``."""
    for line in text.splitlines():
        if match := re.fullmatch(r".+? on (/.*) \((\w+)(, .*)?\)", line):
            yield match[1], match[2]


def _windows(path: Path) -> str | None:
    if path.drive.startswith("\\\\"):
        return "a share of another computer"
    import ctypes

    system: object = getattr(ctypes, "windll").kernel32  # noqa: B009 - it is there on Windows alone
    kind = system.GetDriveTypeW(f"{path.drive}\\")  # type: ignore[attr-defined]
    return "a network drive" if kind == _REMOTE else None

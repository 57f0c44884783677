"""A disk of the operating system's that is as small as a test wants, and grows when it says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_AMPLE_BYTES = 256 << 20


class SmallDisk:
    """A mounted tmpfs, which gives room in whole pages and refuses the rest with ENOSPC, as disks do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, pages: int) -> None:
        """Have room for so many pages more than are used now, and for no other."""
        stat = os.statvfs(self.path)
        used = stat.f_blocks - stat.f_bfree
        self._resize(max(used + pages, 1) * PAGE_BYTES)

    def ample(self) -> None:
        """Have room for all that a test may want."""
        self._resize(_AMPLE_BYTES)

    @property
    def used_pages(self) -> int:
        """Pages with anything in them."""
        stat = os.statvfs(self.path)
        return stat.f_blocks - stat.f_bfree

    def _resize(self, size_bytes: int) -> None:
        _as_root("mount", "-o", f"remount,size={size_bytes}", str(self.path))


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A disk at `path`, ample at first; unmounted at the end."""
    path.mkdir()
    _as_root("mount", "-t", "tmpfs", "-o", f"size={_AMPLE_BYTES},mode=777", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        _as_root("umount", "--lazy", str(path))  # a test that failed may have left files open


def _as_root(*command: str) -> None:
    prefix = () if os.geteuid() == 0 else ("sudo", "-n")
    subprocess.run([*prefix, *command], check=True, capture_output=True)

"""What some tests need beyond Python packages, how to tell that it is missing, and how to get it.

A test says `@pytest.mark.needs("display")` (or asks for a fixture that does). Where that is missing the test
skips, and its reason says what to install; with `DCCD_REQUIRE=all` it fails instead.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libnss3.so": "libnss3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libXcomposite.so.1": "libxcomposite1",
}
DISPLAY_TOOLS = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "xdotool": "xdotool",
    "wmctrl": "wmctrl",
    "trayer": "trayer",
    "dbus-run-session": "dbus-x11",
}


def everything_is_required() -> bool:
    """Say whether a skip is a failure in this run."""
    return os.environ.get("DCCD_REQUIRE") == "all"


def shared_folder() -> Path:
    """Return where the shared data sets are, or would be."""
    return Path(os.environ.get("DCCD_SHARED") or ROOT.parent / "shared")


def chromium() -> str | None:
    """Return the path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def missing(what: str) -> str | None:
    """Return None when `what` is there, else one sentence: what is missing and how to get it.

    Raises
    ------
    KeyError
        `what` is none of the names in `PROBES`.
    """
    return PROBES[what]()


def require(what: str) -> None:
    """Skip the running test when `what` is missing (fail it when everything is required)."""
    if (reason := missing(what)) is not None:
        pytest.skip(reason)


def _shared() -> str | None:
    folder = shared_folder()
    if folder.is_dir():
        return None
    return f"no shared data sets at {folder}: put them there, or name their folder in DCCD_SHARED"


def _browser() -> str | None:
    if chromium() is None:
        return "no Chromium on PATH: apt install chromium"
    return None


def _display() -> str | None:
    packages = [package for tool, package in DISPLAY_TOOLS.items() if shutil.which(tool) is None]
    packages += [package for library, package in QT_LIBRARIES.items() if not _loads(library)]
    if packages:
        return f"no window can be opened: apt install {' '.join(packages)}"
    return None


def _java() -> str | None:
    return _tool("java", "default-jre-headless")


def _reference() -> str | None:
    """The dccd 3 package, which uv installs apart from this program."""
    return None if shutil.which("uv") else "no uv on PATH: pip install uv"


@cache
def _mount() -> str | None:
    """A disk of the operating system's that can be made as small as a test wants."""
    from tests.faults.small_disk import small_disk

    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder) / "disk"):
                return None
        except (OSError, subprocess.CalledProcessError):
            return "no tmpfs can be mounted: run as root, or where `sudo -n mount` works"


def _spark() -> str | None:
    if (reason := _java()) is not None:
        return reason
    return _heavy("pyspark")


def _ccxt() -> str | None:
    return _heavy("ccxt")


def _heavy(package: str) -> str | None:
    # When everything is required, the fixture `heavy_python` has uv fetch what the heavy group would hold.
    if importlib.util.find_spec(package) or (everything_is_required() and shutil.which("uv")):
        return None
    return f"no {package}: uv sync --group heavy"


def _strace() -> str | None:
    return _tool("strace", "strace")


def _tool(command: str, package: str) -> str | None:
    return None if shutil.which(command) else f"no {command} on PATH: apt install {package}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


PROBES: dict[str, Callable[[], str | None]] = {
    "browser": _browser,
    "display": _display,
    "java": _java,
    "mount": _mount,
    "reference": _reference,
    "shared": _shared,
    "ccxt": _ccxt,
    "spark": _spark,
    "strace": _strace,
}

"""Why no window could be opened here, found out before trying, as Qt ends the whole process when it fails."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What Qt's window and web engine load from the system, and the Debian package each comes in.
PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libXcomposite.so.1": "libxcomposite1",
    "libXdamage.so.1": "libxdamage1",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXrandr.so.2": "libxrandr2",
    "libXtst.so.6": "libxtst6",
    "libasound.so.2": "libasound2",
    "libdbus-1.so.3": "libdbus-1-3",
    "libexpat.so.1": "libexpat1",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgbm.so.1": "libgbm1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libnspr4.so": "libnspr4",
    "libnss3.so": "libnss3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-dri3.so.0": "libxcb-dri3-0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbfile.so.1": "libxkbfile1",
}
# Without any font Qt starts, and shows an empty window.
FONT_PACKAGE = "fonts-dejavu-core"

# Releases from which Debian's libraries with 64-bit times carry another name.
T64_RELEASES = {"debian": 13.0, "ubuntu": 24.04}


@dataclass(frozen=True, slots=True)
class WindowProblem:
    """Why no window can be opened.

    Attributes
    ----------
    reason : str
        What is missing, without a full stop.
    packages : tuple of str
        Debian packages that mend it; empty when installing does not help.
    """

    reason: str
    packages: tuple[str, ...] = ()

    def __str__(self) -> str:
        remedy = f" Install with: sudo apt install {' '.join(self.packages)}" if self.packages else ""
        return f"No window can be opened: {self.reason}.{remedy}"


def window_problem(
    environ: Mapping[str, str] = os.environ, load: Callable[[str], None] | None = None
) -> WindowProblem | None:
    """Find out whether a window could be opened; None when nothing stands in the way.

    Only Linux is examined: elsewhere what a window needs is part of the system.

    Parameters
    ----------
    environ : mapping
        The environment to judge by.
    load : callable, optional
        Loads a shared library by its name or raises OSError; by default, the system's loader.

    Returns
    -------
    WindowProblem or None
        In one line when turned into a string.
    """
    if sys.platform != "linux":
        return None
    platform_name = environ.get("QT_QPA_PLATFORM", "").split(":")[0]
    headless = platform_name in {"offscreen", "minimal", "vnc"}
    if not headless and not environ.get("DISPLAY") and not environ.get("WAYLAND_DISPLAY"):
        return WindowProblem("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    if (missing := _missing_packages(load or _load)) is not None:
        return missing
    if headless or (environ.get("WAYLAND_DISPLAY") and platform_name != "xcb"):
        return None
    return _display_problem(environ["DISPLAY"])


def _missing_packages(load: Callable[[str], None]) -> WindowProblem | None:
    missing = []
    for library in PACKAGES:
        try:
            load(library)
        except OSError:
            missing.append(library)
    packages = {_package(PACKAGES[library]) for library in missing}
    if not any(_fonts()):
        missing.append("a font")
        packages.add(FONT_PACKAGE)
    if not missing:
        return None
    shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    verb = "is" if len(missing) == 1 else "are"
    return WindowProblem(f"{shown} {verb} missing", tuple(sorted(packages)))


def _load(library: str) -> None:
    """Load a library and let it go again; OSError when it, or one that it needs, is not there."""
    import _ctypes  # of CPython on POSIX alone; the only way to unload

    _ctypes.dlclose(ctypes.CDLL(library)._handle)


def _package(name: str) -> str:
    if name != "libasound2":
        return name
    # The others of these libraries still answer to their old names.
    with contextlib.suppress(OSError, ValueError, KeyError):
        release = platform.freedesktop_os_release()
        if float(release["VERSION_ID"]) >= T64_RELEASES[release["ID"]]:
            return "libasound2t64"
    return name


def _fonts() -> list[Path]:
    """Return the first font found, or nothing."""
    home = Path.home()
    for folder in (
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".local/share/fonts",
        home / ".fonts",
    ):
        for path in folder.rglob("*"):
            if path.suffix.lower() in {".ttf", ".otf", ".ttc", ".pfb"}:
                return [path]
    return []


def _display_problem(display: str) -> WindowProblem | None:
    """Connect to the X server as Qt would: the same library, and so the same address and cookie."""
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(display.encode(), None)
    try:
        if xcb.xcb_connection_has_error(connection):
            return WindowProblem(f"the display {display!r} does not answer, or refuses us (DISPLAY, xauth)")
    finally:
        xcb.xcb_disconnect(connection)
    return None

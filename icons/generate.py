"""Render the SVG sources beside this file into every icon the program and its packages use.

Run ``python icons/generate.py`` after a change to an SVG and commit what it writes: ``icons/dccd-*.png``,
``dccd.ico`` and ``dccd.icns`` for the packages, and the PNGs that the installed program loads at run time.
It needs Qt's SVG renderer, a dependency of the program on Linux, and no display.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

HERE = Path(__file__).resolve().parent
RUNTIME = Path("app/dccd/interfaces/desktop/icons")

PNG_SIZES_PX = (16, 24, 32, 48, 64, 128, 256, 512)
ICO_SIZES_PX = (16, 24, 32, 48, 64, 128, 256)
TRAY_SIZE_PX = 64
WINDOW_SIZE_PX = 256

# Apple's four-letter types for PNG entries, and the size of each; the doubled sizes are the Retina ones.
ICNS_TYPES_PX = {
    b"icp4": 16,
    b"icp5": 32,
    b"ic11": 32,
    b"ic12": 64,
    b"ic07": 128,
    b"ic13": 256,
    b"ic08": 256,
    b"ic14": 512,
    b"ic09": 512,
    b"ic10": 1024,
}


def render(size_px: int, *layers: str) -> bytes:
    """Return a square PNG of the named SVG files, painted one over the other.

    Parameters
    ----------
    size_px : int
        Width and height.
    *layers : str
        File names beside this script, bottom first.
    """
    image = QImage(size_px, size_px, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for layer in layers:
        source = HERE / layer
        renderer = QSvgRenderer(str(source))
        if not renderer.isValid():
            raise SystemExit(f"{source} cannot be read as SVG.")
        renderer.render(painter)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(data.data())


def ico(pngs: dict[int, bytes]) -> bytes:
    """Pack PNGs, keyed by size in pixels, into a Windows icon (PNG entries: Vista and later)."""
    header = struct.pack("<HHH", 0, 1, len(pngs))
    offset = len(header) + 16 * len(pngs)
    entries, images = [], []
    for size_px, png in sorted(pngs.items()):
        side = size_px % 256  # one byte, in which 0 stands for 256
        entries.append(struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(png), offset))
        images.append(png)
        offset += len(png)
    return header + b"".join(entries) + b"".join(images)


def icns(pngs: dict[bytes, bytes]) -> bytes:
    """Pack PNGs, keyed by Apple's type, into a macOS icon."""
    body = b"".join(kind + struct.pack(">I", 8 + len(png)) + png for kind, png in pngs.items())
    return b"icns" + struct.pack(">I", 8 + len(body)) + body


def generate(root: Path) -> list[Path]:
    """Write every icon under `root`, laid out as in the project, and return what was written."""
    files: dict[Path, bytes] = {
        Path(f"icons/dccd-{size_px}.png"): render(size_px, "dccd.svg") for size_px in PNG_SIZES_PX
    }
    files[Path("icons/dccd.ico")] = ico({size_px: render(size_px, "dccd.svg") for size_px in ICO_SIZES_PX})
    files[Path("icons/dccd.icns")] = icns(
        {kind: render(size_px, "dccd.svg") for kind, size_px in ICNS_TYPES_PX.items()}
    )
    files[RUNTIME / "window.png"] = render(WINDOW_SIZE_PX, "dccd.svg")
    files[RUNTIME / "tray-idle.png"] = render(TRAY_SIZE_PX, "dccd.svg")
    for state in ("working", "attention"):
        files[RUNTIME / f"tray-{state}.png"] = render(TRAY_SIZE_PX, "dccd.svg", f"badge-{state}.svg")
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return list(files)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the icons from their SVG sources.")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="project folder to write into")
    for path in generate(parser.parse_args().root):
        print(path.as_posix())


if __name__ == "__main__":
    main()

import struct
import subprocess
import sys
from importlib.resources import files

import pytest

from dccd.interfaces.desktop.tray import TrayState, icon_png
from tests.needs import ROOT

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def size_px(png):
    assert png.startswith(PNG_MAGIC)
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("state", TrayState)
def test_each_state_of_the_tray_has_an_icon_in_the_package(state):
    assert size_px(icon_png(state)) == (64, 64)


def test_the_states_look_different():
    assert len({icon_png(state) for state in TrayState}) == len(TrayState)


def test_the_window_has_an_icon_in_the_package():
    assert size_px((files("dccd.interfaces.desktop") / "icons" / "window.png").read_bytes()) == (256, 256)


def test_the_windows_icon_holds_the_sizes_it_lists():
    data = (ROOT / "icons" / "dccd.ico").read_bytes()
    reserved, kind, count = struct.unpack_from("<HHH", data)
    assert (reserved, kind) == (0, 1)
    sizes = []
    for number in range(count):
        width, height, *_, length, offset = struct.unpack_from("<BBBBHHII", data, 6 + 16 * number)
        png = data[offset : offset + length]
        assert size_px(png) == (width or 256, height or 256)
        sizes.append(width or 256)
    assert sizes == [16, 24, 32, 48, 64, 128, 256]
    assert offset + length == len(data)


def test_the_macos_icon_holds_the_size_of_each_type():
    data = (ROOT / "icons" / "dccd.icns").read_bytes()
    assert data[:4] == b"icns"
    assert struct.unpack_from(">I", data, 4) == (len(data),)
    offset, sizes = 8, {}
    while offset < len(data):
        kind, length = data[offset : offset + 4], *struct.unpack_from(">I", data, offset + 4)
        sizes[kind.decode()] = size_px(data[offset + 8 : offset + length])[0]
        offset += length
    assert sizes["ic07"] == 128
    assert sizes["ic10"] == 1024
    assert sizes["ic11"] == 32


def test_what_is_committed_is_what_the_sources_render_to(tmp_path):
    pytest.importorskip("PySide6.QtSvg", exc_type=ImportError)
    from PySide6.QtGui import QImage

    generated = subprocess.run(
        [sys.executable, ROOT / "icons" / "generate.py", "--root", tmp_path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert generated
    for name in generated:
        assert (ROOT / name).exists(), f"{name}: run icons/generate.py and commit"
        if not name.endswith(".png"):
            continue
        # Not byte for byte: another release of Qt may smooth an edge or pack a PNG differently.
        images = [
            QImage(str(path)).convertToFormat(QImage.Format.Format_ARGB32)
            for path in (ROOT / name, tmp_path / name)
        ]
        # The view `constBits` gives does not keep its image alive: `images` does.
        committed, rendered = (bytes(image.constBits()) for image in images)
        assert len(committed) == len(rendered)
        difference = sum(abs(a - b) for a, b in zip(committed, rendered, strict=True)) / len(committed)
        assert difference < 1, f"{name} is out of date: run icons/generate.py and commit"

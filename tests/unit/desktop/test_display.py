import platform
import sys
from pathlib import Path

import pytest

from dccd.interfaces.desktop import display as examined
from dccd.interfaces.desktop.display import window_problem

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lacks a window system")


def loads(_library):
    return None


def lacks(*libraries):
    def load(library):
        if library in libraries:
            raise OSError(f"{library}: cannot open shared object file")

    return load


def test_no_display_is_said_in_one_line_without_a_remedy_that_would_not_help():
    problem = window_problem({}, loads)
    assert problem is not None
    assert problem.packages == ()
    assert str(problem) == (
        "No window can be opened: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)."
    )


def test_a_missing_library_names_its_debian_package():
    problem = window_problem({"WAYLAND_DISPLAY": "wayland-0"}, lacks("libxcb-cursor.so.0"))
    assert str(problem) == (
        "No window can be opened: libxcb-cursor.so.0 is missing."
        " Install with: sudo apt install libxcb-cursor0"
    )


def test_many_missing_libraries_are_counted_and_all_their_packages_named():
    problem = window_problem({"DISPLAY": ":0"}, lacks(*examined.PACKAGES))
    assert problem is not None
    assert "\n" not in str(problem)
    assert f"and {len(examined.PACKAGES) - 3} more are missing" in str(problem)
    assert len(problem.packages) == len(set(examined.PACKAGES.values()))


@pytest.mark.parametrize(
    ("release", "package"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "libasound2"),
        ({"ID": "debian", "VERSION_ID": "13"}, "libasound2t64"),
        ({"ID": "ubuntu", "VERSION_ID": "22.04"}, "libasound2"),
        ({"ID": "ubuntu", "VERSION_ID": "26.04"}, "libasound2t64"),
        ({"ID": "debian"}, "libasound2"),
        ({"ID": "fedora", "VERSION_ID": "44"}, "libasound2"),
    ],
)
def test_the_sound_library_has_the_name_of_the_release(monkeypatch, release, package):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    problem = window_problem({"WAYLAND_DISPLAY": "wayland-0"}, lacks("libasound.so.2"))
    assert problem is not None
    assert problem.packages == (package,)


def test_without_any_font_the_window_would_be_blank(monkeypatch):
    monkeypatch.setattr(examined, "_fonts", list)
    problem = window_problem({"WAYLAND_DISPLAY": "wayland-0"}, loads)
    assert str(problem) == (
        "No window can be opened: a font is missing. Install with: sudo apt install fonts-dejavu-core"
    )


@pytest.mark.needs("display")
def test_a_display_that_does_not_answer_is_found_out_before_qt_would_abort():
    problem = window_problem({"DISPLAY": ":64999"})
    assert problem is not None
    assert "':64999' does not answer" in problem.reason


def test_a_display_that_answers_is_no_problem(display):
    assert window_problem({"DISPLAY": display}) is None


@pytest.mark.needs("display")
def test_every_library_of_the_table_is_the_name_of_a_real_one():
    for library in examined.PACKAGES:
        examined._load(library)


def test_the_table_names_what_qt_itself_asks_for():
    """Each library in the table is one that a file of the installed Qt names as needed."""
    import PySide6

    qt = Path(PySide6.__path__[0]) / "Qt"
    parts = [
        "lib/libQt6WebEngineCore.so.6",
        "lib/libQt6Gui.so.6",
        "lib/libQt6DBus.so.6",
        "lib/libQt6XcbQpa.so.6",
        "plugins/platforms/libqxcb.so",
        "plugins/xcbglintegrations/libqxcb-glx-integration.so",
        "plugins/xcbglintegrations/libqxcb-egl-integration.so",
    ]
    text = b"".join((qt / part).read_bytes() for part in parts)
    assert [library for library in examined.PACKAGES if library.encode() + b"\0" not in text] == []

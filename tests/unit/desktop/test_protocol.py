import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccd.interfaces.desktop import protocol

COMMANDS = [
    protocol.Open("http://127.0.0.1:1", "ticket"),
    protocol.Show(),
    protocol.Raise(),
    protocol.Hide(),
    protocol.ChooseFolder(1, "Where to"),
    protocol.Quit(),
]
EVENTS = [
    protocol.Ready(),
    protocol.Shown(),
    protocol.Hidden(),
    protocol.Closed(),
    protocol.Folder(1, None),
    protocol.Failed("It broke."),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_comes_back_from_its_line(command):
    assert protocol.decode_command(protocol.encode(command)) == command


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_line(event):
    assert protocol.decode_event(protocol.encode(event)) == event


@given(title=st.text(), start=st.text())
def test_a_message_is_one_line_whatever_its_text(title, start):
    command = protocol.ChooseFolder(7, title, start)
    line = protocol.encode(command)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert protocol.decode_command(line) == command


@pytest.mark.parametrize(
    "line", [b"", b"hello\n", b"{}\n", b'{"cmd":"evaluate"}\n', b'{"cmd":"open"}\n', b'{"event":"ready"}\n']
)
def test_anything_else_is_refused(line):
    with pytest.raises(msgspec.DecodeError):
        protocol.decode_command(line)

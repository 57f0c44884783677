"""A stand-in for the window's process: the same lines over the same pipes, and no window.

Run as ``python standin.py LOG [FAULT]``; each line it is sent is appended to the file LOG. FAULT is one of
``dies`` (before it is ready), ``mute`` (never ready), ``deaf`` (ignores Quit and the end of its input),
``closed`` (by the person, before its page is loaded).
"""

import os
import signal
import sys
from pathlib import Path

from dccd.interfaces.desktop import protocol


def say(event: protocol.Event) -> None:
    sys.stdout.buffer.write(protocol.encode(event))
    sys.stdout.buffer.flush()


def main(log: Path, fault: str = "") -> None:
    if fault == "dies":
        sys.exit("the drawing surface is missing\n[12:34:1122/165102.1:ERROR:bus.cc:408] No bus")
    sys.stdout.buffer.write(b"a library that prints to standard output\n")
    for line in sys.stdin.buffer:
        with log.open("ab") as lines:
            lines.write(line)
        match protocol.decode_command(line):
            case protocol.Open():
                if fault != "mute":
                    say(protocol.Shown())
                    if fault == "closed":
                        say(protocol.Closed())
                        say(protocol.Hidden())
                    say(protocol.Ready())
            case protocol.Show() | protocol.Raise():
                say(protocol.Shown())
            case protocol.Hide():
                say(protocol.Hidden())
            case protocol.ChooseFolder(title="crash"):
                os._exit(3)
            case protocol.ChooseFolder(id=dialog_id, title="cancel"):
                say(protocol.Folder(dialog_id, None))
            case protocol.ChooseFolder(id=dialog_id, start=start):
                say(protocol.Folder(dialog_id, f"{start}/chosen"))
            case protocol.Quit() if fault != "deaf":
                return
    while fault == "deaf":
        signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

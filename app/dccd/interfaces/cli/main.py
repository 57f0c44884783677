"""Entry point of the command line: parse, run one command, turn its end into an exit status."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dccd.domain.errors import DccdError
from dccd.interfaces.cli.interrupt import interruptible
from dccd.interfaces.cli.output import mending
from dccd.interfaces.cli.parser import build_parser
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED, status_of_error

# command → module:function; imported when run, so that --help needs none of them.
_COMMANDS = {
    "serve": "serve:serve",
    "start": "serve:serve",
    "ui": "serve:serve",
    "backfill": "backfill:backfill",
    "read": "data:read",
    "inventory": "data:inventory",
    "capabilities": "capabilities:capabilities",
    "doctor": "doctor:doctor",
    "gaps": "gaps:gaps",
    "repair": "gaps:repair",
    "check": "check:check",
    "audit": "check:audit",
    "export": "data:export",
    "verify": "keep:verify",
    "certificate": "keep:certificate",
    "delete": "keep:delete",
    "trash": "keep:trash",
    "move": "move:move",
    "adopt": "adopt:adopt",
    "validate": "status:validate",
    "status": "status:status",
    "open": "status:open_app",
}

# What an interrupted command leaves.
_GOES_ON = " What was fetched is stored; the same command goes on from there."
_KEPT = {
    "backfill": _GOES_ON,
    "gaps": _GOES_ON,
    "repair": _GOES_ON,
    "adopt": " What was taken over is stored; the same command goes on from there.",
    "move": " What was copied is taken up by the next attempt.",
}


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit status, see :mod:`dccd.interfaces.cli.statuses`.
    """
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:  # argparse's way to say "printed; stop here"
        return int(end.code or 0)
    try:
        if arguments.command is None:
            from dccd.interfaces.cli.app import open_desktop

            return open_desktop(arguments)
        module, _, name = _COMMANDS[arguments.command].partition(":")
        function = getattr(importlib.import_module(f"dccd.interfaces.cli.{module}"), name)
        status = asyncio.run(interruptible(function(arguments), _KEPT.get(arguments.command, "")))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # the reader of our output went away (`dccd read … | head`), as it may
        return DONE
    except DccdError as error:
        return report(error)
    except OSError as error:
        _discard_output()
        print(f"dccd: {error.strerror}: {error.filename or 'writing the output failed'}", file=sys.stderr)
        return FAILED


def _discard_output() -> None:
    """Point standard output elsewhere, as what is left of it cannot be written when the program ends."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def report(error: DccdError) -> int:
    """Print an error as one sentence and return the exit status it stands for."""
    code = getattr(error, "problem_code", error.code)
    print(f"dccd: {error}{mending(code)}", file=sys.stderr)
    return status_of_error(code)

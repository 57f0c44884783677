"""One run of the window's process, seen from the program: its pipes, its answers and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import SubprocessStreamProtocol
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from dccd.domain.errors import DccdError
from dccd.interfaces.desktop import protocol

logger = logging.getLogger(__name__)

# The unpacking kind of binary takes some seconds to start; on a cold, slow disk ten times that.
READY_DEADLINE_S = 60.0
QUIT_DEADLINE_S = 8.0
LAST_WORDS_S = 0.5
LINES_KEPT = 20
LINE_BYTES_MAX = 65_536


class WindowUnavailable(DccdError):
    """The window could not be opened, or went away while it was needed; the program goes on without it."""

    code: ClassVar[str] = "window_unavailable"
    retryable: ClassVar[bool] = True


def window_command() -> list[str]:
    """Return the command that starts this same program as the window's process."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--window"]
    return [sys.executable, "-m", "dccd", "--window"]


class WindowChild:
    """A running window process.

    Parameters
    ----------
    command : sequence of str
        What to run.
    on_event : callable
        Called on the event loop for each event of the window, folder answers aside.
    """

    def __init__(self, command: Sequence[str], on_event: Callable[[protocol.Event], None]) -> None:
        self._command = list(command)
        self._on_event = on_event
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting for it when the process fails; that is no forgotten exception.
        self._ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._dialogs: dict[int, asyncio.Future[Path | None]] = {}
        self._dialogs_opened = 0
        self._last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._failure = ""
        self._ending = False

    @property
    def pid(self) -> int | None:
        """Process id, once it runs."""
        return self._process.pid if self._process else None

    @property
    def ending(self) -> bool:
        """Whether the process was told to end."""
        return self._ending

    async def run(self, url: str, ticket: str) -> int:
        """Start the process, open the page, and pass events on until it ends; return its exit status."""
        loop = asyncio.get_running_loop()
        try:
            # What asyncio.create_subprocess_exec does, which keeps the transport, and its closing, to itself.
            transport, streams = await loop.subprocess_exec(
                lambda: SubprocessStreamProtocol(LINE_BYTES_MAX, loop),
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # A session of its own: Ctrl-C in the program's terminal must not end the window before us.
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            self._abandon(WindowUnavailable(f"The window's process cannot be started: {error}."))
            return -1
        self._process = process = asyncio.subprocess.Process(transport, streams, loop)
        if self._ending:
            self._kill()
        errors = asyncio.create_task(self._keep_last_lines(process))
        try:
            self.send(protocol.Open(url, ticket))
            await self._pass_events_on(process)
            exit_code = await process.wait()
            if exit_code > 0:
                # For the reason; not for long, as its helpers share the pipe and may outlive it.
                await asyncio.wait({errors}, timeout=LAST_WORDS_S)
        except asyncio.CancelledError:
            self._kill()
            raise
        finally:
            errors.cancel()
            transport.close()
            self._abandon(WindowUnavailable(self.describe_end()))
        return exit_code

    async def ready(self) -> None:
        """Wait until the page is loaded; raises `WindowUnavailable` if the process ends or takes too long."""
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), READY_DEADLINE_S)
        except TimeoutError:
            self._kill()
            raise WindowUnavailable(
                f"The window did not load its page within {READY_DEADLINE_S:.0f} s."
            ) from None

    def send(self, command: protocol.Command) -> None:
        """Write a command; one to a process that has just died is lost, and its end is reported as always."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(protocol.encode(command))

    async def choose_folder(self, title: str, start: Path | None) -> Path | None:
        """Ask for a folder; None when cancelled. Raises `WindowUnavailable` if the window goes away."""
        self._dialogs_opened += 1
        dialog_id = self._dialogs_opened
        answer: asyncio.Future[Path | None] = asyncio.get_running_loop().create_future()
        self._dialogs[dialog_id] = answer
        try:
            self.send(protocol.ChooseFolder(dialog_id, title, str(start) if start else ""))
            return await answer
        finally:
            self._dialogs.pop(dialog_id, None)

    async def quit(self, task: asyncio.Task[int]) -> None:
        """End the process behind `task` (its `run`): by asking, and after a while by force."""
        self._ending = True
        self.send(protocol.Quit())
        _, pending = await asyncio.wait({task}, timeout=QUIT_DEADLINE_S)
        if pending:
            self._kill()
            await asyncio.wait({task})

    def describe_end(self) -> str:
        """Say in a sentence why the process ended."""
        if self._failure:
            return self._failure
        status = self._process.returncode if self._process is not None else None
        if status is not None and status < 0:
            return f"The window's process was ended by signal {-status}."
        said = f" Its last words: {self._last_lines[-1]}" if self._last_lines else ""
        return f"The window's process has ended.{said}"

    async def _pass_events_on(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                event = protocol.decode_event(line)
            except msgspec.DecodeError:
                self._last_lines.append(line.decode(errors="replace").strip())
                continue
            match event:
                case protocol.Folder(id=dialog_id, path=path):
                    answer = self._dialogs.get(dialog_id)
                    if answer is not None and not answer.done():
                        answer.set_result(Path(path) if path else None)
                    continue
                case protocol.Ready() if not self._ready.done():
                    self._ready.set_result(None)
                case protocol.Failed(message=message):
                    self._failure = message
            self._on_event(event)

    async def _keep_last_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").strip()
            logger.debug("window: %s", text)
            # Chromium complains, always, of buses and drivers that are not there, in lines like "[12:34:…".
            if text and not text.startswith("["):
                self._last_lines.append(text)

    def _abandon(self, error: WindowUnavailable) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
        for answer in self._dialogs.values():
            if not answer.done():
                answer.set_exception(error)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

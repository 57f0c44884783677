"""The tray on Linux: Qt's widgets, without its web engine (some 45 MB).

Qt speaks both dialects of trays, StatusNotifierItem over D-Bus and XEmbed, and shows the icon as soon as a
panel appears, should none be there yet.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

from PySide6.QtCore import QObject, QSocketNotifier, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QApplication, QMenu, QSystemTrayIcon

from dccd.interfaces.desktop.tray import TrayState, icon_png


class QtTray(QObject):
    """`Tray` by QSystemTrayIcon."""

    _state_wanted = Signal(str, str)
    _stop_wanted = Signal()

    def __init__(self) -> None:
        existing = QApplication.instance()
        self._app = existing if isinstance(existing, QApplication) else QApplication(["dccd"])
        super().__init__()
        self._app.setApplicationName("dccd")
        self._app.setDesktopFileName("dccd")
        self._app.setQuitOnLastWindowClosed(False)
        self._icons = {state: _icon(state) for state in TrayState}
        self._menu = QMenu()
        self._line = self._menu.addAction("dccd")
        self._line.setEnabled(False)
        self._menu.addSeparator()
        self._open = self._menu.addAction("Open")
        self._quit = self._menu.addAction("Quit")
        self._icon = QSystemTrayIcon(self._icons[TrayState.IDLE])
        self._icon.setToolTip("dccd")
        self._icon.setContextMenu(self._menu)
        self._state_wanted.connect(self._show_state, Qt.ConnectionType.QueuedConnection)
        # Queued, so that a stop before the loop runs ends the loop as soon as it does.
        self._stop_wanted.connect(self._app.quit, Qt.ConnectionType.QueuedConnection)

    def run(self, on_open: Callable[[], None], on_quit: Callable[[], None]) -> None:
        """Serve the icon until `stop`; see `Tray.run`."""
        self._open.triggered.connect(on_open)
        self._quit.triggered.connect(on_quit)
        self._icon.activated.connect(
            lambda reason: on_open() if reason == QSystemTrayIcon.ActivationReason.Trigger else None
        )
        self._icon.show()
        with _SignalWakeup():
            self._app.exec()
        self._icon.hide()

    def set_state(self, state: TrayState, text: str) -> None:
        """Show `state` and `text`; see `Tray.set_state`."""
        self._state_wanted.emit(state.value, text)

    def stop(self) -> None:
        """Make `run` return; see `Tray.stop`."""
        self._stop_wanted.emit()

    def _show_state(self, state: str, text: str) -> None:
        self._icon.setIcon(self._icons[TrayState(state)])
        self._icon.setToolTip(f"dccd: {text}")
        self._line.setText(text)


class _SignalWakeup:
    """Let Python's signal handlers run while Qt's loop holds the main thread.

    A handler runs only between two steps of Python code; the interpreter writes the signal's number to a
    socket, the socket wakes the loop, and the loop calls a step of Python.
    """

    def __enter__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(lambda: self._reader.recv(4096))

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._previous)
        self._notifier.setEnabled(False)
        self._reader.close()
        self._writer.close()


def _icon(state: TrayState) -> QIcon:
    pixmap = QPixmap()
    pixmap.loadFromData(icon_png(state))
    return QIcon(pixmap)

"""What the window needs of Qt beyond pywebview's own interface; imported in the window's process alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QSystemTrayIcon

from dccd.interfaces.desktop.links import open_external

if TYPE_CHECKING:
    from PySide6.QtWebEngineCore import QWebEngineNavigationRequest


def prepare_environment() -> None:
    """Set what Qt reads from the environment before its web engine is loaded.

    Chromium's sandbox cannot run as root, nor where the kernel refuses unprivileged user namespaces (Ubuntu
    since 24.04, many containers), and Qt would abort. The page is our own, under a policy that loads nothing
    else, so it is shown without the sandbox there.
    """
    if os.geteuid() == 0 or not _user_namespaces_usable():
        os.environ.setdefault("QTWEBENGINE_DISABLE_SANDBOX", "1")


def _user_namespaces_usable() -> bool:
    """Try what Chromium's sandbox would: a namespace of one's own, with one's user mapped into it."""
    try:
        probe = subprocess.run(
            ["unshare", "--user", "--map-root-user", "true"], check=False, capture_output=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


class QtShell(QObject):
    """The application object, and a way into its thread from others.

    Parameters
    ----------
    icon : str
        Path of the window's icon.
    """

    _call = Signal(object)

    def __init__(self, icon: str) -> None:
        # Qt insists that the web engine is imported before the application object exists.
        from PySide6 import QtWebEngineWidgets  # noqa: F401  # for its effect on the application object

        self.app = QApplication(["dccd"])
        super().__init__()
        self.app.setApplicationName("dccd")
        self.app.setDesktopFileName("dccd")
        self.app.setWindowIcon(QIcon(icon))
        self.app.setQuitOnLastWindowClosed(False)
        self._call.connect(lambda function: function(), Qt.ConnectionType.QueuedConnection)

    def on_main_thread(self, function: Callable[[], object]) -> None:
        """Run `function` on Qt's thread soon; callable from any thread."""
        self._call.emit(function)

    def quit(self) -> None:
        """End the event loop, a dialog's included; callable from any thread."""
        self.on_main_thread(self.app.exit)

    def tray_present(self) -> bool:
        """Tell whether a tray is about to come back from (a panel may come and go while the program runs)."""
        return QSystemTrayIcon.isSystemTrayAvailable()

    def activate(self, native: Any) -> None:
        """Bring pywebview's window `native` before the others, un-minimised, as large as it was."""

        def run() -> None:
            native.show()
            native.setWindowState(
                native.windowState() & ~Qt.WindowState.WindowMinimized | Qt.WindowState.WindowActive
            )
            native.raise_()
            native.activateWindow()

        self.on_main_thread(run)


def drop_javascript_bridge(on_loaded: Callable[[bool], None]) -> None:
    """Keep pywebview from putting its bridge into every page it has loaded; call before a window is made.

    The page talks to the program over HTTP alone, so the bridge would only widen what a page can reach.

    Parameters
    ----------
    on_loaded : callable
        Called on Qt's thread after each load with whether it succeeded.
    """
    from webview.platforms import qt

    def on_load_finished(view: Any, ok: bool) -> None:
        view.pywebview_window.events.loaded.set()
        on_loaded(ok)

    qt.BrowserView.on_load_finished = on_load_finished  # type: ignore[method-assign,assignment]


def guard_page(native: Any, origin: str, on_crash: Callable[[], None]) -> None:
    """Keep the window's page at `origin` and notice when the process that renders it dies.

    Parameters
    ----------
    native : pywebview's Qt window
    origin : str
        ``scheme://host:port`` that the window may show; a link to anywhere else goes through the allow-list.
    on_crash : callable
        Called on Qt's thread when the renderer ended abnormally.
    """
    from PySide6.QtWebEngineCore import QWebEnginePage

    page = native.webview.page()

    def navigate(request: QWebEngineNavigationRequest) -> None:
        url = request.url()
        if f"{url.scheme()}://{url.authority()}" == origin:
            request.accept()
            return
        request.reject()
        open_external(url.toString())

    def terminated(status: Any, _code: int) -> None:
        if status != QWebEnginePage.RenderProcessTerminationStatus.NormalTerminationStatus:
            on_crash()

    page.navigationRequested.connect(navigate)
    page.renderProcessTerminated.connect(terminated)

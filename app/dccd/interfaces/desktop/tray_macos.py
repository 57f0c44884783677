"""The tray on macOS: an NSStatusItem in the menu bar, every call on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import objc
from AppKit import (
    NSApplication,
    NSApplicationActivationPolicyAccessory,
    NSImage,
    NSMenu,
    NSMenuItem,
    NSStatusBar,
    NSVariableStatusItemLength,
)
from Foundation import NSData, NSMakeSize, NSObject
from PyObjCTools import AppHelper

from dccd.interfaces.desktop.tray import TrayState, icon_png

ICON_POINTS = 18


class _Target(NSObject):  # type: ignore[misc]  # PyObjC's classes have no types
    """Receives the menu's actions, which Cocoa sends to Objective-C objects only."""

    on_open: Any = objc.ivar()
    on_quit: Any = objc.ivar()

    def open_(self, _sender: Any) -> None:
        self.on_open()

    def quit_(self, _sender: Any) -> None:
        self.on_quit()


class MacTray:
    """`Tray` by NSStatusItem."""

    def __init__(self) -> None:
        app = NSApplication.sharedApplication()
        # No icon in the Dock for this process: the window's process has its own.
        app.setActivationPolicy_(NSApplicationActivationPolicyAccessory)
        self._target = _Target.alloc().init()
        self._images = {state: _image(state) for state in TrayState}
        self._line = NSMenuItem.alloc().initWithTitle_action_keyEquivalent_("dccd", None, "")
        self._line.setEnabled_(False)
        menu = NSMenu.alloc().init()
        menu.setAutoenablesItems_(False)
        menu.addItem_(self._line)
        menu.addItem_(NSMenuItem.separatorItem())
        for title, action in (("Open", "open:"), ("Quit", "quit:")):
            item = NSMenuItem.alloc().initWithTitle_action_keyEquivalent_(title, action, "")
            item.setTarget_(self._target)
            menu.addItem_(item)
        self._item = NSStatusBar.systemStatusBar().statusItemWithLength_(NSVariableStatusItemLength)
        self._item.button().setImage_(self._images[TrayState.IDLE])
        self._item.setMenu_(menu)

    def run(self, on_open: Callable[[], None], on_quit: Callable[[], None]) -> None:
        """Serve the icon until `stop`; see `Tray.run`."""
        self._target.on_open = on_open
        self._target.on_quit = on_quit
        # The console loop wakes often enough for Python's signal handlers, ours among them, to run.
        AppHelper.runConsoleEventLoop(installInterrupt=False)
        NSStatusBar.systemStatusBar().removeStatusItem_(self._item)

    def set_state(self, state: TrayState, text: str) -> None:
        """Show `state` and `text`; see `Tray.set_state`."""
        AppHelper.callAfter(self._show_state, state, text)

    def stop(self) -> None:
        """Make `run` return; see `Tray.stop`."""
        AppHelper.callAfter(AppHelper.stopEventLoop)

    def _show_state(self, state: TrayState, text: str) -> None:
        self._item.button().setImage_(self._images[state])
        self._item.button().setToolTip_(f"dccd: {text}")
        self._line.setTitle_(text)


def _image(state: TrayState) -> Any:
    png = icon_png(state)
    image = NSImage.alloc().initWithData_(NSData.dataWithBytes_length_(png, len(png)))
    image.setSize_(NSMakeSize(ICON_POINTS, ICON_POINTS))
    return image

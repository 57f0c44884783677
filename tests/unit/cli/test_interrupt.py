"""Ctrl-C before a command has begun."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from dccd import __main__


def test_ctrl_c_while_the_program_is_loaded_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    slow = ModuleType("dccd.interfaces.cli.main")
    slow.__getattr__ = lambda _name: interrupted()  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, slow.__name__, slow)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "argv", ["dccd", "inventory"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""

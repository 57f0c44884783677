"""When the web engine's sandbox is left out: only where it cannot work."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Qt draws the window on Linux alone")

SWITCH = "QTWEBENGINE_DISABLE_SANDBOX"


@pytest.fixture
def prepared(monkeypatch):
    window_qt = pytest.importorskip("dccd.interfaces.desktop.window_qt", exc_type=ImportError)

    def prepare(*, uid, probe):
        def run(command, **_):
            if isinstance(probe, Exception):
                raise probe
            return subprocess.CompletedProcess(command, probe)

        # Set first, so that monkeypatch takes back what is set by the code under test.
        monkeypatch.setenv(SWITCH, "")
        monkeypatch.delenv(SWITCH)
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(subprocess, "run", run)
        window_qt.prepare_environment()
        return os.environ.get(SWITCH)

    return prepare


def test_it_stays_on_for_a_person_whose_system_allows_it(prepared):
    assert prepared(uid=1000, probe=0) is None


def test_root_goes_without(prepared):
    assert prepared(uid=0, probe=0) == "1"


@pytest.mark.parametrize("probe", [1, OSError("no unshare"), subprocess.TimeoutExpired("unshare", 5)])
def test_a_system_that_refuses_user_namespaces_goes_without(prepared, probe):
    assert prepared(uid=1000, probe=probe) == "1"

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dccd.interfaces.api.runtime_file import write_runtime_file
from dccd.interfaces.desktop import single_instance
from dccd.interfaces.desktop.single_instance import raise_running
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout
from dccd.storage.lock import acquire


class Running:
    """A program that answers what it is asked with one status, and remembers who asked for what."""

    def __init__(self):
        self.asked: list[tuple[str, str]] = []
        self.status = 200
        running = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                running.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(running.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def running():
    running = Running()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def own_runtime_folder(monkeypatch, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def locked(data_path):
    layout = Layout(data_path)
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = acquire(RealFileSystem(), layout)
    yield
    lock.release()


def test_the_running_program_is_asked_with_the_secret_of_its_file(data_path, running, locked):
    write_runtime_file(data_path, running.url, "secret")
    assert raise_running(data_path)
    assert running.asked == [("/api/app/raise", "Bearer secret")]


def test_where_nothing_runs_nobody_is_asked(data_path):
    assert not raise_running(data_path)


def test_the_file_of_a_dead_program_gives_its_secret_to_nobody(data_path, running):
    write_runtime_file(data_path, running.url, "secret")
    assert not raise_running(data_path)
    assert running.asked == []


def test_a_program_without_a_window_is_not_raised(data_path, running, locked):
    running.status = 409
    write_runtime_file(data_path, running.url, "secret")
    assert not raise_running(data_path)


def test_a_program_that_does_not_answer_is_not_raised(data_path, running, locked):
    running.close()
    running.close = lambda: None
    write_runtime_file(data_path, running.url, "secret")
    assert not raise_running(data_path)


def test_one_that_is_just_starting_is_waited_for(data_path, running, locked, monkeypatch):
    def start_serving(_seconds):
        write_runtime_file(data_path, running.url, "secret")

    monkeypatch.setattr(time, "sleep", start_serving)
    assert raise_running(data_path)


def test_one_that_never_serves_is_not_waited_for_long(data_path, locked, monkeypatch):
    monkeypatch.setattr(single_instance, "START_PATIENCE_S", 0.0)
    assert not raise_running(data_path)

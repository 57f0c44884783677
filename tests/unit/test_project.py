"""The project's own rules: what is in the tree, what the README promises, what skips and what fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import dccd
from tests import needs

ROOT = needs.ROOT
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "app",
    "docs",
    "frontend",
    "icons",
    "packaging",
    "pyproject.toml",
    "tests",
}


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: git clone the project")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def project_table() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


class TestTree:
    def test_every_top_level_entry_is_known(self) -> None:
        assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} <= TOP_LEVEL

    @pytest.mark.parametrize(
        "pattern",
        [
            # Put together here, or this file would be the one that holds them.
            r"(pypi|files\.python" + r"hosted|registry\.npm" + r"js|(deb|security)\.debian)\.(org|com|net)",
            r"(?<![A-Za-z0-9_.])/(ro" + r"ot|wo" + r"rk|home/[a-z]+)/",
        ],
        ids=["registry host", "path of one machine"],
    )
    def test_no_file_names(self, pattern: str) -> None:
        expression = re.compile(pattern.encode())
        found = [
            f"{path.relative_to(ROOT)}: {match[0].decode()}"
            for path in tracked_files()
            if (match := expression.search(path.read_bytes()))
        ]
        assert found == []

    def test_built_files_are_ignored_and_no_lock_records_addresses(self) -> None:
        names = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
        assert not {name for name in names if name.startswith("app/dccd/interfaces/api/static/")}
        assert "uv.lock" not in names
        assert '"resolved"' not in (ROOT / "frontend/package-lock.json").read_text(encoding="utf-8")


class TestBuiltFrontend:
    """What the page's policy (`default-src 'none'; script-src 'self'; style-src 'self'`) will let through."""

    def test_the_page_has_nothing_inline_and_only_relative_addresses(self) -> None:
        static = Path(dccd.__file__).parent / "interfaces/api/static"
        page = (static / "index.html").read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
        addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
        assert any(address.endswith(".js") for address in addresses)
        assert [
            address
            for address in addresses
            if not (address.startswith("./") and (static / address).is_file())
        ] == []


class TestDocuments:
    def test_the_changelog_has_the_version(self) -> None:
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        versions = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
        assert versions[0] == dccd.__version__

    def test_the_readme_has_the_two_commands_and_both_exist(self) -> None:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        for installer in ("pip", "pipx"):
            assert f"{installer} install uv && uv run dccd\n" in readme
        assert "pip install uv && uv run pytest\n" in readme
        scripts = Path(sys.executable).parent
        for command in ("dccd", "pytest"):
            assert shutil.which(command, path=str(scripts)), f"`{command}` is not installed by the project"

    def test_what_the_readme_links_to_exists(self) -> None:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)#]+)", readme) if "://" not in link]
        assert links
        assert [link for link in links if not (ROOT / link).exists()] == []


class TestConstraints:
    def pins(self) -> dict[str, list[Version]]:
        pins: dict[str, list[Version]] = {}
        for line in (ROOT / "packaging/constraints.txt").read_text(encoding="utf-8").splitlines():
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            assert requirement.url is None, line
            pins.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
        return pins

    def requirements(self) -> list[Requirement]:
        table = project_table()
        texts: list[str] = [*table["project"]["dependencies"]]  # type: ignore[index]
        for group in table["dependency-groups"].values():  # type: ignore[attr-defined]
            texts += [entry for entry in group if isinstance(entry, str)]
        return [Requirement(text) for text in texts]

    def test_each_requirement_is_pinned_to_what_it_allows(self) -> None:
        pins = self.pins()
        wrong = [
            str(requirement)
            for requirement in self.requirements()
            if not (versions := pins.get(canonicalize_name(requirement.name)))
            or not all(requirement.specifier.contains(version) for version in versions)
        ]
        assert wrong == [], "see docs/adr/0002-version-pins.md for how packaging/constraints.txt is written"


SAMPLE = """
import warnings
import pytest

@pytest.mark.needs("shared")
def test_marked(): pass

def test_fixture(shared): pass

def test_skip(): pytest.skip("not here")

@pytest.mark.xfail(reason="known")
def test_xfail(): raise ValueError

def test_warning(): warnings.warn("old")

@pytest.mark.needs("shard")
def test_misspelt(): pass

@pytest.mark.live
def test_live(): pass
"""


class TestNeeds:
    """What a test needs, seen from outside: pytest runs a file of its own, by the project's rules."""

    def run(self, tmp_path: Path, source: str, *arguments: str, **environment: str) -> str:
        path = tmp_path / "test_sample.py"
        path.write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        command += ["-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", *arguments, str(path)]
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("DCCD_", "PYTEST_"))
        }
        environment = {**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "1000", **environment}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    def outcomes(self, output: str) -> dict[str, str]:
        return {name: word for word, name in re.findall(r"^([A-Z]+) \S*::test_(\w+)", output, re.MULTILINE)}

    def test_what_is_missing_skips_with_how_to_get_it(self, tmp_path: Path) -> None:
        absent = tmp_path / "absent"
        output = self.run(tmp_path, SAMPLE, DCCD_SHARED=str(absent))
        assert self.outcomes(output) == {"xfail": "XFAIL", "warning": "FAILED", "misspelt": "ERROR"}
        assert "UserWarning: old" in output
        assert "KeyError: 'shard'" in output
        assert "3 skipped, 1 deselected, 1 xfailed" in output
        assert output.count(
            f"no shared data sets at {absent}: put them there, or name their folder in DCCD_SHARED"
        )

    def test_a_skip_fails_when_everything_is_required(self, tmp_path: Path) -> None:
        output = self.run(tmp_path, SAMPLE, DCCD_SHARED=str(tmp_path / "absent"), DCCD_REQUIRE="all")
        assert self.outcomes(output) == {
            "marked": "ERROR",
            "fixture": "ERROR",
            "skip": "FAILED",
            "xfail": "XFAIL",
            "warning": "FAILED",
            "misspelt": "ERROR",
        }
        assert output.count("DCCD_REQUIRE=all, and this was skipped.") >= 3
        assert "skipped" not in output.splitlines()[-1]

    def test_a_skipped_file_fails_when_everything_is_required(self, tmp_path: Path) -> None:
        output = self.run(
            tmp_path, "import pytest\npytest.skip('not here', allow_module_level=True)", DCCD_REQUIRE="all"
        )
        assert "DCCD_REQUIRE=all, and this was skipped. Skipped: not here" in output
        assert "1 error" in output.splitlines()[-1]

    def test_what_is_there_runs(self, tmp_path: Path) -> None:
        output = self.run(
            tmp_path, SAMPLE, "-k", "marked or fixture", DCCD_SHARED=str(tmp_path), DCCD_REQUIRE="all"
        )
        assert self.outcomes(output) == {"marked": "PASSED", "fixture": "PASSED"}

    def test_live_tests_run_only_when_asked_for(self, tmp_path: Path) -> None:
        assert self.outcomes(self.run(tmp_path, SAMPLE, "-m", "live")) == {"live": "PASSED"}

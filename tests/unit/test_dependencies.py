"""A plain installation has all that the program imports (fault 12 of the reference: its client had not)."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.needs import ROOT

# Imported only on a platform that this one is not, so not installed here: by what they are imported as.
ELSEWHERE = {
    "AppKit": "pyobjc-framework-cocoa",
    "Foundation": "pyobjc-framework-cocoa",
    "Microsoft": "pythonnet",
    "PIL": "pystray",
    "PyObjCTools": "pyobjc-framework-cocoa",
    "clr": "pythonnet",
    "objc": "pyobjc-framework-cocoa",
}
# Only for those who have them: the engines of `dccd.scan`, each said to be missing in words.
OPTIONAL = {"polars", "duckdb"}


def test_everything_imported_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {_normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in project["dependencies"]}
    distributions = packages_distributions()
    missing = {}
    for file in (ROOT / "app").rglob("*.py"):
        for module in _imports(ast.parse(file.read_text(encoding="utf-8"))):
            if module in sys.stdlib_module_names or module in OPTIONAL or module == "dccd":
                continue
            names = {_normal(name) for name in distributions.get(module, [ELSEWHERE.get(module, module)])}
            if not names & required:
                missing[module] = file.name
    assert missing == {}


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

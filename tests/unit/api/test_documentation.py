"""docs/api.md names every route, and docs/security.md only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dccd.application.service_factory import SOURCES
from dccd.domain import errors
from dccd.interfaces.api import problems
from dccd.interfaces.api.app import ENDPOINTS
from tests.unit.api.test_problems import every_error

ROOT = Path(__file__).parents[3]


def test_every_route_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    documented = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`\s]+)`", text)
    assert sorted(documented) == sorted(item.name for item in ENDPOINTS)


def test_every_problem_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (yes|no) \|", text, re.MULTILINE)
    told = {
        (kind.code, str(problems.status_of(kind.__new__(kind)).value), "yes" if kind.retryable else "no")
        for kind in every_error()
        if kind.__module__ in (errors.__name__, problems.__name__)
    }
    assert sorted(documented) == sorted(told | {("internal", "500", "no")})


@pytest.mark.parametrize("exchange", [source.id for source in SOURCES])
def test_every_exchange_has_a_page_that_says_what_it_rests_on(exchange: str) -> None:
    text = (ROOT / f"docs/exchanges/{exchange}.md").read_text(encoding="utf-8")
    evidence = text.partition("\n## Evidence\n")[2].partition("\n## ")[0]
    assert "recorded" in evidence or "documentation" in evidence


def test_the_threat_table_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    files = [*ROOT.glob("tests/security/test_*.py"), *ROOT.glob("tests/unit/api/test_*.py")]
    defined = {
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert named <= defined, f"not defined: {sorted(named - defined)}"

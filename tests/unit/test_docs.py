"""What the documentation says of the command line is what can be typed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from dccd.interfaces.cli.parser import build_parser
from tests.needs import ROOT

TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
PARSER = build_parser()
WHOLE = "dccd"


def commands() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (
        action.choices for action in PARSER._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(choices)


def sections() -> dict[str, str]:
    """The sections on single commands, by each name in their headings: ``## `dccd serve` (also `start`)``."""
    found = {}
    for heading, body in re.findall(r"^## (`dccd.*)\n((?:(?!## ).*\n?)*)", TEXT, re.MULTILINE):
        usage, *aliases = re.findall(r"`([^`]*)`", heading)
        words = usage.split()
        for name in [words[1] if len(words) > 1 else WHOLE, *aliases]:
            found[name] = f"{heading}\n{body}"
    return found


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What is typed with a dash, save what every program has."""
    for action in parser._actions:
        if action.option_strings and not {"--help", "--version"} & set(action.option_strings):
            yield action


EVERYWHERE = {"--data-path", "--config"}
SECTIONS = sections()
TYPED = [
    (name, action.option_strings[-1])
    for name, parser in {WHOLE: PARSER, **commands()}.items()
    for action in options(parser)
]


def test_each_command_has_a_section_and_each_section_a_command() -> None:
    assert SECTIONS.keys() == commands().keys() | {WHOLE}


@pytest.mark.parametrize(("command", "option"), TYPED)
def test_each_option_is_named_with_its_command(command: str, option: str) -> None:
    where = TEXT if option in EVERYWHERE else SECTIONS[command]
    assert re.search(rf"{option}(?![\w-])", where), f"docs/command-line.md: {command} lacks {option}"


def test_no_option_is_named_that_there_is_not() -> None:
    for name, section in SECTIONS.items():
        parser = PARSER if name == WHOLE else commands()[name]
        known = {text for action in parser._actions for text in action.option_strings}
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", section)) <= known, name


def test_each_choice_of_a_format_is_named() -> None:
    for name, parser in commands().items():
        for action in options(parser):
            if "--format" in action.option_strings:
                assert "|".join(action.choices or ()) in SECTIONS[name]


def test_each_exit_status_is_explained() -> None:
    assert re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE) == ["0", "1", "2", "130"]

"""Tickets, tokens and folder handles, on a clock of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api.access import TICKET_LIFE_S, TOKENS_MAX, Access, FolderHandles, Scope
from dccd.interfaces.api.problems import InvalidTicket


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_ticket_expires_after_a_minute() -> None:
    clock = Clock()
    access = Access(clock)
    in_time, too_late = access.new_ticket(), access.new_ticket()
    clock.now_s += TICKET_LIFE_S - 0.001
    assert access.scope_of(access.redeem(in_time)) is Scope.PAGE
    clock.now_s += 0.001
    with pytest.raises(InvalidTicket):
        access.redeem(too_late)


def test_the_ticket_printed_by_serve_lasts_until_it_is_used() -> None:
    clock = Clock()
    access = Access(clock)
    ticket = access.new_ticket(lasting=True)
    clock.now_s += 90 * 86_400
    assert access.scope_of(access.redeem(ticket)) is Scope.PAGE
    with pytest.raises(InvalidTicket):
        access.redeem(ticket)


def test_a_token_in_use_outlives_many_others() -> None:
    access = Access()
    kept, unused = (access.redeem(access.new_ticket()) for _ in range(2))
    for _ in range(TOKENS_MAX - 1):
        access.redeem(access.new_ticket())
        assert access.scope_of(kept) is Scope.PAGE
    assert access.scope_of(unused) is Scope.PUBLIC


def test_secrets_are_long_and_differ() -> None:
    made = Access()
    texts = {
        made.secret,
        Access().secret,
        made.new_ticket(),
        made.new_ticket(),
        made.redeem(made.new_ticket()),
    }
    assert len(texts) == 5
    assert min(map(len, texts)) >= 43  # 256 bits in base64


def test_a_folder_handle_is_good_for_one_use_unless_that_failed(tmp_path: Path) -> None:
    handles = FolderHandles()
    handle = handles.give(tmp_path)
    with pytest.raises(ZeroDivisionError), handles.lend(handle):
        raise ZeroDivisionError
    with handles.lend(handle) as folder:
        assert folder == tmp_path
    with pytest.raises(AccessDenied), handles.lend(handle):
        pytest.fail("the handle was used before")

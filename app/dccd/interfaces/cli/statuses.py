"""What a command ends with: one table for all of them, see ``docs/command-line.md``."""

from __future__ import annotations

from typing import Any

from dccd.domain.errors import UsageError

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

_USAGE: list[type[UsageError]] = [UsageError, *UsageError.__subclasses__()]
# `invalid_request` is the API's word for a wrong value.
_WRONG_USE_CODES = {kind.code for kind in _USAGE if not kind.retryable} | {"invalid_request"}


def status_of_error(code: str | None) -> int:
    """The status that an error with this code ends a command with; what may work later is no wrong use."""
    return WRONG_USE if code in _WRONG_USE_CODES else FAILED


def status_of_run(outcome: dict[str, Any]) -> int:
    """The status that a run ends its command with: it has a `state` and, when it failed, a `code`."""
    if outcome["state"] == "succeeded":
        return DONE
    return INTERRUPTED if outcome["state"] == "cancelled" else status_of_error(outcome.get("code"))

"""Reading what is stored again, and deleting it with a way back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dccd.interfaces.api.models.base import Answer, Request, Text


class VerifyRequest(Request):
    """Read these datasets again, all without `datasets`; `mend` puts damaged files aside, a gap each."""

    datasets: Annotated[list[Text], Field(min_length=1, max_length=10_000)] | None = None
    mend: bool = False


class TrashItem(Answer):
    """A deleted dataset; it can be restored until `emptied_ms`."""

    id: str
    dataset: str
    deleted_ms: int
    emptied_ms: int
    files: int
    rows: int
    size_bytes: int
    start_ms: int | None
    end_ms: int | None


class Trash(Answer):
    """What lies in the trash, the oldest first."""

    items: list[TrashItem]

"""Finding out what is wrong with stored data, and making it good."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dccd.application.operations.check import WINDOWS_DEFAULT, WINDOWS_MAX
from dccd.application.operations.doctor import WAIT_S
from dccd.interfaces.api.models.base import Answer, Request, Text, Time


class CheckRequest(Request):
    """Fetch at most so many covered windows again; without a seed they are other ones each time."""

    windows: Annotated[int, Field(ge=1, le=WINDOWS_MAX)] = WINDOWS_DEFAULT
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None


class DoctorRequest(Request):
    """Try what these exchanges, or all, are declared to offer; each answer may take so long."""

    exchanges: Annotated[list[Text], Field(min_length=1, max_length=100)] | None = None
    wait_s: Annotated[float, Field(gt=0, le=600)] = WAIT_S


class AuditRequest(Request):
    """Compare the bars of ``[start, end)`` with what stored trades make; without bounds, all there are."""

    start: Time | None = None
    end: Time | None = None


class RepairRequest(Request):
    """Fetch the gaps of these datasets; of all that have any without `datasets`."""

    datasets: Annotated[list[Text], Field(min_length=1, max_length=10_000)] | None = None


class RepairStarted(Answer):
    """The run that fetches a dataset's gaps; null, and why, where they are not to be had."""

    dataset: str
    run_id: str | None
    status: Literal["started", "already-running"] | None
    why: str


class Repairs(Answer):
    """A run for each dataset that has gaps."""

    repairs: list[RepairStarted]

"""Taking over a folder of the dccd 3 package."""

from __future__ import annotations

from typing import Self

from pydantic import JsonValue, model_validator

from dccd.interfaces.api.models.base import Answer, PathText, Request, Text


class AdoptRequest(Request):
    """The old folder; a page names it by the handle its dialog gave, and no configuration."""

    folder: PathText | None = None
    folder_handle: Text | None = None
    config_file: PathText | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.folder is None) == (self.folder_handle is None):
            raise ValueError("give either folder or folder_handle")
        return self


class AdoptableDataset(Answer):
    """A dataset of the old folder: where it lies there, what it is called here, rows as the files count."""

    place: str
    dataset: str
    files: int
    rows: int
    start_ms: int | None
    end_ms: int | None


class NotTaken(Answer):
    """Something that is not taken over, and why."""

    place: str
    reason: str


class AdoptableConfig(Answer):
    """What taking over the configuration would write, and what of it has no place here."""

    settings: dict[str, JsonValue]
    jobs: list[dict[str, JsonValue]]
    jobs_there: int
    not_carried: list[NotTaken]


class AdoptPlan(Answer):
    """What there is to take over; of very many things left out the first, `not_taken_count` is true."""

    folder: str
    datasets: list[AdoptableDataset]
    not_taken: list[NotTaken]
    not_taken_count: int
    config: AdoptableConfig | None

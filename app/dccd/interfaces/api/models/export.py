"""Data out of the program."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from dccd.interfaces.api.models.base import Answer, PathText, Request, Text, Time


class ExportFormat(StrEnum):
    """What an export writes."""

    PARQUET = "parquet"
    CSV = "csv"
    ARROW = "arrow"


class ExportRequest(Request):
    """Export one or many datasets into a folder; a page names it by the handle its dialog gave.

    With `certificate` a file beside each says what it holds and lacks.
    """

    dataset: Text | None = None
    datasets: Annotated[list[Text], Field(min_length=1, max_length=10_000)] | None = None
    folder: PathText | None = None
    folder_handle: Text | None = None
    format: ExportFormat = ExportFormat.PARQUET
    start: Time | None = None
    end: Time | None = None
    certificate: bool = False

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.dataset is None) == (self.datasets is None):
            raise ValueError("give either dataset or datasets")
        if (self.folder is None) == (self.folder_handle is None):
            raise ValueError("give either folder or folder_handle")
        return self


class ExportStarted(Answer):
    """The run that exports."""

    run_id: str


class DownloadQuery(Request):
    """What of a dataset to download, and as what."""

    format: ExportFormat = ExportFormat.PARQUET
    start: Time | None = None
    end: Time | None = None

"""What all models have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, max_length=200)]
Time = Annotated[str, Field(min_length=1, max_length=40, coerce_numbers_to_str=True)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


class Request(BaseModel):
    """What is sent to the API: a member it does not know is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Answer(BaseModel):
    """What the API sends."""

    # Sixty models take a twentieth of a second to build; each waits for its first use.
    model_config = ConfigDict(frozen=True, defer_build=True)

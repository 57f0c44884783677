"""JSON Schemas of the API's models: what the description and the frontend's types are made from."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from dccd.interfaces.api import models

REF = "#/components/schemas/{model}"


class _WholeAnswers(GenerateJsonSchema):
    """Answers are always sent whole, so their members with a default are there as well."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


@functools.cache
def schemas() -> dict[str, Any]:
    """JSON Schemas of all models by name: of requests what may be sent, of answers what is sent."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation" if issubclass(model, models.Request) else "serialization")
        for _, model in inspect.getmembers(models, inspect.isclass)
        if issubclass(model, models.Request | models.Answer) and model not in (models.Request, models.Answer)
    ]
    definitions: dict[str, Any] = models_json_schema(
        wanted, ref_template=REF, schema_generator=_WholeAnswers
    )[1]["$defs"]
    return dict(sorted(definitions.items()))

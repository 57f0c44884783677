"""The API's description, made from the endpoints and the models that they really use."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel

from dccd import __version__
from dccd.interfaces.api import models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.endpoint import Endpoint
from dccd.interfaces.api.schemas import REF, schemas


@functools.cache
def document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    paths: dict[str, dict[str, Any]] = {}
    for item in endpoints:
        paths.setdefault(item.path, {})[item.method.lower()] = _operation(item)
    return {
        "openapi": "3.1.0",
        "info": {"title": "dccd", "version": __version__},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(item: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": item.summary, "operationId": item.handler.__name__}
    parameters = [_parameter("path", name, {"type": "string"}, required=True) for name in item.path_names]
    if item.query is not None:
        schema = schemas()[item.query.__name__]
        required = schema.get("required", ())
        parameters += [
            _parameter("query", name, value, required=name in required)
            for name, value in schema["properties"].items()
        ]
    if parameters:
        operation["parameters"] = parameters
    if item.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": _ref(item.body)}}
    if item.scope is Scope.PUBLIC:
        operation["security"] = []
    operation["responses"] = {
        str(item.status.value): _success(item),
        "default": {"description": "An error", "content": {"application/problem+json": _ref(models.Problem)}},
    }
    return operation


def _parameter(place: str, name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"in": place, "name": name, "required": required, "schema": schema}


def _success(item: Endpoint) -> dict[str, Any]:
    json_schema = {} if item.answer is None else _ref(item.answer)
    return {
        "description": "Success",
        "content": {kind: json_schema if kind == "application/json" else {} for kind in item.media_types},
    }


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": REF.format(model=model.__name__)}}

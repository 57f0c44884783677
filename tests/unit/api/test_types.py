"""The frontend's types and the description of the API follow the models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dccd.interfaces.api import openapi
from dccd.interfaces.api.app import ENDPOINTS
from dccd.interfaces.api.schemas import schemas
from tests.unit.api.running import Running

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """Return packaging/generate_api_types.py as a module."""
    spec = importlib.util.spec_from_file_location(
        "generate_api_types", ROOT / "packaging/generate_api_types.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_frontends_types_are_those_of_the_models(generator: ModuleType) -> None:
    written = generator.TARGET.read_text(encoding="utf-8")
    assert written == generator.render(), "Run: python packaging/generate_api_types.py"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, "number"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "null"}]}, "number | null"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, "[number, string]"),
        ({"enum": ["a", "b"], "type": "string"}, '"a" | "b"'),
        (
            {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Run"}},
            "Record<string, Run>",
        ),
    ],
)
def test_a_schema_becomes_a_type(generator: ModuleType, schema: dict[str, object], expected: str) -> None:
    assert generator.type_of(schema) == expected


def test_what_the_generator_does_not_know_it_refuses(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="No TypeScript type"):
        generator.type_of({"type": "object", "patternProperties": {}})


def test_answers_are_whole_and_requests_have_optional_members() -> None:
    made = schemas()
    assert set(made["Problem"]["required"]) == set(made["Problem"]["properties"])
    assert made["BackfillRequest"]["required"] == ["exchange", "symbol", "data_type"]
    assert made["BackfillRequest"]["additionalProperties"] is False


async def test_the_description_names_every_endpoint(api: Running) -> None:
    document = (await api.local.get("/api/openapi.json")).json()
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert described == {item.name for item in ENDPOINTS}
    operation = document["paths"]["/api/datasets/{dataset}/rows"]["get"]
    assert [(p["in"], p["name"]) for p in operation["parameters"]][:3] == [
        ("path", "dataset"),
        ("query", "start"),
        ("query", "end"),
    ]
    assert operation["summary"].startswith("Rows of a stretch")


def test_every_reference_in_the_description_leads_somewhere() -> None:
    document = openapi.document(ENDPOINTS)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if "$ref" in value else set()
            return own.union(*(references(item) for item in value.values()))
        if isinstance(value, list):
            return set().union(*(references(item) for item in value))
        return set()

    found = references(document)
    assert "#/components/schemas/Plan" in found
    assert found <= known

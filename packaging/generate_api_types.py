"""Write the frontend's TypeScript types from the API's models: ``python packaging/generate_api_types.py``.

Understands what pydantic emits for our models and raises on anything else, so that a type is never
silently `unknown`. The output is laid out as the frontend's formatter would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dccd.interfaces.api.schemas import schemas

TARGET = Path(__file__).parents[1] / "frontend" / "src" / "api" / "types.ts"
WIDTH = 100
HEADER = """\
// Made from the API's models by packaging/generate_api_types.py; edit those and run it again.

export type JsonValue =
  string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
"""
SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def type_of(schema: dict[str, Any]) -> str:
    """The TypeScript type of a JSON Schema as pydantic writes it."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(option) for option in schema["anyOf"]))
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(type_of(item) for item in schema['prefixItems'])}]"
        case "array":
            item = type_of(schema["items"])
            is_union = "anyOf" in schema["items"] or "enum" in schema["items"]
            return f"({item})[]" if is_union else f"{item}[]"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            values = type_of(schema["additionalProperties"])
            keys = schema.get("propertyNames")
            return f"Partial<Record<{type_of(keys)}, {values}>>" if keys else f"Record<string, {values}>"
        case str(name) if name in SCALARS:
            return SCALARS[name]
    if not set(schema) - {"title", "description", "default"}:
        return "JsonValue"
    raise ValueError(f"No TypeScript type is known for {schema}: teach this script about it.")


def statement(start: str, type_text: str, indent: str = "") -> str:
    """`start type;` on one line, or folded as the formatter does."""
    line = f"{indent}{start} {type_text};"
    if len(line) <= WIDTH:
        return line
    folded = f"{indent}  {type_text};"
    if len(folded) <= WIDTH:
        return f"{indent}{start}\n{folded}"
    options = [f"{indent}  | {option}" for option in type_text.split(" | ")]
    return "\n".join([f"{indent}{start}", *options]) + ";"


def comment(text: str, indent: str = "") -> list[str]:
    """The first paragraph of a docstring as a comment."""
    paragraph = " ".join(text.partition("\n\n")[0].split()).replace("``", "`")
    return [f"{indent}/** {paragraph} */"] if paragraph else []


def declaration(name: str, schema: dict[str, Any]) -> str:
    """The exported interface or type of one model."""
    lines = comment(schema.get("description", ""))
    if "properties" not in schema:
        return "\n".join([*lines, statement(f"export type {name} =", type_of(schema))])
    required = set(schema.get("required", ()))
    lines.append(f"export interface {name} {{")
    for member, value in schema["properties"].items():
        lines.append(statement(f"{member}{'' if member in required else '?'}:", type_of(value), "  "))
    return "\n".join([*lines, "}"])


def render() -> str:
    """The whole file."""
    declarations = [declaration(name, schema) for name, schema in schemas().items() if name != "JsonValue"]
    return "\n".join([HEADER, "\n\n".join(declarations), ""])


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8", newline="\n")

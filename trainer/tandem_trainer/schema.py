"""Checks JSON values against a JSON Schema, with messages that name the field, what was expected and what came.

Only the keywords that ``job.schema.json`` uses: ``type``, ``enum``, ``minimum``, ``maximum``, ``minLength``, ``minItems``,
``maxItems``, ``items``, ``properties``, ``required``, ``additionalProperties: false``. Another keyword is an error, so that
no rule is passed over in silence.
"""

from __future__ import annotations

import math
from typing import Any

NOTES = {"$schema", "$defs", "title", "description", "default", "x-needs"}
KNOWN = NOTES | {"type", "enum", "minimum", "maximum", "minLength", "minItems", "maxItems", "items", "properties", "required", "additionalProperties"}
WORDS = {"string": "a non-empty string", "object": "an object", "array": "a list", "boolean": "true or false", "null": "null", "integer": "a whole number", "number": "a number"}


def is_of(value: Any, kind: str) -> bool:
    """Whether a parsed JSON value has a JSON Schema type. ``3.0`` is an integer, as in JSON Schema."""
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "integer":
        return is_of(value, "number") and value == int(value)
    return isinstance(value, {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}[kind])


def expected(schema: dict) -> str:
    """What a schema asks for, in words."""
    if "enum" in schema:
        return f"one of {schema['enum']}"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "minimum" in schema:
        return f"a number from {schema['minimum']:g} to {schema['maximum']:g}"
    return " or ".join(WORDS[kind] for kind in kinds)


def problem(value: Any, schema: dict, path: str = "") -> str | None:
    """The first thing wrong with ``value`` as one line, or None.

    Raises ``ValueError`` for a schema keyword that is not implemented.
    """
    unknown = set(schema) - KNOWN
    if unknown:
        raise ValueError(f"schema of {path or 'job'}: expected keywords {sorted(KNOWN)}, got {sorted(unknown)}")
    wrong = f"{path or 'job'}: expected {expected(schema)}, got "
    if "enum" in schema:
        return None if any(value == one and type(value) is type(one) for one in schema["enum"]) else wrong + shown(value)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(is_of(value, kind) for kind in kinds):
        return wrong + shown(value)
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        return wrong + shown(value)
    if is_of(value, "number") and not schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf):
        return wrong + shown(value)
    if isinstance(value, list):
        return list_problem(value, schema, path)
    return object_problem(value, schema, path) if isinstance(value, dict) else None


def list_problem(value: list, schema: dict, path: str) -> str | None:
    """The first thing wrong with a list."""
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if not low <= len(value) <= high:
        return f"{path}: expected {low} to {high} values, got {len(value)}"
    return next((found for place, one in enumerate(value) if (found := problem(one, schema["items"], f"{path}[{place}]"))), None)


def object_problem(value: dict, schema: dict, path: str) -> str | None:
    """The first thing wrong with an object: an unknown field, a missing one, a wrong one."""
    before = f"{path}." if path else ""
    fields = schema.get("properties", {})
    for name in value:
        if name not in fields and schema.get("additionalProperties") is False:
            return f"{before}{name}: expected one of {sorted(fields)}, got an unknown field"
    for name in schema.get("required", []):
        if name not in value:
            return f"{before}{name}: expected a value, got nothing"
    return next((found for name, one in value.items() if name in fields and (found := problem(one, fields[name], f"{before}{name}"))), None)


def shown(value: Any) -> str:
    """A value as a message shows it; long ones by their type."""
    text = repr(value)
    return text if len(text) <= 60 else type(value).__name__


def cleaned(value: Any, schema: dict) -> Any:
    """``value`` with whole numbers as ``int`` where the schema says integer: JSON does not tell ``3.0`` from ``3``."""
    if isinstance(value, float) and schema.get("type") == "integer":
        return int(value)
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        return {name: cleaned(one, fields.get(name, {})) for name, one in value.items()}
    return value

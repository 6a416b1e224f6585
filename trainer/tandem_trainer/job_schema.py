"""``job.schema.json``: the fields of a job stand there by hand; the part about objectives is written from their catalogue.

``python -m tandem_trainer schema`` rewrites that part after a change of the catalogue; a test fails where it was forgotten.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .objectives.catalogue import OBJECTIVES, Option, Spec

PATH = Path(__file__).resolve().parent.parent / "job.schema.json"


def read_schema() -> dict[str, Any]:
    """The schema of a job."""
    return json.loads(PATH.read_text())


def option_schema(option: Option) -> dict[str, Any]:
    """One option as JSON Schema."""
    about = {"default": option.default, "description": option.help}
    if option.choices:
        return {"enum": list(option.choices), **about}
    if isinstance(option.default, bool):
        return {"type": "boolean", **about}
    kind = "integer" if isinstance(option.default, int) else "number"
    return {"type": kind, "minimum": option.low, "maximum": option.high, **about}


def objective_schema(spec: Spec) -> dict[str, Any]:
    """The options of an objective as JSON Schema, and what it needs under ``x-needs``."""
    return {
        "description": spec.paper,
        "type": "object",
        "additionalProperties": False,
        "x-needs": {"teachers": list(spec.teachers), "reference": spec.reference, "data": spec.data},
        "properties": {name: option_schema(option) for name, option in spec.options.items()},
    }


def with_objectives(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with the objectives of the catalogue."""
    fields = schema["properties"]
    objective = {**fields["objective"], "enum": list(OBJECTIVES)}
    defined = {"objectives": {name: objective_schema(spec) for name, spec in OBJECTIVES.items()}}
    return {**schema, "properties": {**fields, "objective": objective}, "$defs": defined}


def run(given: argparse.Namespace) -> dict[str, Any]:
    """The command: rewrites the file. Returns the event to print."""
    PATH.write_text(json.dumps(with_objectives(read_schema()), indent=2) + "\n")
    return {"event": "schema", "path": str(PATH), "objectives": len(OBJECTIVES)}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``schema`` to the command line."""
    text = "rewrite the objectives in job.schema.json from their catalogue"
    commands.add_parser("schema", help=text, description=text).set_defaults(run=run)

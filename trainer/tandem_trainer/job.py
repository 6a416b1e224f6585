"""The job file of one training run: JSON, checked field by field.

The fields, their ranges and defaults stand in ``../job.schema.json``, which the TypeScript side reads too: a new field goes there
first. Rules between fields stand here and in ``src/train/job.ts``; both are tested with the jobs of ``tests/jobs.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import JobError
from .job_schema import objective_schema, read_schema
from .model import ModelShape
from .objectives.catalogue import OBJECTIVES, Spec
from .schema import cleaned, problem

__all__ = ["OBJECTIVES", "Job", "JobError", "parse_job", "read_job"]

SCHEMA = read_schema()


@dataclass(frozen=True)
class Job:
    """One run. ``steps`` counts optimiser steps of ``batch_rows`` packed rows of ``time`` tokens.

    The learning rate rises linearly for ``warmup_steps``, stays, and falls linearly to a
    twentieth over the last ``decay_share`` of the steps. The loss is ``(1 - teacher_weight) * cross_entropy
    + teacher_weight * objective``; ``objective`` and ``objective_options`` are those of ``objectives/catalogue.py``.

    Models (``initial``, ``teacher`` or ``teachers``, ``reference``) are checkpoint folders or folders in the
    Hugging Face format; a teacher that only writes text may be ``http://host/v1#model``. A student that starts
    from a Hugging Face folder has no ``shape``. ``rows`` are packed rows (``.npz``); ``pairs`` (JSON lines) take
    their place for the objectives that need them; ``laws`` is a store of teacher laws for ``stored_laws``.
    ``tokenizer`` and ``teacher_tokenizer`` are the ``tokenizer.json`` files of the two sides.
    ``accumulate`` splits the rows of a step into so many parts, to save memory.
    """

    name: str
    output: str
    steps: int
    shape: ModelShape | None = None
    rows: str = ""
    seed: int = 0
    batch_rows: int = 8
    accumulate: int = 1
    learning_rate: float = 3e-3
    embedding_learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_steps: int = 60
    decay_share: float = 0.4
    optimizer: str = "muon"
    teacher: str | None = None
    teachers: tuple[str, ...] = ()
    reference: str | None = None
    objective: str = "cross_entropy"
    objective_options: dict = field(default_factory=dict)
    teacher_weight: float = 0.0
    pairs: str | None = None
    laws: str | None = None
    tokenizer: str | None = None
    teacher_tokenizer: str | None = None
    checkpoint_every: int = 200
    initial: str | None = None
    adapter: dict | None = None
    precision: str = "bf16"
    device: str = "cpu"
    compile: bool = True
    extra: dict = field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """What the objective is and needs."""
        return OBJECTIVES[self.objective]

    @property
    def options(self) -> dict[str, Any]:
        """The objective's options, defaults filled in."""
        return {name: option.default for name, option in self.spec.options.items()} | self.objective_options

    @property
    def all_teachers(self) -> tuple[str, ...]:
        """``teachers``, or ``teacher`` alone."""
        return self.teachers or ((self.teacher,) if self.teacher else ())

    def to_json(self) -> dict:
        """The job as plain JSON values."""
        return {**asdict(self), "teachers": list(self.teachers)}


def check_objective(raw: dict) -> None:
    """Raises ``JobError`` when the objective, its options, teachers, data or weight do not belong together."""
    name = raw.get("objective", "cross_entropy")
    spec = OBJECTIVES[name]
    if wrong := problem(raw.get("objective_options", {}), objective_schema(spec), "objective_options"):
        raise JobError(f"{wrong} for the objective {name!r}")
    teachers = raw.get("teachers", [])
    if teachers and raw.get("teacher"):
        raise JobError("teachers: expected either teacher or teachers, got both")
    count = len(teachers) or int(bool(raw.get("teacher")))
    low, high = spec.teachers
    if count < low:
        field_ = "teacher: expected a checkpoint folder" if low == 1 else f"teachers: expected at least {low} checkpoint folders"
        raise JobError(f"{field_} for objective {name!r}, got {count or 'nothing'}")
    if count > high and name != "cross_entropy":
        raise JobError(f"teachers: expected at most {high} for objective {name!r}, got {count}")
    if spec.reference and not raw.get("reference"):
        raise JobError(f"reference: expected a checkpoint folder for objective {name!r}, got nothing")
    if name == "stored_laws" and not raw.get("laws"):
        raise JobError(f"laws: expected a store of laws for objective {name!r}, got nothing")
    needed = "pairs" if spec.data == "pairs" else "rows"
    if not raw.get(needed):
        raise JobError(f"{needed}: expected a file for objective {name!r}, got nothing")
    if spec.data == "pairs" and not raw.get("tokenizer"):
        raise JobError("tokenizer: expected a tokenizer.json to read the pairs with, got nothing")
    if name != "cross_entropy" and not raw.get("teacher_weight"):
        raise JobError(f"teacher_weight: expected a number over 0 for objective {name!r}, got {raw.get('teacher_weight', 'nothing')}")


def parse_job(raw: Any) -> Job:
    """A ``Job`` from parsed JSON. Raises ``JobError`` naming the field, the expectation and what came."""
    if wrong := problem(raw, SCHEMA):
        raise JobError(wrong)
    raw = cleaned(raw, SCHEMA)
    check_objective(raw)
    if raw.get("adapter") is not None and not raw.get("initial"):
        raise JobError("initial: expected a model for the adapter, got nothing")
    teachers = {"teachers": tuple(raw["teachers"])} if raw.get("teachers") else {}
    shape = raw.get("shape")
    if shape is None:
        if not raw.get("initial"):
            raise JobError("shape: expected an object, or initial naming a model to start from, got neither")
        return Job(**{**raw, **teachers})
    try:
        return Job(**{**raw, **teachers, "shape": ModelShape(**shape)})
    except ValueError as cause:
        raise JobError(str(cause)) from cause


def read_job(path: str | Path) -> Job:
    """The job in a JSON file. Raises ``JobError`` for a missing or malformed file too."""
    try:
        return parse_job(json.loads(Path(path).read_text()))
    except FileNotFoundError as cause:
        raise JobError(f"job file: expected JSON at {path}, found nothing", "file_missing") from cause
    except json.JSONDecodeError as cause:
        raise JobError(f"job file: expected JSON at {path}, got a syntax error at line {cause.lineno}") from cause

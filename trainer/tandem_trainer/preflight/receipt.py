"""The receipt of a run: what was checked before it began, written beside its output as ``receipt.json``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
import torch

from ..errors import JobError
from ..job import Job
from ..objectives.endpoint import is_endpoint
from ..objectives.stored_laws import rows_hash
from ..session import tokenizer_of
from .probe import probe_endpoint, probe_model, usable
from .resources import check_resources, lines
from .tokenizer_check import check_relation, fingerprint, relation

Emit = Callable[[dict[str, Any]], None]


def check_files(job: Job) -> None:
    """Raises ``JobError`` (file_missing) naming the first field whose file or folder is not there."""
    for field in ("rows", "pairs", "laws", "tokenizer", "teacher_tokenizer", "initial", "reference"):
        if (name := getattr(job, field)) and not Path(name).exists():
            raise JobError(f"{field}: expected a file or folder at {name}, found nothing", "file_missing")
    for name in job.all_teachers:
        if not is_endpoint(name) and not Path(name).exists():
            raise JobError(f"teacher: expected a folder at {name}, found nothing", "file_missing")


def check_tokenizers(job: Job) -> dict[str, Any] | None:
    """Compares the pieces of the student with those of every teacher and the reference; None without any.

    Raises ``JobError`` (tokenizer_unstated, tokenizer_mismatch): what is not known is not guessed.
    """
    others = [*job.all_teachers, *([job.reference] if job.reference else [])]
    if job.objective == "cross_entropy" or not others:
        return None
    own = tokenizer_of(job.tokenizer, job.initial, "tokenizer")
    found = []
    for name in others:
        theirs = tokenizer_of(job.teacher_tokenizer, name, "teacher_tokenizer")
        # A teacher that writes only ids which the student reads as they are needs the same pieces, whatever the objective.
        what = relation(own, theirs, is_endpoint(name))
        if job.objective == "teacher_text" and not is_endpoint(name) and what != "same pieces":
            raise JobError(f"teacher_tokenizer: expected the student's pieces for a teacher that is a folder, got {what}; serve it and name its address", "tokenizer_mismatch")
        check_relation(job, what)
        found.append({"teacher": name, "relation": what, "hash": fingerprint(theirs) if theirs is not None and not is_endpoint(name) else None})
    return {"student": fingerprint(own) if own is not None else None, "teachers": found}


def before_loading(job: Job, emit: Emit) -> dict[str, Any]:
    """Everything that can be checked without loading a model: files, pieces, memory, disk, servers.

    Emits ``estimate`` with the memory and disk needed, and its reading on standard error.
    """
    check_files(job)
    receipt: dict[str, Any] = {"job": job.to_json(), "tokenizers": check_tokenizers(job)}
    resources = check_resources(job)
    emit({"event": "estimate", **{name: resources[name] for name in ("totalBytes", "parts", "freeMemoryBytes", "checkpointBytes", "freeDiskBytes")}})
    sys.stderr.write("".join(f"{line}\n" for line in lines(resources)))
    receipt["resources"] = resources
    receipt["teachers"] = []
    for name in job.all_teachers if job.objective != "cross_entropy" else ():
        if is_endpoint(name):
            found = probe_endpoint(name)
            usable(job, found)
            receipt["teachers"].append(found)
    return receipt


def after_loading(run: Any, receipt: dict[str, Any], fresh: bool) -> dict[str, Any]:
    """Adds what needs the models: probes, the signal check (of a fresh run), the rows; writes ``receipt.json``."""
    from .signal import signal_check

    session, job = run.session, run.session.job
    for name, model in zip(job.all_teachers, session.teachers, strict=False):
        if model is not None:
            found = probe_model(name, model, session.device)
            usable(job, found)
            receipt["teachers"].append(found)
    path = Path(job.output) / "receipt.json"
    earlier = json.loads(path.read_text()).get("signal") if path.is_file() and not fresh else None
    receipt["signal"] = signal_check(run) if fresh and job.objective != "cross_entropy" else earlier
    if session.rows is not None:
        receipt["rows"] = {"rows": len(session.rows), "tokens": session.rows.tokens, "hash": rows_hash(session.rows)}
    receipt["versions"] = {"python": sys.version.split()[0], "torch": torch.__version__, "tokenizers": tokenizers.__version__}
    if run.processes.first:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(json.dumps(receipt, indent=2) + "\n")
        os.replace(path.with_suffix(".tmp"), path)
    session.emit({"event": "receipt", "path": str(path), "signal": receipt["signal"], "gives": [one["gives"] for one in receipt["teachers"]]})
    return receipt

"""Opens what a job names: rows, tokenizers, student, teachers, reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer

from .adapters import attach, load_adapted, merge_adapters
from .data.packing import PackedRows
from .errors import JobError
from .hf import HfCausal, hf_from_config, is_hf_folder, load_hf
from .job import Job
from .model import Llama, ModelShape
from .objectives.base import Session
from .objectives.endpoint import is_endpoint
from .processes import Processes
from .tokenizer import load_tokenizer


def load_model(folder: str | Path, dtype: torch.dtype = torch.float32) -> Llama | HfCausal:
    """The model of a checkpoint folder or of a Hugging Face folder, in evaluation mode; adapters of a run are merged.

    Raises ``JobError`` when there is none, or when the file is damaged.
    """
    path = Path(folder) / "checkpoint.pt"
    if not path.is_file():
        if is_hf_folder(folder):
            return load_hf(folder, dtype)
        raise JobError(f"checkpoint: expected the file {path}, found nothing", "file_missing")
    stored = read_checkpoint(path)
    if stored.get("job", {}).get("adapter"):
        return merge_adapters(load_adapted(folder)[0]).to(dtype).eval()
    model = empty_model(stored["shape"])
    model.load_state_dict(stored["model"])
    return model.to(dtype).eval()


def read_checkpoint(path: Path) -> dict:
    """The stored values of a checkpoint, on the CPU. Raises ``JobError`` (file_invalid) for a damaged file."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        stored["shape"], stored["model"]
    except Exception as cause:  # torch raises many kinds for damaged archives
        raise JobError(f"checkpoint: expected a checkpoint at {path}, got a damaged file or another kind", "file_invalid") from cause
    return stored


def empty_model(shape: dict) -> Llama | HfCausal:
    """A model with fresh weights from a checkpoint's ``shape``."""
    return hf_from_config(shape["config"]) if "config" in shape else Llama(ModelShape(**shape))


def first_student(job: Job) -> Llama | HfCausal:
    """The student before its first step: seeded fresh weights, or those of ``initial``, frozen with the job's ``adapter`` on it.

    Raises ``JobError`` when ``initial`` has another shape than the job says.
    """
    torch.manual_seed(job.seed)
    model = first_weights(job)
    return attach(model, job.adapter, job.seed) if job.adapter is not None else model


def first_weights(job: Job) -> Llama | HfCausal:
    """As ``first_student``, without the adapter."""
    if job.shape is None:
        return load_model(job.initial)
    model = Llama(job.shape)
    if job.initial:
        initial = load_model(job.initial)
        if initial.shape != job.shape:
            raise JobError(f"initial: expected a model of shape {job.shape.to_json()}, got {initial.shape.to_json()}")
        model.load_state_dict(initial.state_dict())
    return model


def open_rows(job: Job) -> PackedRows | None:
    """The packed rows of a job, or None when it has none. Raises ``JobError`` for a missing or damaged file."""
    if not job.rows:
        return None
    try:
        return PackedRows.load(job.rows)
    except FileNotFoundError as cause:
        raise JobError(f"rows: expected packed rows at {job.rows}, found nothing", "file_missing") from cause
    except (KeyError, ValueError, OSError, EOFError) as cause:
        raise JobError(f"rows: expected packed rows at {job.rows}, got a damaged file or another kind", "file_invalid") from cause


def tokenizer_of(stated: str | None, folder: str | None, field: str) -> Tokenizer | None:
    """The stated tokenizer, else the ``tokenizer.json`` in a model's folder, else None. Never guessed."""
    if stated:
        try:
            return load_tokenizer(stated)
        except FileNotFoundError as cause:
            raise JobError(f"{field}: {str(cause).partition(': ')[2]}", "file_missing") from cause
    if folder and not is_endpoint(folder) and (Path(folder) / "tokenizer.json").is_file():
        return load_tokenizer(Path(folder) / "tokenizer.json")
    return None


def check_rows(job: Job, rows: PackedRows | None, student: Llama | HfCausal) -> None:
    """Raises ``JobError`` (data_mismatch) when the rows do not fit the student."""
    if rows is None:
        return
    if len(rows) == 0:
        raise JobError("rows: expected at least one row, got none", "data_mismatch")
    if rows.ids.shape[1] > student.shape.context:
        raise JobError(f"rows: expected at most {student.shape.context} tokens a row, got {rows.ids.shape[1]}", "data_mismatch")
    if int(rows.ids.max()) >= student.shape.vocabulary:
        raise JobError(f"rows: expected token ids under {student.shape.vocabulary}, got {int(rows.ids.max())}", "data_mismatch")


def shared_law_size(job: Job, session: Session) -> int | None:
    """How many entries of teacher's and student's laws are the same tokens, None for all.

    Vocabulary tables of one tokenizer may be padded to different sizes: then only the tokenizer's pieces count.
    Raises ``JobError`` (tokenizer_mismatch) when the sizes differ and the tokenizers are not known to be the same.
    """
    if not job.spec.same_pieces:
        return None
    sizes = {model.shape.vocabulary for model in (session.student, *session.teachers, session.reference) if model is not None}
    if len(sizes) == 1:
        return None
    from .preflight.tokenizer_check import same_pieces

    own, theirs = session.tokenizer, session.teacher_tokenizer
    if own is None or theirs is None or not same_pieces(own, theirs):
        others = sorted(sizes - {session.student.shape.vocabulary})
        raise JobError(f"teacher: expected a vocabulary of {session.student.shape.vocabulary}, got {others[0]}", "tokenizer_mismatch")
    return min(own.get_vocab_size(), min(sizes))


def open_session(job: Job, processes: Processes, emit: Callable[[dict], None], compiled: Callable = lambda function: function) -> Session:
    """Everything that a job names, loaded and checked against each other. The student has its first weights."""
    rows = open_rows(job)
    student = first_student(job)
    check_rows(job, rows, student)
    half = torch.bfloat16 if job.precision == "bf16" and processes.device.type == "cuda" else torch.float32
    used = job.all_teachers if job.objective != "cross_entropy" else ()
    teachers = [None if is_endpoint(name) else load_model(name, half) for name in used]
    if job.objective != "teacher_text" and None in teachers:
        raise JobError(f"teacher: expected a model folder for objective {job.objective!r}, got an address (only teacher_text reads text alone)", "teacher_unusable")
    session = Session(
        job, student, teachers, load_model(job.reference, half) if job.reference else None, None, rows,
        tokenizer_of(job.tokenizer, job.initial, "tokenizer"), tokenizer_of(job.teacher_tokenizer, used[0] if used else None, "teacher_tokenizer"),
        device=processes.device, emit=emit if processes.first else lambda event: None, compiled=compiled,
        share=(processes.index * job.accumulate, processes.count * job.accumulate),
    )
    session.law_size = shared_law_size(job, session)
    for model in (*session.teachers, session.reference):
        if model is not None:
            model.to(processes.device).requires_grad_(False)
    student.to(processes.device).train()
    if job.objective == "dpo" and session.reference is None:
        session.start = copy.deepcopy(student).eval().requires_grad_(False)
    return session

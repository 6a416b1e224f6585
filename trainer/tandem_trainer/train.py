"""The training loop: packed rows in, checkpoints and one JSON event per line out.

Everything a step does depends only on the job and the step number, so a run that is killed and
resumed from its last checkpoint gives the same losses as one that was not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .errors import JobError, TrainingFailed
from .job import Job
from .memory import keep_freed_memory
from .objectives.base import Objective, Session
from .objectives.registry import build_objective
from .optimizer import Muon
from .preflight.receipt import after_loading, before_loading
from .processes import Processes
from .session import load_model, open_session, read_checkpoint
from .threads import ThreadChoice

__all__ = ["Run", "TrainingFailed", "load_model", "print_event", "train"]

Emit = Callable[[dict[str, Any]], None]


def print_event(event: dict[str, Any]) -> None:
    """Writes one event as a line of JSON to standard output."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def learning_rate_factor(step: int, job: Job) -> float:
    """The share of the peak learning rate at ``step`` (0-based): warm-up, plateau, linear decay to 0.05."""
    if step < job.warmup_steps:
        return (step + 1) / job.warmup_steps
    decay_steps = max(1, round(job.steps * job.decay_share))
    remaining = (job.steps - step) / decay_steps
    return max(0.05, min(1.0, remaining))


def build_optimizers(model: nn.Module, job: Job, extra: Sequence[nn.Parameter] = ()) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the embedding, the head, the norms and the objective's ``extra``.

    With ``optimizer`` ``adamw`` the matrices are AdamW's too. The first one's peak rate is ``learning_rate``, the
    second one's ``embedding_learning_rate``. Adapters are AdamW's: A in the first, B in the second.
    """
    apart = [name for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name or "lm_head" in name or ".lora_b" in name]
    matrices = [p for name, p in model.named_parameters() if name not in apart and p.requires_grad]
    rest = [p for name, p in model.named_parameters() if name in apart and p.requires_grad] + list(extra)
    kind = torch.float32 if job.precision == "f32" else torch.bfloat16
    first = Muon(matrices, lr=job.learning_rate, weight_decay=job.weight_decay, dtype=kind) if job.optimizer == "muon" and job.adapter is None else torch.optim.AdamW(
        matrices, lr=job.learning_rate, betas=(0.9, 0.95), weight_decay=job.weight_decay, fused=True)
    return [first, torch.optim.AdamW(rest, lr=job.embedding_learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]


def save_checkpoint(path: Path, run: Run, step: int, seconds: float) -> None:
    """Writes model, optimiser states and position in one file, by rename, so a crash or a full disk leaves the old one.

    Raises ``TrainingFailed`` (disk_short) when there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    stored = {
        "shape": run.session.student.shape.to_json(),
        "model": run.session.student.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
        "objective": run.objective.state_dict(),
        "step": step,
        "seconds": seconds,
        "job": run.session.job.to_json(),
    }
    try:
        torch.save(stored, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as cause:
        temporary.unlink(missing_ok=True)
        if isinstance(cause, RuntimeError) and "write" not in str(cause).lower() and "No space" not in str(cause):
            raise
        raise TrainingFailed(f"output: expected room for a checkpoint at {path}, got {cause}; the one before is kept", "disk_short") from cause


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that receives SIGTERM and SIGINT while the block runs (in the main thread only)."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, lambda got, _: received.append(got)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def row_order(rows: int, step: int, batch_rows: int, seed: int) -> np.ndarray:
    """The row numbers of one step: every row once per pass, each pass in its own seeded order."""
    first = step * batch_rows
    wanted = np.arange(first, first + batch_rows)
    orders = {number: np.random.default_rng([seed, int(number)]).permutation(rows) for number in np.unique(wanted // rows)}
    return np.array([orders[number // rows][number % rows] for number in wanted])


@dataclass
class Run:
    """A job under way: its session, its objective and the optimisers."""

    session: Session
    objective: Objective
    optimizers: list[torch.optim.Optimizer]
    processes: Processes

    @classmethod
    def open(cls, job: Job, emit: Emit, adaptive_threads: bool = False) -> Run:
        """Loads everything that the job names. Raises ``JobError`` for what is missing or does not fit."""

        def compiled(function: Callable) -> Callable:
            if not job.compile:
                return function
            torch._inductor.config.cpp.dynamic_threads = adaptive_threads
            return torch.compile(function)

        processes = Processes(job.device)
        parts = processes.count * job.accumulate
        if job.batch_rows % parts:
            raise JobError(f"batch_rows: expected a multiple of {parts} (processes times accumulate), got {job.batch_rows}")
        session = open_session(job, processes, emit, compiled)
        objective = build_objective(session)
        return cls(session, objective, build_optimizers(session.student, job, list(objective.parameters())), processes)

    def resume(self, path: Path) -> tuple[int, float]:
        """Puts back what a checkpoint holds; returns its step and the seconds spent so far, (0, 0) without one."""
        if not path.is_file():
            return 0, 0.0
        stored, student = read_checkpoint(path), self.session.student
        if stored["shape"] != student.shape.to_json():
            raise JobError(f"shape: expected that of the checkpoint {stored['shape']}, got {student.shape.to_json()}")
        if "optimizers" not in stored:
            raise JobError(f"output: expected a checkpoint of a run at {path}, got a model alone; name it as initial and choose another output")
        student.load_state_dict(stored["model"])
        for optimizer, state in zip(self.optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.objective.load_state_dict(stored.get("objective", {}))
        return stored["step"], stored["seconds"]

    def step(self, step: int) -> tuple[float, float, int]:
        """One optimiser step; returns (loss, cross-entropy, tokens read). Raises ``TrainingFailed`` before a bad update."""
        session, job = self.session, self.session.job
        total = entropy = 0.0
        tokens = 0
        session.student.train()
        self.objective.train()
        for part in range(job.accumulate):
            session.share = (self.processes.index * job.accumulate + part, self.processes.count * job.accumulate)
            self.objective.begin(step)
            batch = self.objective.batch(step)
            given = self.objective.teach(batch)
            loss, plain = self.objective(batch, given)
            value = float(loss.detach())
            if not np.isfinite(value):
                path = Path(job.output) / "checkpoint.pt"
                raise TrainingFailed(f"loss: expected a number at step {step}, got {value}; the last checkpoint is kept at {path}")
            (loss / job.accumulate if job.accumulate > 1 else loss).backward()
            total, entropy = total + value / job.accumulate, entropy + float(plain.detach()) / job.accumulate
            tokens += batch.ids.numel() * self.processes.count
        trained = [*session.student.parameters(), *self.objective.parameters()]
        self.processes.average(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        factor = learning_rate_factor(step, job)
        for optimizer, peak in zip(self.optimizers, (job.learning_rate, job.embedding_learning_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        return self.processes.mean(total), self.processes.mean(entropy), tokens

    def finish(self) -> None:
        """Writes a Hugging Face student in its own format beside the checkpoint."""
        student = self.session.student
        if hasattr(student, "save") and self.processes.first:
            student.save(Path(self.session.job.output) / "model")
            if self.session.tokenizer is not None:
                self.session.tokenizer.save(str(Path(self.session.job.output) / "model" / "tokenizer.json"))


def train(job: Job, emit: Emit = print_event, stop_after: int | None = None, adaptive_threads: bool = False, check: bool = False) -> list[float]:
    """Runs ``job`` from its last checkpoint, if there is one, to its end.

    SIGTERM and SIGINT end it after the step under way with a checkpoint there. ``adaptive_threads``
    tries one thread and all of them now and then and keeps the faster (for a machine shared with
    others; the results are then equal only up to rounding).

    Emits ``{"event": "step", step, loss, crossEntropy, tokensPerSecond, etaS}`` every ten steps and
    ``start``, ``checkpoint`` and ``end`` events. Returns the losses of the steps done in this call.
    ``stop_after`` ends early after so many steps, as a kill would (for tests). With ``check`` the job is checked first
    and ``receipt.json`` written beside its output (``preflight``). Raises ``JobError``
    for what is missing or does not fit and ``TrainingFailed`` on a loss that is not finite, on memory and disk that do
    not suffice.
    """
    keep_freed_memory()
    receipt = before_loading(job, emit) if check else None
    run = Run.open(job, emit, adaptive_threads)
    session, processes = run.session, run.processes
    emit = session.emit
    path = Path(job.output) / "checkpoint.pt"
    first, earlier = run.resume(path)
    session.share = (processes.index * job.accumulate, processes.count * job.accumulate)
    run.objective.prepare()
    if receipt is not None:
        after_loading(run, receipt, fresh=first == 0)
    if session.tokenizer is not None and processes.first:
        path.parent.mkdir(parents=True, exist_ok=True)
        session.tokenizer.save(str(path.with_name("tokenizer.json")))
    rows = session.rows
    emit({"event": "start", "name": job.name, "parameters": session.student.parameter_count(), "rows": len(rows) if rows else 0, "tokens": rows.tokens if rows else 0,
          "fromStep": first, "steps": job.steps})
    losses: list[float] = []
    read = 0
    started = lap = time.time()
    threads = ThreadChoice(torch.get_num_threads()) if adaptive_threads else None
    with stop_signals() as stop_wanted, memory_errors(path):
        for step in range(first, job.steps):
            if threads:
                torch.set_num_threads(threads.begin())
            value, entropy, tokens = run.step(step)
            losses.append(value)
            read += tokens
            if threads:
                threads.end()
            done = step + 1
            if done % 10 == 0 or done == job.steps:
                now = time.time()
                taken, lap = now - lap, now
                speed = read / max(taken, 1e-9)
                per_step = read / min(10, len(losses))
                read = 0
                emit({"event": "step", "step": done, "loss": round(float(np.mean(losses[-10:])), 5), "crossEntropy": round(entropy, 5),
                      "tokensPerSecond": round(speed), "etaS": round((job.steps - done) * per_step / speed)})
            if done % job.checkpoint_every == 0 or done == job.steps or stop_wanted:
                if processes.first:
                    save_checkpoint(path, run, done, earlier + time.time() - started)
                processes.wait()
                emit({"event": "checkpoint", "step": done, "path": str(path)})
            if stop_wanted or (stop_after is not None and len(losses) >= stop_after):
                emit({"event": "stopped", "step": done})
                return losses
    run.finish()
    emit({"event": "end", "step": job.steps, "seconds": round(earlier + time.time() - started, 1)})
    return losses


@contextlib.contextmanager
def memory_errors(path: Path) -> Iterator[None]:
    """Turns running out of memory into ``TrainingFailed`` (memory_short)."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as cause:
        raise TrainingFailed(f"memory: expected enough for a step, got none left; the last checkpoint is kept at {path}", "memory_short") from cause
    except RuntimeError as cause:
        if isinstance(cause, TrainingFailed) or "can't allocate memory" not in str(cause):
            raise
        raise TrainingFailed(f"memory: expected enough for a step, got none left; the last checkpoint is kept at {path}", "memory_short") from cause

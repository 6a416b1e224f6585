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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import objectives
from .data.packing import PackedRows
from .errors import JobError, TrainingFailed
from .job import Job
from .memory import keep_freed_memory
from .model import Llama, ModelShape, document_mask
from .optimizer import Muon
from .threads import ThreadChoice

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


def build_optimizers(model: Llama, job: Job) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the embedding and the norms."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    return [
        Muon(matrices, lr=job.learning_rate, weight_decay=job.weight_decay),
        torch.optim.AdamW(rest, lr=job.embedding_learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def load_model(folder: str | Path) -> Llama:
    """The model of a checkpoint folder, in evaluation mode. Raises ``JobError`` when there is none."""
    path = Path(folder) / "checkpoint.pt"
    if not path.is_file():
        raise JobError(f"checkpoint: expected the file {path}, found nothing")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    model = Llama(ModelShape(**stored["shape"]))
    model.load_state_dict(stored["model"])
    return model.eval()


def save_checkpoint(path: Path, model: Llama, optimizers: list[torch.optim.Optimizer], step: int, job: Job, seconds: float) -> None:
    """Writes model, optimiser states and position in one file, by rename, so a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(
        {
            "shape": model.shape.to_json(),
            "model": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "step": step,
            "seconds": seconds,
            "job": job.to_json(),
        },
        temporary,
    )
    os.replace(temporary, path)


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


def token_loss(model: Llama, teacher_logits: Tensor | None, ids: Tensor, documents: Tensor, weight: Tensor, job: Job) -> tuple[Tensor, Tensor]:
    """The weighted mean loss of one batch and its cross-entropy part, both scalars in nats per token.

    ``ids`` and ``documents`` are (batch, time); ``weight`` (batch, time) weighs the prediction of each id.
    """
    logits = model(ids, document_mask(documents))[:, :-1].flatten(0, 1)
    targets, weights = ids[:, 1:].flatten(), weight[:, 1:].flatten()
    total = weights.sum().clamp_min(1.0)
    entropy = (objectives.cross_entropy(logits, targets) * weights).sum() / total
    if teacher_logits is None or job.objective == "cross_entropy":
        return entropy, entropy
    divergence = getattr(objectives, job.objective)(logits, teacher_logits[:, :-1].flatten(0, 1))
    # The teacher's law is worth matching on prompts too, so its weights are flatter than the text's.
    flat = (weights > 0) * (0.3 + weights)
    matched = (divergence * flat).sum() / flat.sum().clamp_min(1.0)
    return (1 - job.teacher_weight) * entropy + job.teacher_weight * matched, entropy


def train(job: Job, emit: Emit = print_event, stop_after: int | None = None, adaptive_threads: bool = False) -> list[float]:
    """Runs ``job`` from its last checkpoint, if there is one, to its end.

    SIGTERM and SIGINT end it after the step under way with a checkpoint there. ``adaptive_threads``
    tries one thread and all of them now and then and keeps the faster (for a machine shared with
    others; the results are then equal only up to rounding).

    Emits ``{"event": "step", step, loss, crossEntropy, tokensPerSecond, etaS}`` every ten steps and
    ``start``, ``checkpoint`` and ``end`` events. Returns the losses of the steps done in this call.
    ``stop_after`` ends early after so many steps, as a kill would (for tests). Raises ``JobError``
    for rows that do not fit the model and ``TrainingFailed`` on a loss that is not finite.
    """
    keep_freed_memory()
    torch.manual_seed(job.seed)
    rows = PackedRows.load(job.rows)
    if rows.ids.shape[1] > job.shape.context:
        raise JobError(f"rows: expected at most {job.shape.context} tokens a row, got {rows.ids.shape[1]}")
    if int(rows.ids.max()) >= job.shape.vocabulary:
        raise JobError(f"rows: expected token ids under {job.shape.vocabulary}, got {int(rows.ids.max())}")
    model = Llama(job.shape)
    optimizers = build_optimizers(model, job)
    path = Path(job.output) / "checkpoint.pt"
    first, earlier = 0, 0.0
    if path.is_file():
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored["shape"] != job.shape.to_json():
            raise JobError(f"shape: expected that of the checkpoint {stored['shape']}, got {job.shape.to_json()}")
        model.load_state_dict(stored["model"])
        for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        first, earlier = stored["step"], stored["seconds"]
    elif job.initial:
        model.load_state_dict(load_model(job.initial).state_dict())
    teacher = load_model(job.teacher) if job.teacher else None
    if teacher is not None and teacher.shape.vocabulary != job.shape.vocabulary:
        raise JobError(f"teacher: expected a vocabulary of {job.shape.vocabulary}, got {teacher.shape.vocabulary}")

    mixed = torch.autocast("cpu", torch.bfloat16, enabled=job.precision == "bf16")

    def loss_of(ids: Tensor, documents: Tensor, weight: Tensor, laws: Tensor | None) -> tuple[Tensor, Tensor]:
        with mixed:
            return token_loss(model, laws, ids, documents, weight, job)

    def laws_of(ids: Tensor, documents: Tensor) -> Tensor:
        with mixed:
            return teacher(ids, document_mask(documents))

    if job.compile:
        torch._inductor.config.cpp.dynamic_threads = adaptive_threads
        loss_of, laws_of = torch.compile(loss_of), torch.compile(laws_of)
    emit({"event": "start", "name": job.name, "parameters": model.parameter_count(), "rows": len(rows), "tokens": rows.tokens, "fromStep": first, "steps": job.steps})
    losses: list[float] = []
    started = lap = time.time()
    threads = ThreadChoice(torch.get_num_threads()) if adaptive_threads else None
    with stop_signals() as stop_wanted:
        for step in range(first, job.steps):
            if threads:
                torch.set_num_threads(threads.begin())
            chosen = row_order(len(rows), step, job.batch_rows, job.seed)
            ids = torch.from_numpy(rows.ids[chosen].astype(np.int64))
            documents = torch.from_numpy(rows.document[chosen].astype(np.int64))
            weight = torch.from_numpy(rows.weight[chosen])
            laws = None
            if teacher is not None:
                with torch.no_grad():
                    laws = laws_of(ids, documents)
            loss, entropy = loss_of(ids, documents, weight, laws)
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingFailed(f"loss: expected a number at step {step}, got {value}; the last checkpoint is kept at {path}")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            factor = learning_rate_factor(step, job)
            for optimizer, peak in zip(optimizers, (job.learning_rate, job.embedding_learning_rate), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = peak * factor
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
            losses.append(value)
            if threads:
                threads.end()
            done = step + 1
            if done % 10 == 0 or done == job.steps:
                now = time.time()
                taken, lap = now - lap, now
                speed = job.batch_rows * ids.shape[1] * min(10, len(losses)) / max(taken, 1e-9)
                emit({"event": "step", "step": done, "loss": round(float(np.mean(losses[-10:])), 5), "crossEntropy": round(float(entropy.detach()), 5),
                      "tokensPerSecond": round(speed), "etaS": round((job.steps - done) * job.batch_rows * ids.shape[1] / speed)})
            if done % job.checkpoint_every == 0 or done == job.steps or stop_wanted:
                save_checkpoint(path, model, optimizers, done, job, earlier + time.time() - started)
                emit({"event": "checkpoint", "step": done, "path": str(path)})
            if stop_wanted or (stop_after is not None and len(losses) >= stop_after):
                emit({"event": "stopped", "step": done})
                return losses
    emit({"event": "end", "step": job.steps, "seconds": round(earlier + time.time() - started, 1)})
    return losses

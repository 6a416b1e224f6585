"""Tiny teachers, students and data for the tests of objectives: seconds of one CPU thread."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch

from tandem_trainer.data import mixture, packing
from tandem_trainer.data.example import single
from tandem_trainer.job import parse_job
from tandem_trainer.objectives.base import weighted
from tandem_trainer.train import Run, train

SHAPE = {"vocabulary": 384, "width": 32, "layers": 2, "heads": 2, "kv_heads": 2, "ffn_width": 64, "context": 96}
WIDE = {**SHAPE, "width": 64, "layers": 3, "ffn_width": 96}
TIME = 64


def silent(event):
    """Takes events and checks only that they are JSON."""
    json.dumps(event)


def little_examples(count: int, seed: int, kind: str = "both"):
    """Short prompts with one right answer: the last of three words, or the first."""
    random_, made = random.Random(seed), []
    while len(made) < count:
        words = random_.sample("cat dog sun red box tree lake fire".split(), 3)
        last = kind == "last" or kind == "both" and random_.random() < 0.5
        made.append(single("last" if last else "first", 1, f"{'Last' if last else 'First'}: {' '.join(words)}", words[-1 if last else 0]))
    return made


def little_rows(tokenizer, count: int, seed: int, kind: str = "both"):
    """``little_examples`` packed."""
    return packing.pack(packing.encode([mixture.conversation_document(example) for example in little_examples(count, seed, kind)], tokenizer), TIME)


def job_of(folder: Path, name: str, **fields):
    """A job with the tiny settings, its output under ``folder``."""
    raw = {
        "name": name, "shape": SHAPE, "rows": str(folder / "rows.npz"), "output": str(folder / name), "steps": 40, "batch_rows": 8, "warmup_steps": 4,
        "checkpoint_every": 1000, "seed": 5, "compile": False, "precision": "f32", **fields,
    }
    return parse_job(raw)


def opened(job) -> Run:
    """A run that is ready for its first step."""
    run = Run.open(job, silent)
    run.objective.prepare()
    return run


@torch.no_grad()
def term_of(run: Run, steps=(0, 1, 2)) -> float:
    """The mean of the objective's own term on the batches of some steps, training nothing."""
    run.session.student.eval()
    run.objective.eval()
    found = []
    for step in steps:
        run.objective.begin(step)
        batch = run.objective.batch(step)
        loss, entropy = run.objective(batch, run.objective.teach(batch))
        weight = run.session.job.teacher_weight
        found.append((float(loss) - (1 - weight) * float(entropy)) / weight)
    return sum(found) / len(found)


def trained(run: Run) -> Run:
    """The run after all its steps."""
    for step in range(run.session.job.steps):
        run.step(step)
    return run


__all__ = ["SHAPE", "TIME", "WIDE", "job_of", "little_examples", "little_rows", "opened", "silent", "term_of", "train", "trained", "weighted"]

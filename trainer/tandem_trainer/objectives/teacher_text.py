"""Learning from text that a larger model writes (sequence-level distillation: Kim and Rush, arXiv:1606.07947).

``L = -sum_t log p_S(y_t | y_<t, x)`` with ``y`` the teacher's answer to ``x``. LlamaDuo (arXiv:2408.13467) adds a
judge: answers that it finds poor are dropped and the prompt is asked again. Explanations (row 167) and reasoning
(row 168) are learned in the same way: they are what the teacher writes.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from torch import Tensor

from ..generate import decode, decode_all, sampled
from ..model import Views
from .base import Batch, Given, Objective, flat, need, padded, weighted
from .cross_entropy import cross_entropy
from .endpoint import Endpoint, is_endpoint
from .preference import log_probabilities
from .prompts import prompts_of


class TeacherText(Objective):
    """``teacher_text``: the prompts of the rows, answered by the teacher (or teachers) once, before the first step.

    What was written is kept in ``<output>/teacher-text.jsonl``, so a resumed run does not ask again.
    """

    def prepare(self) -> None:
        """Reads or writes the teacher's answers. Raises ``JobError`` (teacher_silent) when there are none."""
        session, options = self.session, self.options
        models = [model for model in (session.student, *session.teachers) if model is not None]
        context = min(model.shape.context for model in models)
        self.prompts = prompts_of(session.rows, options["tokens_max"], context)
        need(len(self.prompts) > 0, f"rows: expected prompts that leave room for {options['tokens_max']} tokens, got none", "data_mismatch")
        path, key = Path(session.job.output) / "teacher-text.jsonl", self.key()
        if path.is_file():
            first, *lines = path.read_text().splitlines()
            if json.loads(first) == {"key": key}:
                self.items = [tuple(json.loads(line)) for line in lines]
                return
        self.items = self.write()
        need(bool(self.items), f"teacher: expected answers to {len(self.prompts)} prompts, got none that was kept", "teacher_silent")
        session.emit({"event": "teacher_text", "prompts": len(self.prompts), "kept": len(self.items)})
        if session.share[0] == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tmp").write_text("\n".join([json.dumps({"key": key}), *(json.dumps(item) for item in self.items)]) + "\n")
            os.replace(path.with_suffix(".tmp"), path)

    def key(self) -> str:
        """A hash of everything that the written text depends on."""
        job = self.session.job
        return hashlib.sha256(json.dumps([job.rows, job.all_teachers, self.options, job.seed], sort_keys=True).encode()).hexdigest()[:16]

    def write(self) -> list[tuple[list[int], list[int]]]:
        """(prompt, answer) ids: every teacher answers every prompt; what the judge refuses is asked again with warmth."""
        options, kept = self.options, []
        for number, name in enumerate(self.session.job.all_teachers):
            wanted = [prompt for prompt, _ in self.prompts.items for _ in range(options["samples"])]
            for attempt in range(options["attempts"]):
                temperature = options["temperature"] if attempt == 0 else max(options["temperature"], 0.7)
                answers = self.answer(name, number, wanted, temperature, attempt)
                verdicts = self.judge(wanted, answers)
                kept += [(prompt, answer) for prompt, answer, good in zip(wanted, answers, verdicts, strict=True) if good]
                wanted = [prompt for prompt, good in zip(wanted, verdicts, strict=True) if not good]
                if not wanted:
                    break
        return kept

    def answer(self, name: str, number: int, prompts: list[list[int]], temperature: float, attempt: int) -> list[list[int]]:
        """Answer ids, with the end token where the answer ended; [] for an empty answer."""
        session, limit = self.session, self.options["tokens_max"]
        if is_endpoint(name):
            need(session.tokenizer is not None, "tokenizer: expected a tokenizer.json to read an endpoint's text with, got nothing", "tokenizer_unstated")
            endpoint, found = Endpoint(name), []
            end = min(self.prompts.ends, default=None)
            for prompt in prompts:
                reply = endpoint.complete(session.tokenizer.decode(prompt, skip_special_tokens=False), limit, temperature, session.job.seed + attempt)
                ids = session.tokenizer.encode(reply.text, add_special_tokens=False).ids[:limit] if reply.text else []
                found.append(ids + ([end] if ids and reply.ended and end is not None else []))
            return found
        random_ = torch.Generator().manual_seed(session.job.seed * 31 + attempt)
        with session.autocast():
            answers = decode_all(lambda group: decode([(session.teachers[number], 1.0)], group, limit, self.prompts.ends, sampled(temperature, random_)), prompts)
        return [answer.written if answer.ids else [] for answer in answers]

    def judge(self, prompts: list[list[int]], answers: list[list[int]]) -> list[bool]:
        """Which answers are kept: not empty, and by the judge at least ``judge_min`` nats a token."""
        session, least = self.session, self.options["judge_min"]
        verdicts = [bool(answer) for answer in answers]
        if least <= -1e9:
            return verdicts
        need(bool(session.teachers) and session.teachers[-1] is not None, "objective_options.judge_min: expected a model folder as the last teacher, to judge with, got an address", "teacher_unusable")
        full = [number for number, good in enumerate(verdicts) if good]
        for begin in range(0, len(full), 32):
            part = full[begin : begin + 32]
            batch = padded([(prompts[n], answers[n]) for n in part], device=session.device)
            with torch.no_grad():
                means = log_probabilities(session, session.teachers[-1], batch) / (batch.weight > 0).sum(-1).clamp_min(1)
            for number, mean in zip(part, means.tolist(), strict=True):
                verdicts[number] = mean >= least
        return verdicts

    def batch(self, step: int) -> Batch:
        """The rows of the step, with ``parts["taught"]`` as many of the teacher's answers."""
        session = self.session
        batch = session.row_batch(step)
        batch.parts["taught"] = padded([self.items[number] for number in session.chosen(len(self.items), step)], step, session.student.shape.context, session.device)
        return batch

    def teach(self, batch: Batch) -> Given:
        """The teacher's tokens."""
        return {"targets": batch.parts["taught"].targets}

    def forward(self, batch: Batch, given: Given) -> tuple[Tensor, Tensor]:
        """See ``Objective.forward``; with ``teacher_weight`` 1 the rows' own text is not trained on, only reported."""
        session, weight = self.session, self.session.job.teacher_weight
        with torch.set_grad_enabled(weight < 1 and torch.is_grad_enabled()):
            entropy = self.entropy(batch, session.views(session.student, batch))
        return ((1 - weight) * entropy if weight < 1 else 0.0) + weight * self.term(batch, None, given), entropy

    def term(self, batch: Batch, views: Views | None, given: Given) -> Tensor:
        """Cross-entropy of the teacher's answers, a token."""
        taught = batch.parts["taught"]
        logits = flat(self.session.views(self.session.student, taught).logits)
        return weighted(cross_entropy(logits, given["targets"]), taught.weights)

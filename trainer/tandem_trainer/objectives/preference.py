"""Direct preference optimisation: Rafailov et al., arXiv:2305.18290, and its iterated form.

In the iterated form (Xu et al., arXiv:2312.16682) every round the student answers, the large model says which answer
is better (or writes it), and the student before the round is the reference. CoWest (arXiv:2410.07286) makes its
pairs from the large model's refinement of the small one's draft: ``guidance: write``.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import JobError
from ..generate import decode, decode_all, sampled
from ..model import Views
from .base import Batch, Given, Objective, padded
from .on_policy import Sampling
from .rationale import PairObjective


def sequence_log_probability(logits: Tensor, ids: Tensor, weight: Tensor) -> Tensor:
    """``sum_t log p(id_t | ids before t)`` over positions with weight, in nats: (batch).

    ``logits`` (batch, time, vocabulary), ``ids`` and ``weight`` (batch, time); the first token is never predicted.
    """
    laws = F.log_softmax(logits[:, :-1].float(), -1)
    each = laws.gather(-1, ids[:, 1:, None])[..., 0]
    return (each * (weight[:, 1:] > 0)).sum(-1)


def dpo_loss(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """``-(1-e) log sigmoid(m) - e log sigmoid(-m)``, ``m = beta ((c - c_ref) - (r - r_ref))``, per pair (n).

    The four inputs are sequence log-probabilities (n); ``smoothing`` e is the chance that a pair is reversed.
    At the reference itself the loss is ``ln 2``.
    """
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return -(1 - smoothing) * F.logsigmoid(margin) - smoothing * F.logsigmoid(-margin)


def best_and_worst(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of the best and the worst answer of each prompt and whether they differ: (n), (n), (n) bool.

    ``scores`` (n, samples).
    """
    best, worst = scores.argmax(-1), scores.argmin(-1)
    return best, worst, scores.amax(-1) > scores.amin(-1) + 1e-6


def log_probabilities(session, model: nn.Module, batch: Batch) -> Tensor:
    """``sequence_log_probability`` of a batch under a model."""
    return sequence_log_probability(session.law(session.views(model, batch).logits), batch.ids, batch.weight)


def preference_given(session, reference: nn.Module, chosen: Batch, rejected: Batch) -> Given:
    """What the reference says of both answers, and +1 a pair: the direction of the preference."""
    with torch.no_grad():
        return {
            "chosen": log_probabilities(session, reference, chosen), "rejected": log_probabilities(session, reference, rejected),
            "sign": torch.ones(len(chosen.ids), device=chosen.ids.device),
        }


def preference_term(session, chosen: Batch, rejected: Batch, given: Given) -> Tensor:
    """The mean ``dpo_loss`` of the pairs; a ``sign`` of -1 turns a pair round."""
    sign, beta, smoothing = given["sign"], session.options["beta"], session.options["smoothing"]
    own = log_probabilities(session, session.student, chosen) - log_probabilities(session, session.student, rejected)
    before = given["chosen"] - given["rejected"]
    return dpo_loss(sign * own, torch.zeros_like(own), sign * before, torch.zeros_like(own), beta, smoothing).mean()


def turned(given: Given, random_: torch.Generator) -> Given:
    """Preferences thrown at random, at least one turned round."""
    sign = torch.where(torch.rand(len(given["sign"]), generator=random_) < 0.5, 1.0, -1.0)
    sign[0] = -1.0
    return {**given, "sign": sign.to(given["sign"].device)}


class Dpo(PairObjective):
    """``dpo``: pairs from a file; the reference is ``reference``, or the student before the first step."""

    names = ("rejected", "chosen")

    def teach(self, batch: Batch) -> Given:
        """See ``preference_given``."""
        session = self.session
        return preference_given(session, session.reference or session.start, batch.parts["chosen"], batch.parts["rejected"])

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """See ``preference_term``. The cross-entropy part is on the chosen answers."""
        return preference_term(self.session, batch.parts["chosen"], batch.parts["rejected"], given)

    def shuffled(self, given: Given, random_: torch.Generator) -> Given:
        """See ``turned``."""
        return turned(given, random_)


class IterativeDpo(Sampling):
    """``iterative_dpo``: rounds of sampling, guidance by the teacher, and DPO against the round's first student.

    A round's pairs and reference are kept in ``<output>/round-<n>.pt``, so that a resumed run reads what it had.
    """

    def begin(self, step: int) -> None:
        """Starts the round that ``step`` belongs to, or reads it back."""
        number = step // self.options["round_steps"]
        if getattr(self, "round", None) == number:
            return
        session = self.session
        path = Path(session.job.output) / f"round-{number}.pt"
        reference = copy.deepcopy(session.student).eval().requires_grad_(False)
        if step % self.options["round_steps"] and path.is_file():
            stored = torch.load(path, map_location=session.device, weights_only=True)
            reference.load_state_dict(stored["reference"])
            self.pairs = stored["pairs"]
        else:
            self.pairs = self.make_pairs(number)
            if session.share[0] == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save({"reference": reference.state_dict(), "pairs": self.pairs}, path.with_suffix(".tmp"))
                os.replace(path.with_suffix(".tmp"), path)
        self.round, self._reference = number, [reference]
        session.emit({"event": "round", "round": number, "pairs": len(self.pairs)})

    def make_pairs(self, number: int) -> list[list[list[int]]]:
        """[prompt, chosen, rejected] ids of a round. Raises ``JobError`` when no prompt gives two different answers."""
        session, options = self.session, self.options
        order = np.random.default_rng([session.job.seed, number]).permutation(len(self.prompts))[: options["prompts"]]
        prompts = [self.prompts.items[index][0] for index in order]
        random_ = torch.Generator().manual_seed(session.job.seed * 7919 + number)
        write = lambda model, choose: decode_all(lambda group: decode([(model, 1.0)], group, options["tokens_max"], self.prompts.ends, choose), [prompt for prompt in prompts for _ in range(options["samples"])])  # noqa: E731
        session.student.eval()
        answers = [answer.written for answer in write(session.student, sampled(options["temperature"], random_))]
        session.student.train()
        scores = torch.tensor(self.scores(prompts, answers)).view(len(prompts), -1)
        best, worst, differ = best_and_worst(scores)
        rows = [answers[begin : begin + options["samples"]] for begin in range(0, len(answers), options["samples"])]
        if options["guidance"] == "write":
            wrote = decode_all(lambda group: decode([(session.teachers[0], 1.0)], group, options["tokens_max"], self.prompts.ends), prompts)
            pairs = [[prompt, answer.written, row[low]] for prompt, answer, row, low in zip(prompts, wrote, rows, worst.tolist(), strict=True) if answer.written and answer.written != row[low]]
        else:
            pairs = [[prompt, row[high], row[low]] for prompt, row, high, low, ok in zip(prompts, rows, best.tolist(), worst.tolist(), differ.tolist(), strict=True) if ok]
        pairs = [pair for pair in pairs if pair[1] and pair[2]]
        if not pairs and number == 0:
            raise JobError(f"teacher: expected to prefer one of {options['samples']} answers to some prompt, got no preference", "teacher_silent")
        return pairs or self.pairs

    def scores(self, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
        """The teacher's mean log-probability a token of each answer, nats."""
        session, every, found = self.session, self.options["samples"], []
        sequences = [(prompts[number // every], answer) for number, answer in enumerate(answers)]
        for begin in range(0, len(sequences), 32):
            batch = padded(sequences[begin : begin + 32], device=session.device)
            with torch.no_grad():
                total = log_probabilities(session, session.teachers[0], batch)
            found += (total / (batch.weight > 0).sum(-1).clamp_min(1)).tolist()
        return found

    def batch(self, step: int) -> Batch:
        """The rows of the step, with the round's pairs in ``parts``."""
        session = self.session
        numbers = session.chosen(len(self.pairs), step)
        batch = session.row_batch(step)
        for name, place in (("chosen", 1), ("rejected", 2)):
            batch.parts[name] = padded([(self.pairs[n][0], self.pairs[n][place]) for n in numbers], step, session.student.shape.context, session.device)
        return batch

    def teach(self, batch: Batch) -> Given:
        """See ``preference_given``; the reference is the student at the start of the round."""
        return preference_given(self.session, self._reference[0], batch.parts["chosen"], batch.parts["rejected"])

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """See ``preference_term``."""
        return preference_term(self.session, batch.parts["chosen"], batch.parts["rejected"], given)

    def forward(self, batch: Batch, given: Given) -> tuple[Tensor, Tensor]:
        """See ``Objective.forward``: the cross-entropy part is on the rows."""
        return Objective.forward(self, batch, given)

    def shuffled(self, given: Given, random_: torch.Generator) -> Given:
        """See ``turned``."""
        return turned(given, random_)

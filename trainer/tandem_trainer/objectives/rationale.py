"""Worked answers beside bare ones.

Distilling step by step (Hsieh et al., arXiv:2305.02301) trains two tasks at once, the answer and the rationale:
``L = CE(answer | prompt) + lambda CE(rationale | prompt)``; here the two are told apart by a prefix of the prompt.
LM-Guided CoT (arXiv:2404.03414) uses the small model's rationale at run time. Mix Distillation (Li et al.,
arXiv:2502.12143) shows long worked answers only for a share of the examples, since small models learn badly from
long ones alone.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..model import Views
from .base import Batch, Given, Objective, flat, padded, weighted
from .cross_entropy import cross_entropy
from .pair_data import encode_pair, read_pairs


def two_task_loss(answer: Tensor, rationale: Tensor, rationale_weight: float) -> Tensor:
    """``(CE_answer + w CE_rationale) / (1 + w)``, scalars in nats a token."""
    return (answer + rationale_weight * rationale) / (1 + rationale_weight)


def long_chosen(count: int, long_share: float, seed: int) -> np.ndarray:
    """Which of ``count`` examples show their long answer, a fixed choice: (count) booleans, the share ``long_share`` true."""
    return np.random.default_rng([seed, 77]).permutation(count) < round(long_share * count)


class PairObjective(Objective):
    """An objective on pairs of answers: ``names`` are the two fields of a line."""

    names = ("long", "short")

    def prepare(self) -> None:
        """Reads and encodes the pairs; those longer than the context are cut at its end."""
        session = self.session
        rows = read_pairs(session.job.pairs, self.names)
        self.items = {name: [encode_pair(row, name, session.tokenizer, self.explains(name)) for row in rows] for name in self.names}

    def explains(self, name: str) -> bool:
        """Whether the prompt of this answer is marked as asking for the worked one."""
        return False

    def side(self, name: str, numbers: np.ndarray, step: int) -> Batch:
        """The named answers of some pairs."""
        return padded([self.items[name][number] for number in numbers], step, self.session.student.shape.context, self.session.device)

    def batch(self, step: int) -> Batch:
        """The second answers of the step's pairs, with both sides in ``parts``."""
        numbers = self.session.chosen(len(self.items[self.names[0]]), step)
        sides = {name: self.side(name, numbers, step) for name in self.names}
        batch = sides[self.names[1]]
        return Batch(batch.ids, batch.documents, batch.weight, step, numbers, parts=sides)


def answer_entropy(session, batch: Batch, targets: Tensor | None = None) -> Tensor:
    """Mean cross-entropy a token of the answers of a batch; ``targets`` take the place of its own tokens."""
    logits = flat(session.views(session.student, batch).logits)
    return weighted(cross_entropy(logits, batch.targets if targets is None else targets), batch.weights)


class Rationale(PairObjective):
    """``rationale``: bare answer and worked answer as two tasks; the cross-entropy part is the bare answer alone."""

    def explains(self, name: str) -> bool:
        """The worked answer has its own prompt."""
        return name == "long"

    def teach(self, batch: Batch) -> Given:
        """The worked answers' tokens: what the teacher wrote."""
        return {"targets": batch.parts["long"].targets}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``two_task_loss``."""
        return two_task_loss(self.entropy(batch, views), answer_entropy(self.session, batch.parts["long"], given["targets"]), self.options["rationale_weight"])


class MixedLongShort(PairObjective):
    """``mixed_long_short``: a fixed share of the examples shows the long answer, the others the short one."""

    def prepare(self) -> None:
        """Chooses which examples are long."""
        super().prepare()
        self.long = long_chosen(len(self.items["long"]), self.options["long_share"], self.session.job.seed)

    def batch(self, step: int) -> Batch:
        """The short answers, with ``parts["mixed"]`` the answers to learn."""
        batch = super().batch(step)
        chosen = [self.items["long" if self.long[number] else "short"][number] for number in batch.numbers]
        batch.parts["mixed"] = padded(chosen, step, self.session.student.shape.context, self.session.device)
        return batch

    def teach(self, batch: Batch) -> Given:
        """The answers' tokens."""
        return {"targets": batch.parts["mixed"].targets}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """Cross-entropy of the mixed answers."""
        return answer_entropy(self.session, batch.parts["mixed"], given["targets"])

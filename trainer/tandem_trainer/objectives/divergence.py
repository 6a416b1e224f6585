"""Divergences between a teacher's and a student's next-token laws, per position, in nats.

Every function takes ``student`` and ``teacher`` logits of shape (n, vocabulary) over the same
vocabulary and returns (n), each entry at least 0 up to rounding. The gradient reaches the student
only when the teacher's logits are detached. Raises ``ValueError`` when the shapes differ: a silent
broadcast there trains on nonsense.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch, Given, Objective, flat, weighted


def _laws(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    if student.shape != teacher.shape:
        raise ValueError(f"teacher logits: expected shape {tuple(student.shape)}, got {tuple(teacher.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    return F.log_softmax(student.float() / temperature, -1), F.log_softmax(teacher.float() / temperature, -1)


def forward_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(T || S) = sum_v p_T(v) (log p_T(v) - log p_S(v))`` (Hinton et al., arXiv:1503.02531).

    Covers the teacher's law: the student pays wherever the teacher has mass. Multiplied by
    ``temperature^2``, as Hinton et al. do, so that the gradient's size does not depend on it.
    """
    log_student, log_teacher = _laws(student, teacher, temperature)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1) * temperature**2


def reverse_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(S || T) = sum_v p_S(v) (log p_S(v) - log p_T(v))`` (MiniLLM, arXiv:2306.08543).

    Seeks the teacher's modes: the student pays wherever it puts mass that the teacher does not.
    """
    log_student, log_teacher = _laws(student, teacher, temperature)
    return (log_student.exp() * (log_student - log_teacher)).sum(-1) * temperature**2


def jensen_shannon(student: Tensor, teacher: Tensor, beta: float = 0.5, temperature: float = 1.0) -> Tensor:
    """Generalised JSD of GKD (arXiv:2306.13649): ``b KL(T || m) + (1-b) KL(S || m)``, ``m = b T + (1-b) S``.

    ``beta`` lies strictly between 0 and 1; 0.5 is the symmetric Jensen-Shannon divergence, at most ln 2.
    Divided by ``b`` (or ``1 - b``) it tends to forward (or reverse) KL at the ends; see ``generalised``.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta: expected a number strictly between 0 and 1, got {beta}")
    log_student, log_teacher = _laws(student, teacher, temperature)
    log_mixture = torch.logaddexp(log_teacher + math.log(beta), log_student + math.log(1 - beta))
    to_teacher = (log_teacher.exp() * (log_teacher - log_mixture)).sum(-1)
    to_student = (log_student.exp() * (log_student - log_mixture)).sum(-1)
    return beta * to_teacher + (1 - beta) * to_student


def generalised(student: Tensor, teacher: Tensor, beta: float = 0.5, temperature: float = 1.0) -> Tensor:
    """``jensen_shannon`` with its limits: ``beta`` 0 is forward KL and 1 reverse KL, as GKD defines the ends."""
    if beta == 0:
        return forward_kl(student, teacher, temperature)
    if beta == 1:
        return reverse_kl(student, teacher, temperature)
    return jensen_shannon(student, teacher, beta, temperature)


class Divergence(Objective):
    """``forward_kl``, ``reverse_kl`` or ``jensen_shannon`` of the whole laws, on the job's rows.

    The two passes are compiled when the job says so: ``core`` takes and gives tensors only.
    """

    def __init__(self, session) -> None:
        super().__init__(session)
        beta = {"forward_kl": 0.0, "reverse_kl": 1.0}.get(session.job.objective, self.options.get("beta", 0.5))
        self.measure = lambda a, b: generalised(a, b, beta, self.options.get("temperature", 1.0))
        self.core = session.compiled(self._core)
        self.laws = session.compiled(self._laws)

    def _laws(self, ids: Tensor, documents: Tensor) -> Tensor:
        return self.session.teacher_views(Batch(ids, documents, ids)).logits

    def _core(self, ids: Tensor, documents: Tensor, weight: Tensor, laws: Tensor | None) -> tuple[Tensor, Tensor]:
        batch = Batch(ids, documents, weight)
        views = self.session.views(self.session.student, batch)
        entropy = self.entropy(batch, views)
        if laws is None:
            return entropy, entropy
        share = self.session.job.teacher_weight
        return (1 - share) * entropy + share * self.term(batch, views, {"laws": laws}), entropy

    def teach(self, batch: Batch) -> Given:
        """The teacher's logits at every position."""
        return {"laws": self.laws(batch.ids, batch.documents)}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The divergence over positions of weight, flatter weights than the text's."""
        each = self.measure(self.session.law(flat(views.logits)), self.session.law(flat(given["laws"])))
        return weighted(each, batch.law_weights)

    def forward(self, batch: Batch, given: Given) -> tuple[Tensor, Tensor]:
        """See ``Objective.forward``."""
        return self.core(batch.ids, batch.documents, batch.weight, given.get("laws"))


class Supervised(Divergence):
    """``cross_entropy``: the text of the rows alone."""

    def teach(self, batch: Batch) -> Given:
        """Nothing: there is no teacher."""
        return {}

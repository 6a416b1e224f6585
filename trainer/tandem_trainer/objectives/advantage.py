"""Advantage-guided distillation: ADPA (Gao et al., arXiv:2502.17927).

A teacher tuned on preferences and the same teacher before it define an advantage of every next token,
``A(s, a) = beta log(p_aligned(a | s) / p_reference(a | s))``; in the states that the student itself reaches, it is
raised on average over the student's law.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch, Given, flat, weighted
from .on_policy import Sampling


def advantages(aligned: Tensor, reference: Tensor, beta: float) -> Tensor:
    """``beta (log p_aligned - log p_reference)`` for every token; logits (n, vocabulary) twice, returns the same shape."""
    return beta * (F.log_softmax(aligned.float(), -1) - F.log_softmax(reference.float(), -1))


def advantage_loss(student: Tensor, advantage: Tensor) -> Tensor:
    """``-sum_a p_S(a | s) A(s, a)`` per position (n). Can be negative: it is 0 where the two teachers agree."""
    return -(F.softmax(student.float(), -1) * advantage).sum(-1)


class Advantage(Sampling):
    """``advantage``: the teacher's advantage over its ``reference``, in states of the student's own samples."""

    def teach(self, batch: Batch) -> Given:
        """The advantage of every token at every state."""
        session, written = self.session, batch.parts["written"]
        with torch.no_grad():
            before = session.views(session.reference, written).logits
        return {"advantage": advantages(session.law(flat(session.teacher_views(written).logits)), session.law(flat(before)), self.options["beta"])}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``advantage_loss`` a sampled token."""
        return weighted(advantage_loss(self.session.law(flat(views.logits)), given["advantage"]), batch.weights)

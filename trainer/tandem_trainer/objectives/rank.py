"""Rank loss on the peaks of two laws: RLKD (Peng and Zhang, arXiv:2409.12545).

The order of the likeliest tokens of teacher and student should agree, whatever their heights: one minus Spearman's
rank correlation over the union of both sides' top predictions, with ranks made soft for the student.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Views
from .base import Batch, flat, weighted
from .divergence import Divergence, forward_kl


def soft_ranks(scores: Tensor, softness: float, member: Tensor | None = None) -> Tensor:
    """``rank_i = sum_{j != i} sigmoid((s_j - s_i) / softness)`` over the last axis; 0 is the highest score.

    ``member`` (same shape) marks the entries that take part. Ranks of entries that do not are meaningless.
    """
    beats = torch.sigmoid((scores[..., None, :] - scores[..., :, None]) / softness)
    if member is not None:
        beats = beats * member[..., None, :]
        own = member.to(scores.dtype)
    else:
        own = torch.ones_like(scores)
    return beats.sum(-1) - 0.5 * own


def rank_loss(student: Tensor, teacher: Tensor, peaks: int, softness: float = 1.0) -> Tensor:
    """``1 - rho`` per position (n), 0..2, where rho is the correlation of the two sides' ranks.

    ``student``, ``teacher`` (n, vocabulary) logits. The tokens compared are the union of the ``peaks`` likeliest
    of each. The teacher's ranks are exact, the student's soft.
    """
    peaks = min(peaks, student.shape[-1])
    ids = torch.cat([teacher.topk(peaks, -1).indices, student.detach().topk(peaks, -1).indices], -1)
    ids, _ = ids.sort(-1)
    member = torch.ones_like(ids, dtype=torch.bool)
    member[..., 1:] = ids[..., 1:] != ids[..., :-1]
    a = soft_ranks(student.float().gather(-1, ids), softness, member)
    b = soft_ranks(teacher.float().gather(-1, ids), 1e-4, member)
    count = member.sum(-1, keepdim=True)

    def centred(ranks: Tensor) -> Tensor:
        return (ranks - (ranks * member).sum(-1, keepdim=True) / count) * member

    a, b = centred(a), centred(b)
    return 1 - (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-6)


class Rank(Divergence):
    """``rank``: the order of the peaks, with forward KL beside it (``law_weight``)."""

    def term(self, batch: Batch, views: Views, given: dict) -> Tensor:
        """``rank_loss + law_weight * forward KL`` over positions of weight."""
        student, teacher = self.session.law(flat(views.logits)), self.session.law(flat(given["laws"]))
        each = rank_loss(student, teacher, self.options["peaks"], self.options["softness"])
        if self.options["law_weight"]:
            each = each + self.options["law_weight"] * forward_kl(student, teacher)
        return weighted(each, batch.law_weights)

"""One law out of several teachers' laws, to be distilled by forward KL.

FuseLLM (Wan et al., arXiv:2401.10491): per text, the law of the teacher with the least cross-entropy (``min_ce``) or
a mean weighted by it (``weighted``). TinyLLM (arXiv:2402.04616) learns from several teachers at once. ProFuser
(arXiv:2408.04998) looks at two advantages of a teacher, on given text (training mode) and in its own writing
(inference mode), and passes from one to the other as training goes on (``progressive``). The plain ``mean`` is
kept as the control that experience says loses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch, Given, Objective, flat, weighted

FUSIONS = ("min_ce", "weighted", "confident", "mean", "progressive")


def unit_means(values: Tensor, units: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of ``values`` (..., n) inside each unit, written back to every position (..., n).

    ``units`` (n) numbers from 0; positions of weight 0 do not count. A unit without weight gets 0.
    """
    count = int(units.max()) + 1 if len(units) else 0
    shape = (*values.shape[:-1], count)
    index = units.expand_as(values)
    total = torch.zeros(shape, dtype=values.dtype, device=values.device).scatter_add_(-1, index, values * weights)
    mass = torch.zeros(count, dtype=values.dtype, device=values.device).scatter_add_(0, units, weights.to(values.dtype))
    return (total / mass.clamp_min(1e-9)).gather(-1, index)


def fused_law(teachers: list[Tensor], targets: Tensor, units: Tensor, weights: Tensor, fusion: str, sharpness: float = 5.0) -> Tensor:
    """The log of the fused law (n, vocabulary) from logits (n, vocabulary) of each teacher.

    ``targets`` (n) are the text's tokens, ``units`` (n) the number of the document a position belongs to, ``weights``
    (n) the positions that count. ``min_ce``: per document the teacher whose mean cross-entropy on the text is least.
    ``weighted``: ``sum_m w_m p_m`` with ``w = softmax_m(-sharpness CE_m)`` per document. ``confident``: per document the
    teacher whose law has the least mean entropy (no text needed). ``mean``: ``w = 1 / m``.
    Raises ``ValueError`` for another fusion (``progressive`` is resolved by the caller).
    """
    laws = torch.stack([F.log_softmax(one.float(), -1) for one in teachers])
    if fusion == "mean":
        return laws.logsumexp(0) - torch.log(torch.tensor(float(len(teachers))))
    if fusion in ("min_ce", "weighted"):
        cost = -laws.gather(-1, targets.expand(len(teachers), -1)[..., None])[..., 0]
    elif fusion == "confident":
        cost = -(laws.exp() * laws).sum(-1)
    else:
        raise ValueError(f"fusion: expected one of {FUSIONS}, got {fusion!r}")
    cost = unit_means(cost, units, weights)
    if fusion == "weighted":
        return (laws + F.log_softmax(-sharpness * cost, 0)[..., None]).logsumexp(0)
    best = cost.argmin(0)
    return laws.gather(0, best[None, :, None].expand(1, *laws.shape[1:]))[0]


class MultiTeacher(Objective):
    """``multi_teacher``: forward KL to the fused law of two teachers or more."""

    def teach(self, batch: Batch) -> Given:
        """The log of the fused law."""
        session, fusion = self.session, self.options["fusion"]
        if fusion == "progressive":
            fusion = "min_ce" if batch.step < self.options["switch_share"] * session.job.steps else "confident"
        laws = [session.law(flat(session.teacher_views(batch, number).logits)) for number in range(len(session.teachers))]
        width = min(law.shape[-1] for law in laws)
        laws = [law[:, :width] for law in laws]
        return {"law": fused_law(laws, batch.targets, batch.units, (batch.weights > 0).float(), fusion, self.options["sharpness"])}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``KL(fused || student)`` over positions of weight."""
        law = given["law"]
        student = F.log_softmax(flat(views.logits)[:, : law.shape[-1]].float(), -1)
        return weighted((law.exp() * (law - student)).sum(-1), batch.law_weights)

"""Selective distillation: learn where the teacher is sure and the student is not.

LLKD (Li et al., arXiv:2411.08028): keep a sample when the teacher's confidence exceeds a threshold and the student's
uncertainty another, both following the data; weigh what is kept. Jazbec et al. (arXiv:2405.05938) let the student's
state alone choose.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch, Given, Objective, flat, weighted
from .divergence import forward_kl
from .multi_teacher import unit_means


def teacher_confidence(logits: Tensor) -> Tensor:
    """``max_v p_T(v)`` per position, 0..1."""
    return F.softmax(logits.float(), -1).amax(-1)


def student_uncertainty(logits: Tensor) -> Tensor:
    """Entropy of the student's law over its greatest possible value, per position, 0..1."""
    laws = F.log_softmax(logits.float(), -1)
    return -(laws.exp() * laws).sum(-1) / math.log(logits.shape[-1])


def selection(confidence: Tensor, uncertainty: Tensor, confidence_floor: float, uncertainty_floor: float, by: str) -> Tensor:
    """Weights (n) that are 0 for what is not kept.

    Kept: ``c >= floor_c`` (unless ``by`` is ``student``) and ``u >= floor_u`` (unless ``teacher``). A kept sample weighs
    ``c * u`` (``both``), ``c`` or ``u``: the surer the teacher and the less sure the student, the more.
    """
    sure, unsure = confidence >= confidence_floor, uncertainty >= uncertainty_floor
    if by == "teacher":
        return sure * confidence
    if by == "student":
        return unsure * uncertainty
    if by != "both":
        raise ValueError(f"by: expected both, teacher or student, got {by!r}")
    return (sure & unsure) * confidence * uncertainty


class Selective(Objective):
    """``selective``: forward KL on the documents (or tokens) where the teacher is sure and the student is not.

    Both thresholds are running means over the batches; they are part of the checkpoint.
    """

    def __init__(self, session) -> None:
        super().__init__(session)
        self.register_buffer("floors", torch.full((2,), -1.0))

    def teach(self, batch: Batch) -> Given:
        """The teacher's laws."""
        return {"laws": self.session.teacher_views(batch).logits}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The divergence, weighed by ``selection``; thresholds move when training."""
        student, teacher = self.session.law(flat(views.logits)), self.session.law(flat(given["laws"]))
        keep = (batch.weights > 0).float()
        with torch.no_grad():
            sure, unsure = teacher_confidence(teacher), student_uncertainty(student)
            if self.options["unit"] == "document":
                units = batch.units
                sure, unsure = unit_means(sure, units, keep), unit_means(unsure, units, keep)
            means = torch.stack([weighted(sure, keep), weighted(unsure, keep)])
            floors = torch.where(self.floors < 0, means, self.options["memory"] * self.floors + (1 - self.options["memory"]) * means)
            if self.training:
                self.floors.copy_(floors)
            chosen = selection(sure, unsure, float(floors[0]), float(floors[1]), self.options["by"]) * keep
            chosen = chosen / chosen.max().clamp_min(1e-9)
        return weighted(forward_kl(student, teacher), chosen * batch.law_weights)

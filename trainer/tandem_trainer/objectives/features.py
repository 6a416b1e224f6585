"""Matching of hidden states between layers.

FitNets (Romero et al., arXiv:1412.6550): the student's state, mapped by a learned matrix to the teacher's width,
follows the teacher's state. TinyBERT (Jiao et al., arXiv:1909.10351) does so at every layer and at the embeddings;
DistilBERT (Sanh et al., arXiv:1910.01108) compares directions by cosine.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Views
from .base import Batch, Given, Objective, flat, weighted
from .divergence import forward_kl

DISTANCES = ("mse", "cosine")


def layer_map(student: int, teacher: int, kind: str) -> list[tuple[int, int]]:
    """Pairs (student layer, teacher layer), counted from 1; the last layers always meet.

    ``uniform``: student layer ``i`` follows teacher layer ``round(i * teacher / student)`` (TinyBERT's uniform map);
    ``last``: only the last layers.
    """
    if kind == "last":
        return [(student, teacher)]
    return [(layer, max(1, round(layer * teacher / student))) for layer in range(1, student + 1)]


def state_distance(student: Tensor, teacher: Tensor, kind: str) -> Tensor:
    """The distance of two states per position: (n, width) twice, returns (n).

    ``mse``: ``mean_d (s_d - t_d)^2 / mean_d t_d^2``, relative to the teacher's size so that layers weigh alike.
    ``cosine``: ``1 - cos(s, t)``. Raises ``ValueError`` when the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"teacher states: expected shape {tuple(student.shape)}, got {tuple(teacher.shape)}")
    student, teacher = student.float(), teacher.float()
    if kind == "cosine":
        return 1 - F.cosine_similarity(student, teacher, -1)
    if kind != "mse":
        raise ValueError(f"distance: expected one of {DISTANCES}, got {kind!r}")
    return (student - teacher).square().mean(-1) / teacher.square().mean().clamp_min(1e-6)


class StateObjective(Objective):
    """An objective on states, with forward KL of the laws beside it (``law_weight``).

    Subclasses give ``match``. The teacher's ``Views`` are what is taught.
    """

    states = True

    def teach(self, batch: Batch) -> Given:
        """Everything that the teacher shows."""
        return {"views": self.session.teacher_views(batch, states=True)}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``match + law_weight * forward KL``."""
        total = self.match(batch, views, given["views"])
        if self.options.get("law_weight"):
            laws = forward_kl(self.session.law(flat(views.logits)), self.session.law(flat(given["views"].logits)))
            total = total + self.options["law_weight"] * weighted(laws, batch.law_weights)
        return total

    def match(self, batch: Batch, views: Views, teacher: Views) -> Tensor:
        """The part on states, a scalar."""
        raise NotImplementedError


class FeatureMatching(StateObjective):
    """``feature_matching``: mapped student states follow the teacher's, layer by layer."""

    def __init__(self, session) -> None:
        super().__init__(session)
        student, teacher = session.student.shape, session.teachers[0].shape
        self.pairs = layer_map(student.layers, teacher.layers, self.options["layers"])
        if self.options["embeddings"]:
            self.pairs = [(0, 0), *self.pairs]
        self.maps = nn.ModuleList(nn.Linear(student.width, teacher.width, bias=False) for _ in self.pairs)

    def match(self, batch: Batch, views: Views, teacher: Views) -> Tensor:
        """The mean distance over the matched layers and the positions of weight (a state counts as its prediction does)."""
        each = [
            weighted(state_distance(learned(flat(views.hidden[own]).float()), flat(teacher.hidden[theirs]), self.options["distance"]), batch.law_weights)
            for learned, (own, theirs) in zip(self.maps, self.pairs, strict=True)
        ]
        return sum(each) / len(each)

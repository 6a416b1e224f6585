"""Contrastive alignment of two models' representations of the same texts.

``info_nce`` (van den Oord et al., arXiv:1807.03748) pulls the student's vector of a text to the teacher's vector of
it and away from the batch's other texts: the latent alignment of SynCID. ``margin_contrast`` asks only that
differences in similarity which the teacher shows be shown by the student too, by a margin that grows with them: the
form in which Flipping KD hands a small model's similarities to a large one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Views
from .base import Batch, Given
from .features import StateObjective


def info_nce(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``-log exp(s_ii / t) / sum_j exp(s_ij / t)`` with ``s`` the cosine of student i and teacher j, per text (n).

    ``student`` and ``teacher`` (n, width). With one text there is nothing to contrast and the loss is 0.
    """
    similarity = F.normalize(student.float(), dim=-1) @ F.normalize(teacher.float(), dim=-1).T
    return F.cross_entropy(similarity / temperature, torch.arange(len(student), device=student.device), reduction="none")


def margin_contrast(student: Tensor, teacher: Tensor, margin: float, gap: float) -> Tensor:
    """``mean over i and pairs (j, k) with T_ij - T_ik > gap of relu(margin (T_ij - T_ik) - (S_ij - S_ik))``, a scalar.

    ``S``, ``T``: cosines among the student's and among the teacher's vectors (n, any width); j and k differ from i.
    0 when no pair has such a gap.
    """
    a, b = F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1)
    s, t = a @ a.T, b @ b.T
    wanted = t[:, :, None] - t[:, None, :]
    shown = s[:, :, None] - s[:, None, :]
    other = ~torch.eye(len(s), dtype=torch.bool, device=s.device)
    pairs = (wanted > gap) & other[:, :, None] & other[:, None, :]
    return (F.relu(margin * wanted - shown) * pairs).sum() / pairs.sum().clamp_min(1)


def text_vectors(states: Tensor, batch: Batch) -> Tensor:
    """The mean final state of each document of a batch: (documents, width) from (batch, time, width)."""
    place = torch.arange(len(batch.ids), device=states.device)[:, None] * 256 + batch.documents
    keep = batch.documents.flatten() > 0
    units = torch.unique(place.flatten()[keep], return_inverse=True)[1]
    sums = torch.zeros(int(units.max()) + 1, states.shape[-1], device=states.device).index_add_(0, units, states.flatten(0, 1)[keep].float())
    return sums / torch.bincount(units)[:, None]


class Contrastive(StateObjective):
    """``contrastive``: a learned map of the student's text vector meets the teacher's vector of the same text."""

    def __init__(self, session) -> None:
        super().__init__(session)
        self.learned = nn.Linear(session.student.shape.width, session.teachers[0].shape.width, bias=False)

    def teach(self, batch: Batch) -> Given:
        """The teacher's vectors."""
        return {"vectors": text_vectors(self.session.teacher_views(batch, states=True).hidden[-1], batch)}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The mean ``info_nce`` over the batch's documents."""
        return info_nce(self.learned(text_vectors(views.hidden[-1], batch)), given["vectors"], self.options["temperature"]).mean()


class SimilarityContrastive(StateObjective):
    """``similarity_contrastive``: the student shows the teacher's differences in similarity among the batch's texts."""

    def teach(self, batch: Batch) -> Given:
        """The teacher's vectors."""
        return {"vectors": text_vectors(self.session.teacher_views(batch, states=True).hidden[-1], batch)}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``margin_contrast`` over the batch's documents."""
        return margin_contrast(text_vectors(views.hidden[-1], batch), given["vectors"], self.options["margin"], self.options["gap"])

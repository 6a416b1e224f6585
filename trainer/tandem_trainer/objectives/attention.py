"""Matching of attention: maps, relations among queries, keys and values, and heads across layers.

TinyBERT (arXiv:1909.10351) compares attention maps head by head; MiniLM and MiniLMv2 (arXiv:2002.10957,
arXiv:2012.15828) compare relations, so that the number of heads may differ; C2KD aligns each student head with
the teacher heads, of whatever layer, that look alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch
from .features import StateObjective, layer_map


def map_distance(student: Tensor, teacher: Tensor, keep: Tensor) -> Tensor:
    """Mean squared difference of attention rows, ``sum_k (a_k - b_k)^2``, over the queries in ``keep``.

    ``student`` (batch, heads, time, time), ``teacher`` the same but for the number of heads: when that differs, the
    maps are averaged over heads first. ``keep`` (batch, time) weighs the queries. Returns a scalar.
    """
    if student.shape[1] != teacher.shape[1]:
        student, teacher = student.mean(1, keepdim=True), teacher.mean(1, keepdim=True)
    each = (student - teacher).square().sum(-1).mean(1)
    return (each * keep).sum() / keep.sum().clamp_min(1.0)


def relation(vectors: Tensor, heads: int, mask: Tensor) -> Tensor:
    """Log of ``softmax(x x^T / sqrt(d))`` (batch, heads, time, time) for vectors cut anew into ``heads`` parts.

    ``vectors`` (batch, any heads, time, head_width); ``mask`` (batch, 1, time, time) says which pairs count.
    Raises ``ValueError`` when ``heads`` does not divide the width.
    """
    batch, own, time, width = vectors.shape
    if own * width % heads:
        raise ValueError(f"relation_heads: expected to divide the width {own * width}, got {heads}")
    x = vectors.float().transpose(1, 2).reshape(batch, time, heads, -1).transpose(1, 2)
    scores = x @ x.mT / x.shape[-1] ** 0.5
    return F.log_softmax(scores.masked_fill(~mask, -1e9), -1)


def relation_kl(student: Tensor, teacher: Tensor, heads: int, mask: Tensor, keep: Tensor) -> Tensor:
    """``mean over heads and kept positions of KL(teacher relation || student relation)`` in nats, a scalar."""
    a, b = relation(student, heads, mask), relation(teacher, heads, mask)
    each = (b.exp() * (b - a)).sum(-1).mean(1)
    return (each * keep).sum() / keep.sum().clamp_min(1.0)


def cross_head_distance(student: list[Tensor], teacher: list[Tensor], keep: Tensor, sharpness: float) -> Tensor:
    """Every student head follows the teacher heads that resemble it, across layers; a scalar.

    With ``D_ij`` the mean squared difference of head i's and head j's rows over kept queries and
    ``A_ij = softmax_j(-sharpness D_ij / mean_j D_ij)`` (not differentiated), the loss is ``mean_i sum_j A_ij D_ij``.
    ``student``, ``teacher``: one map (batch, heads, time, time) a layer; ``keep`` (batch, time).
    """
    a, b = torch.cat(student, 1), torch.cat(teacher, 1)
    a, b = a.transpose(0, 1)[:, keep > 0], b.transpose(0, 1)[:, keep > 0]  # (heads, kept, time)
    a, b = a.flatten(1), b.flatten(1)
    count = max(1, int((keep > 0).sum()))
    distance = (a.square().sum(-1)[:, None] + b.square().sum(-1)[None] - 2 * a @ b.T).clamp_min(0) / count
    with torch.no_grad():
        follow = torch.softmax(-sharpness * distance / distance.mean(-1, keepdim=True).clamp_min(1e-9), -1)
    return (follow * distance).sum(-1).mean()


def kept_queries(batch: Batch) -> Tensor:
    """1 where a position is real text, (batch, time), as float."""
    return (batch.documents > 0).float()


class AttentionMatching(StateObjective):
    """``attention_matching``: attention maps of mapped layers."""

    def match(self, batch: Batch, views: Views, teacher: Views) -> Tensor:
        """The mean over layer pairs of ``map_distance``."""
        pairs = layer_map(len(views.queries), len(teacher.queries), self.options["layers"])
        keep = kept_queries(batch)
        return sum(map_distance(views.attention(own - 1), teacher.attention(theirs - 1), keep) for own, theirs in pairs) / len(pairs)


class AttentionRelations(StateObjective):
    """``attention_relations``: query-query, key-key and value-value relations of the last layers."""

    def match(self, batch: Batch, views: Views, teacher: Views) -> Tensor:
        """The mean over the three kinds of ``relation_kl``."""
        keep, heads = kept_queries(batch), self.options["relation_heads"]
        kinds = zip((views.queries, views.keys, views.values), (teacher.queries, teacher.keys, teacher.values), strict=True)
        return sum(relation_kl(own[-1], theirs[-1], heads, views.mask, keep) for own, theirs in kinds) / 3


class CrossHead(StateObjective):
    """``cross_head``: every student head follows its likest teacher heads, of any layer."""

    def match(self, batch: Batch, views: Views, teacher: Views) -> Tensor:
        """``cross_head_distance`` over all layers."""
        own = [views.attention(layer) for layer in range(len(views.queries))]
        theirs = [teacher.attention(layer) for layer in range(len(teacher.queries))]
        return cross_head_distance(own, theirs, kept_queries(batch), self.options["sharpness"])

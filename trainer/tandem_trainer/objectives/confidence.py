"""Confidence tuning for cascades: GateKeeper (Rabanser et al., arXiv:2502.19335).

The small model is made sharper where it is right and flat where it is wrong, so that its confidence tells which
requests to pass on. The price is raw accuracy as ``alpha`` falls.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from ..model import Views
from .base import Batch, Given, Objective, flat, weighted


def confidence_loss(logits: Tensor, targets: Tensor, alpha: float) -> Tensor:
    """``alpha 1[right] CE(p, y) + (1 - alpha) 1[wrong] KL(p || U)`` per position (n), in nats.

    ``logits`` (n, vocabulary), ``targets`` (n); right means that the likeliest token is the target. ``KL(p || U) =
    ln V - H(p)``.
    """
    laws = F.log_softmax(logits.float(), -1)
    right = laws.argmax(-1) == targets
    entropy = -(laws.exp() * laws).sum(-1)
    to_uniform = math.log(logits.shape[-1]) - entropy
    cost = -laws.gather(-1, targets[:, None])[:, 0]
    return alpha * right * cost + (1 - alpha) * (~right) * to_uniform


class Confidence(Objective):
    """``confidence``: on the rows' own text; usually started from a trained student (``initial``)."""

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``confidence_loss`` by the text's weights."""
        return weighted(confidence_loss(flat(views.logits), batch.targets, self.options["alpha"]), batch.weights)

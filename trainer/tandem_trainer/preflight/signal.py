"""The signal check: a teacher that changes nothing is found before the run and not after it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from ..errors import JobError

if TYPE_CHECKING:
    from ..train import Run


def signal_check(run: Run, step: int = 0) -> dict[str, Any]:
    """Runs one batch without an update and reports the teacher term's gradient and what shuffling does to it.

    Returns ``gradientNorm`` (of the objective's term alone, over the student's parameters), ``plainGradientNorm`` (of the
    cross-entropy part; None when the job gives it no weight), ``loss``, ``shuffled`` (the loss with the positions of what
    the teacher gave mixed up) and ``shuffledCosine`` (of the term's gradients before and after), both None for an
    objective that is given nothing. Raises ``JobError`` (signal_missing) when the term has no gradient, or when neither the
    loss nor the gradient's direction changes. (At its reference, DPO's loss is ln 2 for any preference; its gradient is not.)
    """
    session, objective = run.session, run.objective
    objective.eval()
    session.student.train()
    objective.begin(step)
    batch = objective.batch(step)
    given = objective.teach(batch)
    loss, entropy = objective(batch, given)
    weight = session.job.teacher_weight
    parameters = [parameter for parameter in session.student.parameters() if parameter.requires_grad]
    plain = None
    if weight < 1 and entropy.requires_grad:
        plain = norm(torch.autograd.grad(entropy, parameters, retain_graph=True, allow_unused=True))
    def term_gradient(value: torch.Tensor, rest: torch.Tensor) -> list[torch.Tensor]:
        term = (value - (1 - weight) * rest) / weight if weight else value
        found = torch.autograd.grad(term, parameters, allow_unused=True) if term.requires_grad else [None] * len(parameters)
        return [torch.zeros_like(p) if one is None else one for one, p in zip(found, parameters, strict=True)]

    direction = term_gradient(loss, entropy)
    gradient, shuffled, cosine = norm(direction), None, None
    if given:
        other, rest = objective(batch, objective.shuffled(given, torch.Generator().manual_seed(session.job.seed)))
        turned = term_gradient(other, rest)
        shuffled = float(other.detach())
        product = sum(float((one.float() * two.float()).sum()) for one, two in zip(direction, turned, strict=True))
        cosine = product / max(gradient * norm(turned), 1e-30)
    receipt = {"gradientNorm": gradient, "plainGradientNorm": plain, "loss": float(loss.detach()), "shuffled": shuffled, "shuffledCosine": cosine}
    objective.train()
    if not gradient > 0 or not math.isfinite(gradient):
        raise JobError(f"objective: expected a gradient from {session.job.objective!r}, got a norm of {gradient}", "signal_missing")
    if shuffled is not None and abs(shuffled - receipt["loss"]) <= 1e-6 * max(1.0, abs(receipt["loss"])) and cosine > 0.9999:
        raise JobError(f"teacher: expected the loss to change when what it gives is shuffled, got {shuffled} both times", "signal_missing")
    return receipt


def norm(gradients: Iterable[torch.Tensor | None]) -> float:
    """The Euclidean norm of gradients, unused parameters counting as 0."""
    return math.sqrt(sum(float(one.float().square().sum()) for one in gradients if one is not None))

r"""Merging checkpoints of one shape, weight by weight.

*linear*: ``sum_i w_i theta_i`` (model soups: Wortsman et al., arXiv:2203.05482). *slerp*: each tensor of two models moves along the
great circle between their directions (Shoemake 1985), its length along the line; at equal directions it is the linear
mean. *task*: ``theta_0 + sum_i w_i (theta_i - theta_0)`` (task arithmetic: Ilharco et al., arXiv:2212.04089), where ``theta_0`` is the model
that the others were tuned from; a negative weight unlearns.

Only models that share an ancestor have a chance of a useful mean; nothing here checks that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from .errors import JobError
from .model import Llama
from .model_folder import save_model

METHODS = ("linear", "slerp", "task")


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The tensor ``share`` (0 to 1) of the way from ``a`` to ``b`` along the great circle of their directions."""
    x, y = a.flatten().double(), b.flatten().double()
    x_length, y_length = x.norm(), y.norm()
    if x_length == 0 or y_length == 0:
        return torch.lerp(a.double(), b.double(), share).to(a.dtype)
    angle = torch.arccos((x @ y / (x_length * y_length)).clamp(-1, 1))
    length = x_length + share * (y_length - x_length)
    if torch.sin(angle) < 1e-6:
        return torch.lerp(a.double(), b.double(), share).to(a.dtype)
    direction = (torch.sin((1 - share) * angle) * x / x_length + torch.sin(share * angle) * y / y_length) / torch.sin(angle)
    return (length * direction).reshape(a.shape).to(a.dtype)


def merge(models: list[Llama], weights: list[float], method: str, base: Llama | None = None) -> Llama:
    """A model of the same shape. ``weights`` one a model; for ``slerp`` two models and ``weights`` = [1 - t, t].

    Raises ``JobError`` for shapes that differ, wrong numbers of models or weights, or a base that is missing.
    """
    if method not in METHODS:
        raise JobError(f"--method: expected one of {list(METHODS)}, got {method!r}")
    if len(weights) != len(models) or len(models) < (1 if method == "task" else 2):
        raise JobError(f"--weights: expected one a model (at least {1 if method == 'task' else 2}), got {len(weights)} for {len(models)} models")
    if method == "slerp" and (len(models) != 2 or abs(sum(weights) - 1) > 1e-6 or not 0 <= weights[1] <= 1):
        raise JobError(f"--weights: expected two weights that add up to 1 for slerp, got {weights}")
    if (method == "task") != (base is not None):
        raise JobError("--base: expected the model that the others were tuned from, for task only")
    for model in [*models[1:], *([base] if base else [])]:
        if model.shape != models[0].shape:
            raise JobError(f"models: expected one shape {models[0].shape.to_json()}, got {model.shape.to_json()}")
    states = [model.state_dict() for model in models]
    start = base.state_dict() if base else None
    merged = {}
    for name, first in states[0].items():
        if method == "slerp":
            merged[name] = slerp(first, states[1][name], weights[1])
        elif method == "linear":
            merged[name] = sum(weight * state[name].double() for weight, state in zip(weights, states, strict=True)).float()
        else:
            merged[name] = (start[name].double() + sum(weight * (state[name].double() - start[name].double()) for weight, state in zip(weights, states, strict=True))).float()
    model = Llama(models[0].shape)
    model.load_state_dict(merged)
    return model.eval()


def run(given: argparse.Namespace) -> dict:
    """The command: merges checkpoints. Returns the event to print."""
    from .session import load_model

    try:
        weights = [float(part) for part in given.weights.split(",")]
    except ValueError as cause:
        raise JobError(f"--weights: expected numbers by commas, got {given.weights!r}") from cause
    base = load_model(given.base) if given.base else None
    model = merge([load_model(folder) for folder in given.models], weights, given.method, base)
    made = {"tool": "merge", "method": given.method, "weights": weights, "from": [str(folder) for folder in given.models], "base": str(given.base) if given.base else None}
    return {"event": "merged", "path": str(save_model(given.output, model, made)), "method": given.method, "weights": weights}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``merge`` to the command line."""
    text = "merge checkpoints of one shape (linear, slerp, task arithmetic)"
    sub = commands.add_parser("merge", help=text, description=text)
    sub.add_argument("models", nargs="+", type=Path, help="folders holding checkpoint.pt")
    sub.add_argument("--weights", required=True, help="one a model, by commas")
    sub.add_argument("--method", choices=METHODS, default="linear")
    sub.add_argument("--base", type=Path, default=None, help="for task: the model that the others were tuned from")
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt")
    sub.set_defaults(run=run)

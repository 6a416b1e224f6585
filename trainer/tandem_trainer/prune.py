r"""Structured pruning: a smaller model from a larger one, by the importance of its parts, to be recovered by a job.

*Width* (features of the stream, heads, feed-forward units): importance is the squared first-order change of the loss when a
part is set to zero (Molchanov et al., arXiv:1906.10771; for language models LLM-Pruner, Ma et al., arXiv:2305.11627):

    I(part) = mean over batches of (sum over the part's weights of g w)^2.

Heads keep their width, so features and heads shrink together (``width = heads * head width``); a query head goes with its
key/value head. The weights of the norms take the ratio of the root mean squares before and after, measured on
the same batches, since RMSNorm divides by the mean over the features that are left. *Depth*: one block after another goes,
each time the one whose absence changes the laws least (KL to the model before).

Pruning loses; a job with ``initial`` the pruned folder, ``teacher`` the folder before and ``objective`` forward_kl brings most back
(Minitron, Muralidharan et al., arXiv:2407.14679).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .data.packing import PackedRows
from .errors import JobError
from .grow import read_sizes
from .measure import compare_models, load_rows
from .model import Llama, ModelShape, document_mask
from .model_folder import save_model

SIZES = ("width", "layers", "heads", "kv_heads", "ffn_width")


def pruned_shape(large: ModelShape, wanted: dict) -> ModelShape:
    """The shape ``wanted`` (some sizes), the rest from ``large``. Raises ``JobError`` naming a size that would grow or cannot be."""
    for name in wanted:
        if name not in SIZES:
            raise JobError(f"shape.{name}: expected one of {list(SIZES)} (the rest stays), got an unknown or fixed field")
    try:
        small = replace(large, **wanted)
    except ValueError as cause:
        raise JobError(str(cause)) from cause
    for name in SIZES:
        if getattr(small, name) > getattr(large, name):
            raise JobError(f"shape.{name}: expected at most {getattr(large, name)}, got {getattr(small, name)}")
    if small.head_width != large.head_width:
        raise JobError(f"shape.heads: expected heads of {large.head_width} features as before (width / heads), got {small.head_width}")
    if small.heads // small.kv_heads > large.heads // large.kv_heads:
        raise JobError(f"shape.kv_heads: expected at most {large.heads // large.kv_heads} query heads for each, got {small.heads // small.kv_heads}")
    return small


def batches(rows: PackedRows, count: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """``count`` batches of ``size`` rows drawn by ``seed``: ids, documents, weights."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        chosen = random.choice(len(rows), min(size, len(rows)), replace=False)
        yield torch.from_numpy(rows.ids[chosen].astype(np.int64)), torch.from_numpy(rows.document[chosen].astype(np.int64)), torch.from_numpy(rows.weight[chosen])


def loss_of(model: Llama, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Weighted mean cross-entropy of a batch, nats."""
    ids, documents, weight = batch
    logits = model(ids, document_mask(documents))[:, :-1].flatten(0, 1)
    weights = weight[:, 1:].flatten()
    return (F.cross_entropy(logits.float(), ids[:, 1:].flatten(), reduction="none") * weights).sum() / weights.sum().clamp_min(1.0)


def laws_of(model: Llama, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Log-probabilities (places, vocabulary) at every place of a batch that is not filling."""
    ids, documents, _ = batch
    return torch.log_softmax(model(ids, document_mask(documents))[documents > 0].float(), -1)


class Importance:
    """What each part of a model is worth on some batches: ``features`` (w), and per layer ``heads`` and ``units``.

    ``energy`` is the mean square of each stream feature where a norm reads it: (2 * layers + 1, w).
    """

    def __init__(self, model: Llama, data: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        shape = model.shape
        self.features = torch.zeros(shape.width)
        self.heads = torch.zeros(shape.layers, shape.heads)
        self.units = torch.zeros(shape.layers, shape.ffn_width)
        self.energy = torch.zeros(2 * shape.layers + 1, shape.width)
        norms = [norm for layer in model.layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)] + [model.norm]
        handles = [norm.register_forward_pre_hook(self.keep(place)) for place, norm in enumerate(norms)]
        try:
            for batch in data:
                model.zero_grad(set_to_none=True)
                loss_of(model, batch).backward()
                self.add({name: parameter.grad * parameter.detach() for name, parameter in model.named_parameters()}, shape)
        finally:
            for handle in handles:
                handle.remove()
            model.zero_grad(set_to_none=True)

    def keep(self, place: int):  # noqa: ANN201 (a hook)
        """A hook that adds the mean squares of what a norm reads."""

        def hook(_norm: torch.nn.Module, given: tuple[Tensor]) -> None:
            self.energy[place] += given[0].detach().float().square().mean((0, 1))

        return hook

    def add(self, change: dict[str, Tensor], shape: ModelShape) -> None:
        """Adds the squared first-order changes of one batch."""
        features = change["embed_tokens.weight"].sum(0) + change["norm.weight"]
        width = shape.head_width
        for layer in range(shape.layers):
            part = {name.removeprefix(f"layers.{layer}."): value for name, value in change.items() if name.startswith(f"layers.{layer}.")}
            read = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
            features = features + sum(part[f"{name}.weight"].sum(0) for name in read) + part["self_attn.o_proj.weight"].sum(1) + part["mlp.down_proj.weight"].sum(1)
            features = features + part["input_layernorm.weight"] + part["post_attention_layernorm.weight"]
            out = part["self_attn.o_proj.weight"].sum(0).reshape(-1, width).sum(1)
            self.heads[layer] += (out + part["self_attn.q_proj.weight"].sum(1).reshape(-1, width).sum(1)).square()
            units = part["mlp.gate_proj.weight"].sum(1) + part["mlp.up_proj.weight"].sum(1) + part["mlp.down_proj.weight"].sum(0)
            self.units[layer] += units.square()
        self.features += features.square()


def best(scores: Tensor, count: int) -> Tensor:
    """The places of the ``count`` largest scores, in their order."""
    return scores.topk(count).indices.sort().values


def kept_heads(scores: Tensor, large: ModelShape, small: ModelShape) -> tuple[Tensor, Tensor]:
    """Query heads and key/value heads to keep: the best groups, in each the best queries."""
    groups = scores.reshape(large.kv_heads, -1)
    per_group = small.heads // small.kv_heads
    kv = best(groups.topk(per_group, -1).values.sum(-1), small.kv_heads)
    queries = torch.cat([group * groups.shape[1] + best(groups[group], per_group) for group in kv.tolist()])
    return queries, kv


def prune_width(model: Llama, small: ModelShape, importance: Importance) -> Llama:
    """Keeps the most important features, heads and units; the number of layers stays."""
    large, state = model.shape, {name: value.detach() for name, value in model.state_dict().items()}
    features = best(importance.features, small.width)
    energy = importance.energy
    ratio = (energy[:, features].mean(-1) / energy.mean(-1)).sqrt()
    rows = lambda heads: (heads[:, None] * large.head_width + torch.arange(large.head_width)).flatten()  # noqa: E731
    new = {"embed_tokens.weight": state["embed_tokens.weight"][:, features], "norm.weight": state["norm.weight"][features] * ratio[-1]}
    for layer in range(large.layers):
        at = lambda name: state[f"layers.{layer}.{name}.weight"]  # noqa: B023, E731
        queries, kv = (rows(heads) for heads in kept_heads(importance.heads[layer], large, small))
        units = best(importance.units[layer], small.ffn_width)
        new |= {f"layers.{layer}.{name}.weight": value for name, value in {
            "input_layernorm": at("input_layernorm")[features] * ratio[2 * layer],
            "post_attention_layernorm": at("post_attention_layernorm")[features] * ratio[2 * layer + 1],
            "self_attn.q_proj": at("self_attn.q_proj")[queries][:, features],
            "self_attn.k_proj": at("self_attn.k_proj")[kv][:, features],
            "self_attn.v_proj": at("self_attn.v_proj")[kv][:, features],
            "self_attn.o_proj": at("self_attn.o_proj")[features][:, queries],
            "mlp.gate_proj": at("mlp.gate_proj")[units][:, features],
            "mlp.up_proj": at("mlp.up_proj")[units][:, features],
            "mlp.down_proj": at("mlp.down_proj")[features][:, units],
        }.items()}
    pruned = Llama(replace(small, layers=large.layers))
    pruned.load_state_dict(new)
    return pruned.eval()


def prune_depth(model: Llama, layers: int, data: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Llama, list[int]]:
    """Takes blocks away until ``layers`` are left; returns the model and the blocks taken, by their first numbers."""
    kept = list(range(model.shape.layers))
    taken = []

    def without(blocks: list[int]) -> Llama:
        small = Llama(replace(model.shape, layers=len(blocks)))
        state = {name: value for name, value in model.state_dict().items() if not name.startswith("layers.")}
        for place, block in enumerate(blocks):
            prefix = f"layers.{block}."
            state |= {f"layers.{place}.{name.removeprefix(prefix)}": value for name, value in model.state_dict().items() if name.startswith(prefix)}
        small.load_state_dict(state)
        return small.eval()

    with torch.no_grad():
        before = [laws_of(model, batch) for batch in data]
    while len(kept) > layers:
        changes = {}
        for block in kept:
            small = without([one for one in kept if one != block])
            with torch.no_grad():
                changes[block] = sum(float((law.exp() * (law - laws_of(small, batch))).sum(-1).mean()) for law, batch in zip(before, data, strict=True))
        least = min(changes, key=changes.get)
        kept.remove(least)
        taken.append(least)
    return without(kept), taken


def prune(model: Llama, wanted: dict, rows: PackedRows, count: int = 16, size: int = 4, seed: int = 0) -> tuple[Llama, list[int]]:
    """A smaller model of the shape ``wanted``, and the blocks that went. Importance is measured on ``count`` batches of ``size`` rows."""
    small = pruned_shape(model.shape, wanted)
    data = list(batches(rows, count, size, seed))
    shallow, taken = prune_depth(model, small.layers, data[: max(1, count // 4)])
    if replace(small, layers=shallow.shape.layers) == shallow.shape:
        return shallow, taken
    return prune_width(shallow, small, Importance(shallow, data)), taken


def run(given: argparse.Namespace) -> dict:
    """The command: prunes a checkpoint and prints what was lost. Returns the event to print."""
    from .session import load_model

    model, rows = load_model(given.source), load_rows(given.rows)
    small, taken = prune(model, read_sizes(given.shape), rows, given.batches, 4, given.seed)
    lost = compare_models(model, small, load_rows(given.measure) if given.measure else rows, given.tokens)
    path = save_model(given.output, small, {"tool": "prune", "from": str(given.source), "blocksTaken": taken, "seed": given.seed, **lost})
    return {"event": "pruned", "path": str(path), "parametersBefore": model.parameter_count(), "parameters": small.parameter_count(), "blocksTaken": taken, "shape": small.shape.to_json(), **lost}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``prune`` to the command line."""
    text = "take heads, units, features and blocks away by importance, to be recovered by a job"
    sub = commands.add_parser("prune", help=text, description=text)
    sub.add_argument("--from", dest="source", type=Path, required=True, help="folder holding checkpoint.pt")
    sub.add_argument("--shape", required=True, help='sizes to reach, JSON or a file: {"ffn_width": 256, "layers": 2}')
    sub.add_argument("--rows", type=Path, required=True, help="packed rows on which importance is measured (.npz)")
    sub.add_argument("--measure", type=Path, default=None, help="packed rows on which the loss is measured (default: --rows)")
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt")
    sub.add_argument("--batches", type=int, default=16, help="batches of 4 rows for importance (default 16)")
    sub.add_argument("--tokens", type=int, default=20000, help="tokens on which the loss is measured (default 20000)")
    sub.add_argument("--seed", type=int, default=0)
    sub.set_defaults(run=run)

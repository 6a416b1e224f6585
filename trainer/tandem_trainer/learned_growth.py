r"""Learned growth (LiGO: Wang et al., arXiv:2303.00980): the weights of the large model are a learned linear image of the small one's.

For a matrix of block ``l`` of the large model

    W'_l = B (sum_k d_lk W_k) A^T,

with ``A`` and ``B`` shared by all blocks and tied by what they connect (what reads the stream, what writes to it, heads, feed-forward
units) and depth weights ``d`` for each kind of matrix: a Kronecker factor for width times one for depth. The maps begin as those of
``grow.py`` (so the small model's function is where they start) and are trained on the text for some steps while the small
model's weights stand still; then the large matrices are written down and trained as usual.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .data.packing import PackedRows
from .errors import JobError
from .grow import Growth, grown_shape, read_sizes
from .measure import load_rows
from .model import Llama, ModelShape
from .model_folder import save_model
from .prune import batches, loss_of

# kind of matrix: (map of its rows, map of its columns)
KINDS = {
    "self_attn.q_proj": ("query_heads", "read"), "self_attn.k_proj": ("key_heads", "read"), "self_attn.v_proj": ("value_heads", "read"), "self_attn.o_proj": ("write", "heads"),
    "mlp.gate_proj": ("units_in", "read"), "mlp.up_proj": ("units_in", "read"), "mlp.down_proj": ("write", "units_out"),
}
NORMS = ("input_layernorm", "post_attention_layernorm")
WRITERS = ("self_attn.o_proj", "mlp.down_proj")


class LearnedGrowth(nn.Module):
    """The maps from a small model's weights to those of a large one. ``forward`` gives the large state dict."""

    def __init__(self, small: Llama, large: ModelShape, seed: int = 0) -> None:
        super().__init__()
        shape = small.shape
        growth = Growth(shape, large, 0.0, seed)
        rows, units = torch.eye(shape.width).double(), torch.eye(shape.ffn_width).double()
        query, kv = (torch.eye(heads * shape.head_width).double() for heads in (shape.heads, shape.kv_heads))
        copied = rows[growth.features]
        maps = {
            "read": growth.read(rows).T, "write": growth.write(rows), "norm": copied, "last": copied * (shape.width / large.width),
            "query_heads": growth.head_rows(query, growth.queries, "fresh") * (large.head_width / shape.head_width) ** 0.5,
            "key_heads": growth.head_rows(kv, growth.kv, "zero"), "value_heads": growth.head_rows(kv, growth.kv, "tail"),
            "heads": growth.head_columns(query).T, "units_in": units[growth.units], "units_out": (units[growth.units] / torch.bincount(growth.units)[growth.units][:, None]),
        }
        self.maps = nn.ParameterDict({name: nn.Parameter(value.float().contiguous()) for name, value in maps.items()})
        sources = growth.layer_sources()
        depth = torch.zeros(large.layers, shape.layers)
        for place, (source, _) in enumerate(sources):
            depth[place, source] = 1.0
        fresh = torch.tensor([0.0 if added else 1.0 for _, added in sources])[:, None]
        self.depth = nn.ParameterDict({name.replace(".", "_"): nn.Parameter(depth * fresh if name in WRITERS else depth.clone()) for name in (*KINDS, *NORMS)})
        self.state = {name: value.detach().float() for name, value in small.state_dict().items()}
        self.layers = (shape.layers, large.layers)

    def mixed(self, kind: str) -> Tensor:
        """Tensors of a kind, mixed over depth: (large layers, ...)."""
        stacked = torch.stack([self.state[f"layers.{layer}.{kind}.weight"] for layer in range(self.layers[0])])
        return torch.einsum("lk,k...->l...", self.depth[kind.replace(".", "_")], stacked)

    def forward(self) -> dict[str, Tensor]:
        """The weights of the large model."""
        maps = self.maps
        large = {"embed_tokens.weight": self.state["embed_tokens.weight"] @ maps["write"].T, "norm.weight": maps["last"] @ self.state["norm.weight"]}
        for kind, (out, into) in KINDS.items():
            for layer, weight in enumerate(maps[out] @ self.mixed(kind) @ maps[into].T):
                large[f"layers.{layer}.{kind}.weight"] = weight
        for kind in NORMS:
            for layer, weight in enumerate(self.mixed(kind) @ maps["norm"].T):
                large[f"layers.{layer}.{kind}.weight"] = weight
        return large


def learn_growth(small: Llama, wanted: dict, rows: PackedRows, steps: int, batch_rows: int = 8, learning_rate: float = 1e-3, seed: int = 0) -> tuple[Llama, list[float]]:
    """A large model after ``steps`` steps of Adam on the maps, and the loss of each step, nats a token."""
    if not 0 <= steps <= 10**6:
        raise JobError(f"--steps: expected a number from 0 to 1e+06, got {steps}")
    large = Llama(grown_shape(small.shape, wanted))
    growth = LearnedGrowth(small, large.shape, seed)
    optimizer = torch.optim.Adam(growth.parameters(), lr=learning_rate)
    losses = []

    def model(*given: Tensor) -> Tensor:
        return functional_call(large, growth(), given)

    for batch in batches(rows, steps, batch_rows, seed):
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(growth.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    large.load_state_dict({name: value.detach() for name, value in growth().items()})
    return large.eval(), losses


def run(given: argparse.Namespace) -> dict:
    """The command: learns the maps, writes the large model. Returns the event to print."""
    from .session import load_model

    model, losses = learn_growth(load_model(given.source), read_sizes(given.shape), load_rows(given.rows), given.steps, given.batch_rows, given.learning_rate, given.seed)
    made = {"tool": "learn-growth", "from": str(given.source), "steps": given.steps, "seed": given.seed}
    path = save_model(given.output, model, made)
    return {"event": "grown", "path": str(path), "parameters": model.parameter_count(), "steps": given.steps, "lossFirst": round(losses[0], 5) if losses else None, "lossLast": round(losses[-1], 5) if losses else None}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``learn-growth`` to the command line."""
    text = "grow a checkpoint by linear maps that are learned for some steps"
    sub = commands.add_parser("learn-growth", help=text, description=text)
    sub.add_argument("--from", dest="source", type=Path, required=True, help="folder holding checkpoint.pt")
    sub.add_argument("--shape", required=True, help="sizes to reach, JSON or a file, as for grow")
    sub.add_argument("--rows", type=Path, required=True, help="packed rows to learn on (.npz)")
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt (use it as initial)")
    sub.add_argument("--steps", type=int, default=100, help="steps on the maps (default 100)")
    sub.add_argument("--batch-rows", type=int, default=8, help="rows a step (default 8)")
    sub.add_argument("--learning-rate", type=float, default=1e-3, help="of the maps (default 1e-3)")
    sub.add_argument("--seed", type=int, default=0)
    sub.set_defaults(run=run)

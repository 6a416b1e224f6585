r"""Growth of a small model into a larger one that computes the same function at the start.

*Width* (HyperCloning, Samragh et al., arXiv:2409.12903, generalised to widths that are no multiple): feature ``i`` of
the large model copies feature ``j = i mod w`` of the small one. With ``c_j`` copies of ``j`` and widths ``w < w'``,
a residual feature is stored as

    x'_i = s_j x_j,   s_j = sqrt(w' / (w c_j)),   so   mean(x'^2) = sum_j c_j s_j^2 x_j^2 / w' = mean(x^2):

the root mean square, and with it RMSNorm with the same epsilon, is exactly that of the small model. A matrix that reads
the normed stream divides each column among its copies, ``W'_{.i} = W_{.j} / (c_j s_j)``; one that writes to the stream
scales its rows by ``s_j``. The tied head would give ``w'/w`` times the logits, as ``c_j s_j^2 = w'/w`` for every
``j``; the weight of the last norm takes ``w/w'``. For whole multiples ``s_j = 1``, which is the published method.

*Heads* and *feed-forward units* are copied, their outputs divided among the copies. A *head width* grows by whole
factors ``m``: rotary pair ``p`` moves to pair ``m p``, which has the same frequency ``base^(-2p/h)``; new key rows are 0,
and queries take ``sqrt(m)`` for the changed ``1/sqrt(h)`` of attention. *Depth* (bert2BERT, arXiv:2110.07143;
progressive training): each new block copies the one before it with both output projections 0, so it adds nothing yet.

Copies that receive the same gradients would stay copies for ever. ``noise`` adds to divided columns a random part whose
sum over the copies is 0, so the function stays and the gradients differ.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from .job import JobError
from .model import Llama, ModelShape
from .model_folder import save_model

SIZES = ("width", "layers", "heads", "kv_heads", "ffn_width", "context")


def grown_shape(small: ModelShape, wanted: dict) -> ModelShape:
    """The shape ``wanted`` (some fields of ``ModelShape``), the rest from ``small``, if growth can reach it.

    Raises ``JobError`` naming the field that would shrink, or cannot be kept exactly.
    """
    for name in wanted:
        if name not in SIZES:
            raise JobError(f"shape.{name}: expected one of {list(SIZES)} (the rest stays), got an unknown or fixed field")
    try:
        large = replace(small, **wanted)
    except ValueError as cause:
        raise JobError(str(cause)) from cause
    for name in SIZES:
        if getattr(large, name) < getattr(small, name):
            raise JobError(f"shape.{name}: expected at least {getattr(small, name)}, got {getattr(large, name)}")
    if large.head_width % small.head_width:
        raise JobError(f"shape.heads: expected a head width that is a multiple of {small.head_width} (rotary frequencies), got {large.head_width}")
    head_sources(small, large)
    return large


def copies(small: int, large: int) -> Tensor:
    """For each of ``large`` features the small feature it copies: ``i mod small``."""
    return torch.arange(large) % small


def head_sources(small: ModelShape, large: ModelShape) -> tuple[Tensor, Tensor]:
    """For each large query head and key/value head the small one it copies.

    A query head must stay with its own keys: within the group of a large key/value head stand copies of
    query heads of the copied key/value head, in turn. Raises ``JobError`` where a small head finds no place.
    """
    small_group, large_group = small.heads // small.kv_heads, large.heads // large.kv_heads
    kv = copies(small.kv_heads, large.kv_heads)
    taken = [0] * small.kv_heads
    queries = []
    for source in kv.tolist():
        for _ in range(large_group):
            queries.append(source * small_group + taken[source] % small_group)
            taken[source] += 1
    if set(queries) != set(range(small.heads)):
        raise JobError(f"shape.kv_heads: expected groups that hold every head of {small.heads}/{small.kv_heads}, got {large.heads}/{large.kv_heads}")
    return torch.tensor(queries), kv


def divided(columns: Tensor, sources: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Columns (rows, small) spread over their copies (rows, large): the copies of a column add up to it.

    ``noise`` times the standard deviation of the matrix is added to each copy, less its mean over the copies.
    """
    counts = torch.bincount(sources).to(columns.dtype)
    spread = columns[:, sources] / counts[sources]
    if noise > 0:
        drawn = torch.randn(spread.shape, generator=generator, dtype=columns.dtype) * (noise * columns.std())
        sums = torch.zeros_like(columns).index_add_(1, sources, drawn)
        spread += drawn - (sums / counts)[:, sources]
    return spread


class Growth:
    """The maps from a small shape to a large one, applied in float64."""

    def __init__(self, small: ModelShape, large: ModelShape, noise: float, seed: int) -> None:
        self.small, self.large, self.noise = small, large, noise
        self.generator = torch.Generator().manual_seed(seed)
        self.features = copies(small.width, large.width)
        self.units = copies(small.ffn_width, large.ffn_width)
        self.queries, self.kv = head_sources(small, large)
        counts = torch.bincount(self.features).double()
        self.scale = torch.sqrt(large.width / (small.width * counts))[self.features]

    def read(self, weight: Tensor) -> Tensor:
        """A matrix that reads the normed stream: (rows, w) to (rows, w')."""
        return divided(weight, self.features, self.noise, self.generator) / self.scale

    def write(self, weight: Tensor) -> Tensor:
        """A matrix that writes to the stream: (w, columns) to (w', columns)."""
        return weight[self.features] * self.scale[:, None]

    def head_rows(self, weight: Tensor, sources: Tensor, fill: str) -> Tensor:
        """Rows of heads, copied by ``sources`` and placed in wider heads.

        ``fill`` says what the new rows of a wider head hold: ``zero`` (keys: the product with any query stays),
        ``fresh`` (queries, which then meet zeros) or ``tail`` (values: old rows first, fresh rows after).
        """
        width, wide = self.small.head_width, self.large.head_width
        heads = weight.reshape(-1, width, weight.shape[1])[sources]
        if wide == width:
            return heads.flatten(0, 1)
        grown = torch.zeros(len(sources), wide, weight.shape[1], dtype=weight.dtype)
        if fill != "zero":
            grown.copy_(torch.randn(grown.shape, generator=self.generator, dtype=weight.dtype) * weight.std())
        grown[:, self.places(fill == "tail")] = heads
        return grown.flatten(0, 1)

    def places(self, first: bool) -> Tensor:
        """Where the rows of a small head stand in a wide one: the ``first`` ones, or at the same rotary frequencies."""
        width, wide = self.small.head_width, self.large.head_width
        if first:
            return torch.arange(width)
        pairs = torch.arange(width // 2) * (wide // width)
        return torch.cat([pairs, pairs + wide // 2])

    def head_columns(self, weight: Tensor) -> Tensor:
        """Columns of the output projection: (w, heads * h) to (w, heads' * h'), divided among copies; 0 for new rows of values."""
        width, wide = self.small.head_width, self.large.head_width
        columns = torch.arange(self.small.heads * width).reshape(-1, width)[self.queries]
        spread = divided(weight, columns.flatten(), self.noise, self.generator).reshape(weight.shape[0], -1, width)
        if wide != width:
            grown = torch.zeros(weight.shape[0], len(self.queries), wide, dtype=weight.dtype)
            grown[:, :, :width] = spread
            spread = grown
        return spread.flatten(1)

    def block(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of one block, by their names inside it."""
        factor = math.sqrt(self.large.head_width / self.small.head_width)
        return {
            "input_layernorm.weight": state["input_layernorm.weight"][self.features],
            "post_attention_layernorm.weight": state["post_attention_layernorm.weight"][self.features],
            "self_attn.q_proj.weight": self.head_rows(self.read(state["self_attn.q_proj.weight"]), self.queries, "fresh") * factor,
            "self_attn.k_proj.weight": self.head_rows(self.read(state["self_attn.k_proj.weight"]), self.kv, "zero"),
            "self_attn.v_proj.weight": self.head_rows(self.read(state["self_attn.v_proj.weight"]), self.kv, "tail"),
            "self_attn.o_proj.weight": self.write(self.head_columns(state["self_attn.o_proj.weight"])),
            "mlp.gate_proj.weight": self.read(state["mlp.gate_proj.weight"])[self.units],
            "mlp.up_proj.weight": self.read(state["mlp.up_proj.weight"])[self.units],
            "mlp.down_proj.weight": self.write(divided(state["mlp.down_proj.weight"], self.units, self.noise, self.generator)),
        }

    def layer_sources(self) -> list[tuple[int, bool]]:
        """For each large block the small block it comes from, and whether it is a new one (adds nothing yet).

        New blocks stand behind the blocks they copy, spread evenly.
        """
        owners = [place * self.small.layers // self.large.layers for place in range(self.large.layers)]
        return [(owner, place > 0 and owners[place - 1] == owner) for place, owner in enumerate(owners)]


def grow(model: Llama, wanted: dict, noise: float = 0.05, seed: int = 0) -> Llama:
    """A larger model with the logits of ``model`` (equal up to float32 rounding).

    ``wanted`` names the sizes that grow (``width``, ``layers``, ``heads``, ``kv_heads``, ``ffn_width``, ``context``).
    ``noise`` (0 to 1, share of a matrix's standard deviation) breaks the symmetry of copies without changing the
    function; 0 leaves copies that no gradient can tell apart. Raises ``JobError`` for a shape that growth cannot reach.
    """
    if not 0 <= noise <= 1:
        raise JobError(f"noise: expected a number from 0 to 1, got {noise}")
    small = model.shape
    large = grown_shape(small, wanted)
    growth = Growth(small, large, noise, seed)
    old = {name: value.detach().double() for name, value in model.state_dict().items()}
    new = {
        "embed_tokens.weight": old["embed_tokens.weight"][:, growth.features] * growth.scale,
        "norm.weight": old["norm.weight"][growth.features] * (small.width / large.width),
    }
    for place, (source, added) in enumerate(growth.layer_sources()):
        prefix = f"layers.{source}."
        block = growth.block({name.removeprefix(prefix): value for name, value in old.items() if name.startswith(prefix)})
        if added:
            for name in ("self_attn.o_proj.weight", "mlp.down_proj.weight"):
                block[name] = torch.zeros_like(block[name])
        new.update({f"layers.{place}.{name}": value for name, value in block.items()})
    grown = Llama(large)
    grown.load_state_dict({name: value.float() for name, value in new.items()})
    return grown.eval()


def largest_difference(small: Llama, large: Llama, seed: int = 0, rows: int = 4) -> float:
    """The largest absolute difference of logits on ``rows`` random rows of token ids."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(small.shape.vocabulary, (rows, min(64, small.shape.context)), generator=generator)
    with torch.no_grad():
        return float((small(ids) - large(ids)).abs().max())


def read_sizes(text: str) -> dict:
    """Sizes from JSON text, or from a file that holds it. Raises ``JobError``."""
    try:
        read = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except FileNotFoundError as cause:
        raise JobError(f"--shape: expected JSON or a file that holds it, found nothing at {text}") from cause
    except json.JSONDecodeError as cause:
        raise JobError(f"--shape: expected JSON, got a syntax error at line {cause.lineno}") from cause
    if not isinstance(read, dict):
        raise JobError(f"--shape: expected an object, got {type(read).__name__}")
    return read


def run(given: argparse.Namespace) -> dict:
    """The command: grows a checkpoint, checks the logits, writes the folder. Returns the event to print."""
    from .train import load_model

    small = load_model(given.source)
    large = grow(small, read_sizes(given.shape), given.noise, given.seed)
    difference = largest_difference(small, large, given.seed)
    made = {"tool": "grow", "from": str(given.source), "noise": given.noise, "seed": given.seed, "maxAbsLogit": difference}
    path = save_model(given.output, large, made)
    return {"event": "grown", "path": str(path), "parametersBefore": small.parameter_count(), "parameters": large.parameter_count(), "shape": large.shape.to_json(), "maxAbsLogit": difference}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``grow`` to the command line."""
    text = "grow a checkpoint into a larger model that computes the same function"
    sub = commands.add_parser("grow", help=text, description=text)
    sub.add_argument("--from", dest="source", type=Path, required=True, help="folder holding checkpoint.pt")
    sub.add_argument("--shape", required=True, help='sizes to reach, JSON or a file: {"width": 320, "layers": 8, "heads": 5, "kv_heads": 5, "ffn_width": 896}')
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt (use it as initial)")
    sub.add_argument("--noise", type=float, default=0.05, help="breaks the symmetry of copies, share of a matrix's deviation (default 0.05)")
    sub.add_argument("--seed", type=int, default=0)
    sub.set_defaults(run=run)

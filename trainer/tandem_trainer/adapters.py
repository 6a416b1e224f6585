"""Low-rank adapters: a frozen matrix and a trained update of low rank beside it.

LoRA (Hu et al., arXiv:2106.09685): ``y = W x + (alpha / r) B A x`` with ``A`` (r, in) drawn as a linear layer is and
``B`` (out, r) zero, so an adapter changes nothing at first. QLoRA (Dettmers et al., arXiv:2305.14314): ``W`` is held
quantised (here in the block formats that the engine reads, q8_0 and q4_0) and expanded when it is used; gradients
pass through it to ``A`` and ``B``. ``B`` may learn at a rate of its own (LoRA+, Hayou et al., arXiv:2402.12354):
``learning_rate`` of a job is that of ``A``, ``embedding_learning_rate`` that of ``B``.

Works on any model whose linear layers carry the names of the targets: ours, and those of Hugging Face.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import gguf
import torch
import torch.nn.functional as F
from gguf import GGMLQuantizationType
from torch import Tensor, nn

from .errors import JobError

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
DEFAULTS: dict[str, Any] = {"rank": 8, "alpha": 16, "targets": list(TARGETS), "base": "f32"}
BLOCK = 32


def settings_of(given: dict[str, Any] | None) -> dict[str, Any]:
    """A job's ``adapter`` with its defaults."""
    return {**DEFAULTS, **(given or {})}


class Held(nn.Module):
    """A frozen matrix in q8_0 or q4_0: 32 values share one half-precision scale. ``weight`` expands it.

    Bytes per value: 1.0625 (q8_0), 0.5625 (q4_0), against 4. Buffers are not stored in checkpoints.
    """

    def __init__(self, weight: Tensor, base: str) -> None:
        super().__init__()
        rows, columns = weight.shape
        if columns % BLOCK:
            raise JobError(f"adapter.base: expected matrices with rows of a multiple of {BLOCK} values for {base!r}, got {columns}")
        self.base, self.shape = base, (rows, columns)
        packed = torch.from_numpy(gguf.quants.quantize(weight.detach().float().cpu().numpy(), GGMLQuantizationType[base.upper()]))
        packed = packed.reshape(rows, columns // BLOCK, -1)
        self.register_buffer("scale", packed[..., :2].contiguous().view(torch.float16), persistent=False)
        self.register_buffer("values", packed[..., 2:].contiguous(), persistent=False)

    @property
    def weight(self) -> Tensor:
        """The matrix (rows, columns) in float32."""
        if self.base == "q8_0":
            whole = self.values.view(torch.int8).float()
        else:
            whole = torch.cat([self.values & 15, self.values >> 4], -1).float() - 8
        return (whole * self.scale.float()).reshape(self.shape)


class Plain(nn.Module):
    """A frozen matrix as it is. Not stored in checkpoints."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach(), persistent=False)


class LoraLinear(nn.Module):
    """A linear layer with a frozen matrix and a trained low-rank update."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, base: str, generator: torch.Generator) -> None:
        super().__init__()
        self.frozen = Plain(linear.weight) if base == "f32" else Held(linear.weight, base)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach(), persistent=False)
        self.scaling = alpha / rank
        bound = 1 / math.sqrt(linear.in_features)
        self.lora_a = nn.Parameter((torch.rand(rank, linear.in_features, generator=generator) * 2 - 1) * bound)
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``x`` (..., in) to (..., out)."""
        return F.linear(x, self.frozen.weight.to(x.dtype), self.bias) + F.linear(F.linear(x, self.lora_a.to(x.dtype)), self.lora_b.to(x.dtype)) * self.scaling

    def merged(self) -> Tensor:
        """``W + (alpha / r) B A`` in float32."""
        return self.frozen.weight.float() + self.scaling * (self.lora_b.detach().float() @ self.lora_a.detach().float())


def layers_of(model: nn.Module) -> dict[str, LoraLinear]:
    """The adapted layers of a model by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def attach(model: nn.Module, given: dict[str, Any], seed: int = 0) -> nn.Module:
    """Freezes ``model`` and puts adapters on the targets, in place. Its ``state_dict`` then holds the adapters alone.

    ``given`` is the ``adapter`` of a job. Raises ``JobError`` when no layer has the name of a target.
    """
    settings = settings_of(given)
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in settings["targets"]]
    if not found:
        raise JobError(f"adapter.targets: expected layers named {settings['targets']} in the model, found none")
    for name, linear in found:
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, LoraLinear(linear, settings["rank"], settings["alpha"], settings["base"], generator))
    model.register_state_dict_post_hook(keep_adapters)
    model.register_load_state_dict_post_hook(allow_missing_base)
    return model


def keep_adapters(_model: nn.Module, state: dict[str, Tensor], prefix: str, _local: dict) -> None:
    """Leaves the adapters alone in a state dict."""
    for name in [name for name in state if ".lora_" not in name]:
        del state[name]


def allow_missing_base(_model: nn.Module, incompatible: Any) -> None:
    """Accepts a state dict without the frozen weights, but not without an adapter."""
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if ".lora_" in name]


def merge_adapters(model: nn.Module) -> nn.Module:
    """A copy without adapters whose matrices hold ``W + (alpha / r) B A``."""
    plain = copy.deepcopy(model)
    for name, layer in layers_of(plain).items():
        weight = layer.merged()
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None)
        linear.weight = nn.Parameter(weight)
        if layer.bias is not None:
            linear.bias = nn.Parameter(layer.bias)
        owner, _, last = name.rpartition(".")
        setattr(plain.get_submodule(owner), last, linear)
    plain._state_dict_hooks.clear()
    plain._load_state_dict_post_hooks.clear()
    return plain.requires_grad_(True).eval()


def load_adapted(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model of an adapter run, adapters attached, and the run's ``adapter`` settings.

    The base is loaded from the run's ``initial``. Raises ``JobError`` when the folder holds no adapter run.
    """
    from .session import load_model, read_checkpoint

    path = Path(folder) / "checkpoint.pt"
    if not path.is_file():
        raise JobError(f"checkpoint: expected the file {path}, found nothing", "file_missing")
    stored = read_checkpoint(path)
    job = stored.get("job", {})
    if not job.get("adapter"):
        raise JobError(f"checkpoint: expected a run with an adapter at {path}, got a whole model", "file_invalid")
    model = attach(load_model(job["initial"]), job["adapter"], job.get("seed", 0))
    model.load_state_dict(stored["model"])
    return model.eval(), settings_of(job["adapter"])

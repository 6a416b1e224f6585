"""Adapters as files: GGUF, which the gateway and llama.cpp attach at run time, and the folder format of peft.

GGUF: ``general.type`` is ``adapter``, ``adapter.type`` ``lora``, ``adapter.lora.alpha`` the alpha; each adapted matrix has
``<name>.lora_a`` (r, in) and ``<name>.lora_b`` (out, r), and the engine adds ``alpha / r`` times their product. Where
the engine stores rotary pairs interleaved, the rows of ``lora_b`` of queries and keys are permuted like those of the matrix.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import nn

from .adapters import layers_of, load_adapted, merge_adapters
from .errors import JobError
from .export_gguf import NAMES, interleave
from .model import Llama
from .model_folder import save_model

# model_type of a Hugging Face config: (architecture in GGUF, whether rotary pairs are interleaved there).
ARCHITECTURES = {"llama": ("llama", True), "mistral": ("llama", True), "qwen2": ("qwen2", False), "qwen3": ("qwen3", False)}


def architecture_of(model: nn.Module) -> tuple[str, bool]:
    """The GGUF architecture of a model, and whether its rotary pairs are interleaved there. Raises ``JobError``."""
    if isinstance(model, Llama):
        return ARCHITECTURES["llama"]
    kind = model.net.config.model_type
    if kind not in ARCHITECTURES:
        raise JobError(f"model: expected one of {sorted(ARCHITECTURES)} for a GGUF adapter, got {kind!r}")
    return ARCHITECTURES[kind]


def tensor_name(name: str) -> str:
    """``layers.3.self_attn.q_proj``, in any model, as ``blk.3.attn_q.weight``."""
    _, _, tail = name.rpartition("layers.")
    layer, _, rest = tail.partition(".")
    return f"blk.{layer}.{NAMES[f'{rest}.weight']}"


def export_adapter(model: nn.Module, settings: dict[str, Any], path: str | Path, name: str) -> int:
    """Writes the adapters of ``model`` as one GGUF (float32) and returns its size in bytes."""
    architecture, interleaved = architecture_of(model)
    heads = {"q_proj": model.shape.heads, "k_proj": model.shape.kv_heads}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["alpha"]))
    for layer_name, layer in layers_of(model).items():
        a, b = (value.detach().float().cpu().numpy() for value in (layer.lora_a, layer.lora_b))
        last = layer_name.rsplit(".", 1)[-1]
        if interleaved and last in heads:
            b = interleave(b, heads[last])
        writer.add_tensor(f"{tensor_name(layer_name)}.lora_a", np.ascontiguousarray(a))
        writer.add_tensor(f"{tensor_name(layer_name)}.lora_b", np.ascontiguousarray(b))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.stat().st_size


def export_peft(model: nn.Module, settings: dict[str, Any], folder: str | Path, base: str) -> int:
    """Writes ``adapter_config.json`` and ``adapter_model.safetensors`` as peft does; returns the size in bytes.

    Raises ``JobError`` (dependency_missing) without the package safetensors.
    """
    try:
        from safetensors.torch import save_file
    except ImportError as cause:
        raise JobError("--format peft: expected the package safetensors, found nothing", "dependency_missing") from cause
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, layer in layers_of(model).items():
        stem = f"base_model.model.{name.removeprefix('net.')}" if name.startswith("net.") else f"base_model.model.model.{name}"
        tensors[f"{stem}.lora_A.weight"] = layer.lora_a.detach().float().contiguous()
        tensors[f"{stem}.lora_B.weight"] = layer.lora_b.detach().float().contiguous()
    save_file(tensors, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": settings["rank"], "lora_alpha": settings["alpha"],
        "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "target_modules": list(settings["targets"]),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return (folder / "adapter_model.safetensors").stat().st_size


def run_export(given: argparse.Namespace) -> dict:
    """The command ``export-adapter``. Returns the event to print."""
    model, settings = load_adapted(given.checkpoint)
    if given.format == "peft":
        stored = torch.load(Path(given.checkpoint) / "checkpoint.pt", map_location="cpu", weights_only=True)
        size = export_peft(model, settings, given.out, stored["job"]["initial"])
    else:
        size = export_adapter(model, settings, given.out, given.name)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return {"event": "exported", "path": str(given.out), "bytes": size, "rank": settings["rank"], "alpha": settings["alpha"], "layers": len(layers_of(model)), "parameters": trained}


def run_merge(given: argparse.Namespace) -> dict:
    """The command ``merge-adapter``. Returns the event to print."""
    model, settings = load_adapted(given.checkpoint)
    path = save_model(given.output, merge_adapters(model), {"tool": "merge-adapter", "from": str(given.checkpoint), **settings})
    return {"event": "merged", "path": str(path)}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``export-adapter`` and ``merge-adapter`` to the command line."""
    text = "write the adapter of a run as GGUF, or as a folder of peft"
    sub = commands.add_parser("export-adapter", help=text, description=text)
    sub.add_argument("--checkpoint", type=Path, required=True, help="output folder of a job with an adapter")
    sub.add_argument("--out", type=Path, required=True, help="GGUF file, or folder with --format peft")
    sub.add_argument("--format", choices=("gguf", "peft"), default="gguf")
    sub.add_argument("--name", default="adapter", help="name inside the file")
    sub.set_defaults(run=run_export)
    text = "add the adapter of a run to the weights that it was trained on"
    sub = commands.add_parser("merge-adapter", help=text, description=text)
    sub.add_argument("--checkpoint", type=Path, required=True, help="output folder of a job with an adapter")
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt")
    sub.set_defaults(run=run_merge)

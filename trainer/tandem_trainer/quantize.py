r"""Matrices in the engine's block formats, q4_K among them, and what a quantised model loses.

q4_K (as llama.cpp lays it out): 256 values share two half-precision numbers ``d`` and ``d_min``; each of the 8 sub-blocks of
32 has a 6-bit scale ``s`` and a 6-bit minimum ``m``; each value has 4 bits ``q``:

    w = d s q - d_min m          4.5 bits a value, 144 bytes a block.

Scale and minimum of a sub-block are fitted by weighted least squares over several roundings (weights: the root mean
square of the sub-block plus ``|w|``, so that large values count more), then rounded to 6 bits, and ``q`` is chosen again.

Rows that are no multiple of 256 long cannot be q4_K; such matrices become q5_0 (blocks of 32), as llama.cpp's own tool does. The
embedding is the head too, where errors reach the law directly; with q4_K it stays q8_0. Norms stay f32.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, LlamaFileType

from .measure import compare_models, load_rows
from .model import Llama

QUANTIZATIONS = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_K": (GGMLQuantizationType.Q4_K, LlamaFileType.MOSTLY_Q4_K_S),
}
SUPER, SUB = 256, 32


def kind_of(name: str, values: np.ndarray, quantization: str) -> GGMLQuantizationType:
    """The format in which a parameter is stored. Raises ``ValueError`` for an unknown quantization."""
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"quantization: expected one of {sorted(QUANTIZATIONS)}, got {quantization!r}")
    kind = QUANTIZATIONS[quantization][0]
    if values.ndim == 1:
        return GGMLQuantizationType.F32
    if kind != GGMLQuantizationType.Q4_K:
        return kind
    if "embed" in name:
        return GGMLQuantizationType.Q8_0
    return kind if values.shape[-1] % SUPER == 0 else GGMLQuantizationType.Q5_0


def packed(values: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """A matrix (rows, columns) as the bytes of ``kind``, or as numbers for f32 and f16."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return pack_q4_k(values) if kind == GGMLQuantizationType.Q4_K else gguf.quants.quantize(values, kind)


def unpacked(data: np.ndarray, kind: GGMLQuantizationType, shape: tuple[int, ...]) -> np.ndarray:
    """The values that ``packed`` stored, float32."""
    return gguf.quants.dequantize(data, kind).reshape(shape).astype(np.float32)


def fit_sub_blocks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and minimum, each (n) and at least 0, so that ``scale * q - minimum`` with ``q`` in 0..15 is near ``x`` (n, 32)."""
    weight = np.sqrt((x * x).mean(-1, keepdims=True)) + np.abs(x)
    low, high = np.minimum(x.min(-1), 0.0), x.max(-1)
    span = np.maximum(high - low, 0.0)
    scale, minimum = span / 15, -low
    error = (weight * (scale[:, None] * levels(x, scale, minimum) - minimum[:, None] - x) ** 2).sum(-1)
    total, wx = weight.sum(-1), (weight * x).sum(-1)
    for step in range(21):
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(span > 0, (14.0 + 0.1 * step) / span, 0.0)
        q = np.clip(np.rint(inverse[:, None] * (x - low[:, None])), 0, 15)
        wq, wqq, wqx = (weight * q).sum(-1), (weight * q * q).sum(-1), (weight * q * x).sum(-1)
        determinant = total * wqq - wq * wq
        with np.errstate(divide="ignore", invalid="ignore"):
            trial = np.where(determinant > 0, (total * wqx - wq * wx) / determinant, 0.0)
            lift = np.where(determinant > 0, (wqq * wx - wq * wqx) / determinant, 0.0)
            alone = np.where(wqq > 0, wqx / wqq, 0.0)
        trial, lift = np.where(lift > 0, alone, trial), np.minimum(lift, 0.0)
        tried = (weight * (trial[:, None] * q + lift[:, None] - x) ** 2).sum(-1)
        better = (determinant > 0) & (trial > 0) & (tried < error)
        scale, minimum, error = np.where(better, trial, scale), np.where(better, -lift, minimum), np.where(better, tried, error)
    return scale, minimum


def levels(x: np.ndarray, scale: np.ndarray, minimum: np.ndarray) -> np.ndarray:
    """The nearest ``q`` in 0..15 for each value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(scale[:, None] > 0, (x + minimum[:, None]) / scale[:, None], 0.0)
    return np.clip(np.rint(q), 0, 15)


def pack_q4_k(values: np.ndarray) -> np.ndarray:
    """A float32 matrix (rows, columns), columns a multiple of 256, as q4_K bytes (rows, columns / 256 * 144)."""
    rows, columns = values.shape
    if columns % SUPER:
        raise ValueError(f"q4_K: expected rows of a multiple of {SUPER} values, got {columns}")
    x = values.reshape(-1, SUB).astype(np.float64)
    scale, minimum = (part.reshape(-1, SUPER // SUB) for part in fit_sub_blocks(x))
    d, d_min = (part.max(-1, keepdims=True) / 63 for part in (scale, minimum))
    with np.errstate(divide="ignore", invalid="ignore"):
        six = [np.where(whole > 0, np.clip(np.rint(part / whole), 0, 63), 0).astype(np.uint8) for part, whole in ((scale, d), (minimum, d_min))]
    d, d_min = d.astype(np.float16), d_min.astype(np.float16)
    q = levels(x, (d.astype(np.float64) * six[0]).ravel(), (d_min.astype(np.float64) * six[1]).ravel()).astype(np.uint8).reshape(-1, SUPER // 64, 2, SUB)
    nibbles = (q[:, :, 0] | (q[:, :, 1] << 4)).reshape(-1, SUPER // 2)
    blocks = np.concatenate([d.view(np.uint8), d_min.view(np.uint8), pack_sixes(*six), nibbles], -1)
    return blocks.reshape(rows, columns // SUPER * blocks.shape[-1])


def pack_sixes(scales: np.ndarray, minimums: np.ndarray) -> np.ndarray:
    """Eight 6-bit scales and eight 6-bit minimums (n, 8) in 12 bytes: the first four of each whole, the high bits of the rest above them."""
    first, second = scales[:, :4] | (scales[:, 4:] >> 4) << 6, minimums[:, :4] | (minimums[:, 4:] >> 4) << 6
    return np.concatenate([first, second, (scales[:, 4:] & 15) | (minimums[:, 4:] & 15) << 4], -1).astype(np.uint8)


def rounded(model: Llama, quantization: str) -> Llama:
    """A copy whose matrices hold the values that the exported file holds, so that it is judged as shipped."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            values = parameter.detach().float().numpy()
            kind = kind_of(name, values, quantization)
            if kind != GGMLQuantizationType.F32:
                parameter.copy_(torch.from_numpy(unpacked(packed(values, kind), kind, values.shape)))
    return twin


def stored_bytes(model: Llama, quantization: str) -> int:
    """Bytes of the tensors in a file of this quantization."""
    total = 0
    for name, parameter in model.named_parameters():
        values = parameter.detach().float().numpy()
        block, size = gguf.GGML_QUANT_SIZES[kind_of(name, values, quantization)]
        total += values.size // block * size
    return total


def run(given: argparse.Namespace) -> dict:
    """The command: writes each file and prints what it loses against float32. Returns the last event."""
    from .export_gguf import export
    from .session import load_model
    from .tokenizer import load_tokenizer
    from .train import print_event

    model, rows = load_model(given.checkpoint), load_rows(given.rows)
    kinds = given.kinds.split(",")
    for kind in kinds:
        loss = compare_models(model, rounded(model, kind), rows, given.tokens)
        event = {"event": "quantized", "kind": kind, "tensorBytes": stored_bytes(model, kind), **loss}
        if given.out:
            path = Path(given.out) / f"{given.name}-{kind}.gguf"
            event |= {"path": str(path), "bytes": export(model, load_tokenizer(given.tokenizer), path, kind, given.name)}
        print_event(event)
    return {"event": "end", "kinds": kinds}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``quantize`` to the command line."""
    text = "write a checkpoint in quantised formats and print what each loses"
    sub = commands.add_parser("quantize", help=text, description=text)
    sub.add_argument("--checkpoint", type=Path, required=True, help="folder holding checkpoint.pt")
    sub.add_argument("--rows", type=Path, required=True, help="packed rows to measure on (.npz)")
    sub.add_argument("--kinds", default="q8_0,q4_K", help=f"formats by commas, of {', '.join(QUANTIZATIONS)} (default q8_0,q4_K)")
    sub.add_argument("--tokens", type=int, default=20000, help="tokens to measure on, at most (default 20000)")
    sub.add_argument("--out", type=Path, default=None, help="folder for the GGUF files (default: measure only)")
    sub.add_argument("--tokenizer", type=Path, default=None, help="tokenizer.json, with --out")
    sub.add_argument("--name", default="model", help="name of the files (default model)")
    sub.set_defaults(run=run)

"""Reads a GGUF that ``export_gguf`` wrote back into a checkpoint folder with its tokenizer.

Matrices are dequantised (f32, f16, bf16 and every type that the ``gguf`` package can read, q8_0 and q4_K among them); query and key rows go
back from llama.cpp's interleaved rotary pairs to the rotate-half order of ``model.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from .export_gguf import gguf_name
from .job import JobError
from .model import Llama, ModelShape
from .model_folder import save_model
from .tokenizer import GGML_PRE, SPECIALS


def halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows from interleaved pairs to rotate-half order: the inverse of ``export_gguf.interleave``."""
    rows, columns = weight.shape
    width = rows // heads
    return weight.reshape(heads, width // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def field(reader: gguf.GGUFReader, key: str) -> object:
    """A metadata value. Raises ``JobError`` when it is missing."""
    found = reader.get_field(key)
    if found is None:
        raise JobError(f"{key}: expected a value in the GGUF, found nothing")
    return found.contents()


def read_shape(reader: gguf.GGUFReader) -> ModelShape:
    """The shape that the metadata tells. Raises ``JobError`` for an architecture other than ``llama``."""
    architecture = field(reader, "general.architecture")
    if architecture != "llama":
        raise JobError(f"general.architecture: expected 'llama', got {architecture!r}")
    vocabulary = next((int(tensor.shape[1]) for tensor in reader.tensors if tensor.name == "token_embd.weight"), 0)
    shape = ModelShape(
        vocabulary=vocabulary,
        width=int(field(reader, "llama.embedding_length")),
        layers=int(field(reader, "llama.block_count")),
        heads=int(field(reader, "llama.attention.head_count")),
        kv_heads=int(field(reader, "llama.attention.head_count_kv")),
        ffn_width=int(field(reader, "llama.feed_forward_length")),
        context=int(field(reader, "llama.context_length")),
        rope_base=float(field(reader, "llama.rope.freq_base")),
        # The file holds float32; the nearest short decimal is what was meant.
        norm_eps=float(f"{float(field(reader, 'llama.attention.layer_norm_rms_epsilon')):.6g}"),
    )
    if any(tensor.name == "output.weight" for tensor in reader.tensors):
        raise JobError("output.weight: expected a head tied to the embedding, got a head of its own")
    return shape


def read_model(path: str | Path) -> Llama:
    """The model of a GGUF, in evaluation mode. Raises ``JobError`` for a file that is missing, foreign or incomplete."""
    if not Path(path).is_file():
        raise JobError(f"gguf: expected a file at {path}, found nothing")
    try:
        reader = gguf.GGUFReader(str(path))
    except ValueError as cause:
        raise JobError(f"gguf: expected a GGUF at {path}, got {cause}") from cause
    shape = read_shape(reader)
    model = Llama(shape)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    state = {}
    for name, parameter in model.named_parameters():
        tensor = stored.get(gguf_name(name))
        if tensor is None:
            raise JobError(f"{gguf_name(name)}: expected a tensor, found nothing")
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(parameter.shape))
        if ".q_proj." in name:
            values = halves(values, shape.heads)
        elif ".k_proj." in name:
            values = halves(values, shape.kv_heads)
        state[name] = torch.from_numpy(np.array(values, dtype=np.float32))
    model.load_state_dict(state)
    return model.eval()


def read_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a GGUF. Raises ``JobError`` for one that is not byte-level BPE cut as ``tokenizer.py`` does."""
    reader = gguf.GGUFReader(str(path))
    pre = field(reader, "tokenizer.ggml.pre")
    if pre != GGML_PRE:
        raise JobError(f"tokenizer.ggml.pre: expected {GGML_PRE!r}, got {pre!r}")
    pieces = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(special, special=True, normalized=False) for special in SPECIALS])
    return tokenizer


def run(given: argparse.Namespace) -> dict:
    """The command: writes ``checkpoint.pt`` and ``tokenizer.json``. Returns the event to print."""
    model = read_model(given.gguf)
    path = save_model(given.output, model, {"tool": "import-gguf", "from": str(given.gguf)})
    read_tokenizer(given.gguf).save(str(Path(given.output) / "tokenizer.json"))
    return {"event": "imported", "path": str(path), "parameters": model.parameter_count(), "shape": model.shape.to_json()}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``import-gguf`` to the command line."""
    text = "turn a GGUF of our own models back into a checkpoint folder"
    sub = commands.add_parser("import-gguf", help=text, description=text)
    sub.add_argument("gguf", type=Path, help="a file that export wrote (f32, f16, q8_0, ...)")
    sub.add_argument("--output", type=Path, required=True, help="folder that receives checkpoint.pt and tokenizer.json")
    sub.set_defaults(run=run)

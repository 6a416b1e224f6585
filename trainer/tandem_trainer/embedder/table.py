"""The file of the table, which ``src/embed/table.ts`` reads, and vectors as it computes them."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import JobError
from .pieces import CHARACTER_ROWS, Pieces

MAGIC = b"TANDEME1"
ZERO = 128


def quantized(table: np.ndarray, clip: float = 4.5) -> tuple[np.ndarray, np.ndarray]:
    """Rows as bytes around 128, and a scale for each dimension; values beyond ``clip`` deviations are cut."""
    bound = np.minimum(np.abs(table).max(0), clip * table.std(0)) + 1e-12
    scales = (bound / 127).astype(np.float32)
    return (np.clip(np.round(table / scales), -127, 127) + ZERO).astype(np.uint8), scales


def encode(rows: np.ndarray, scales: np.ndarray, names: Sequence[str], facts: dict) -> bytes:
    """The file: magic, header length, header (JSON), scales, rows, names."""
    body = scales.astype("<f4").tobytes() + rows.tobytes() + "\n".join(names).encode()
    header = {**facts, "dimensions": int(rows.shape[1]), "pieces": len(names), "characterRows": CHARACTER_ROWS, "sha256": hashlib.sha256(body).hexdigest()}
    text = json.dumps(header).encode()
    text += b" " * (-(len(MAGIC) + 4 + len(text)) % 8)
    return MAGIC + struct.pack("<I", len(text)) + text + body


class Table:
    """A table read from a file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[:8] != MAGIC:
            raise JobError("embedder file: expected the mark TANDEME1, got something else")
        (length,) = struct.unpack("<I", data[8:12])
        self.header = json.loads(data[12 : 12 + length])
        body = data[12 + length :]
        if hashlib.sha256(body).hexdigest() != self.header["sha256"]:
            raise JobError("embedder file: its checksum does not match")
        size, count = self.header["dimensions"], self.header["pieces"] + self.header["characterRows"]
        self.scales = np.frombuffer(body, "<f4", size)
        self.rows = np.frombuffer(body, np.uint8, count * size, 4 * size).reshape(count, size)
        self.pieces = Pieces(body[4 * size + count * size :].decode().split("\n"))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length; zeros for a text without any character."""
        found = np.zeros((len(texts), len(self.scales)))
        for number, text in enumerate(texts):
            rows = self.rows[self.pieces.encode(text)].astype(np.int64)
            found[number] = (rows.sum(0) - ZERO * len(rows)) * self.scales.astype(np.float64)
        return (found / np.maximum(1e-30, np.linalg.norm(found, axis=1, keepdims=True))).astype(np.float32)

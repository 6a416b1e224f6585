"""Documents of many lengths packed into rows of one length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .mixture import Document

OPEN_ROWS = 24


@dataclass
class PackedRows:
    """``ids`` (rows, time) uint16 (uint32 for over 65,536 pieces), ``document`` (rows, time) uint8 numbers, ``weight`` (rows, time) float32.

    ``weight[r, t]`` is the loss weight of predicting ``ids[r, t]`` from what precedes it in the same
    document; it is 0 for the first token of a document and for filling.
    """

    ids: np.ndarray
    document: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """Tokens that are not filling."""
        return int((self.document > 0).sum())

    def save(self, path: str | Path) -> None:
        """Writes one ``.npz``."""
        np.savez(path, ids=self.ids, document=self.document, weight=self.weight.astype(np.float16))

    @classmethod
    def load(cls, path: str | Path) -> PackedRows:
        """Reads what ``save`` wrote."""
        with np.load(path) as stored:
            return cls(stored["ids"], stored["document"], stored["weight"].astype(np.float32))


def encode(documents: list[Document], tokenizer: Tokenizer) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Token ids (uint16, or uint32 for a vocabulary over 65,536) and loss weights (float32) of each document, the first token's weight 0."""
    kind = np.uint16 if tokenizer.get_vocab_size() <= 65536 else np.uint32
    for begin in range(0, len(documents), 4096):
        group = documents[begin : begin + 4096]
        flat = [text for document in group for text, _ in document.runs]
        encoded = iter(tokenizer.encode_batch_fast(flat, add_special_tokens=False))
        for document in group:
            parts = [(next(encoded).ids, weight) for _, weight in document.runs]
            ids = np.concatenate([np.asarray(part, dtype=kind) for part, _ in parts])
            weights = np.concatenate([np.full(len(part), weight, dtype=np.float32) for part, weight in parts])
            weights[0] = 0.0
            yield ids, weights


def pack(encoded: Iterable[tuple[np.ndarray, np.ndarray]], time: int) -> PackedRows:
    """First-fit packing into rows of ``time`` tokens; a longer document is cut into pieces (a rest of
    one token is dropped: nothing can be predicted from it).

    At most 24 rows are open at once, so the order of documents stays close to the order given.
    """
    rows: list[list[tuple[np.ndarray, np.ndarray]]] = []
    opened: list[tuple[int, list]] = []

    def place(ids: np.ndarray, weights: np.ndarray) -> None:
        for index, (used, row) in enumerate(opened):
            if used + len(ids) <= time and len(row) < 255:
                row.append((ids, weights))
                opened[index] = (used + len(ids), row)
                return
        if len(opened) >= OPEN_ROWS:
            opened.sort(key=lambda item: item[0])
            rows.append(opened.pop()[1])
        opened.append((len(ids), [(ids, weights)]))

    for ids, weights in encoded:
        for begin in range(0, len(ids), time):
            piece = weights[begin : begin + time].copy()
            piece[0] = 0.0
            if len(piece) > 1:
                place(ids[begin : begin + time], piece)
    rows += [row for _, row in opened]
    kind = rows[0][0][0].dtype if rows else np.uint16
    packed = PackedRows(
        np.zeros((len(rows), time), kind), np.zeros((len(rows), time), np.uint8), np.zeros((len(rows), time), np.float32)
    )
    for number, row in enumerate(rows):
        at = 0
        for index, (ids, weights) in enumerate(row):
            span = slice(at, at + len(ids))
            packed.ids[number, span], packed.document[number, span], packed.weight[number, span] = ids, index + 1, weights
            at += len(ids)
    return packed

"""Teacher laws kept on disk: the k likeliest tokens and the mass that they leave out.

Two kinds of store, one file format (``.npz``):

- ``top``: the k likeliest tokens of each position with their log-probabilities. The rest is known only as one
  number, the tail mass ``1 - sum_k p``, which is never thrown away: see ``tail``.
- ``sampled``: k tokens drawn from the law, with the share of the draws that fell on each (Anshumann et al.,
  arXiv:2503.16870). Its cross-entropy is an unbiased estimate of the whole law's; there is no tail.

Arrays over the p positions that carry weight: ``row``, ``time`` (p) place them, ``ids`` (p, k) uint16 or
uint32, ``probabilities`` (p, k) float16 as log-probabilities (``top``) or float32 shares (``sampled``). A token
costs 4 or 6 bytes a stored entry. A sampled entry that repeats is stored once and filled with share 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import JobError
from ..data.packing import PackedRows
from ..model import Llama, Views, document_mask
from .base import Batch, Given, Objective, flat, need, weighted

KINDS = ("top", "sampled")
TAILS = ("bin", "spread", "drop")
LEAST = 1e-7


@dataclass
class LawStore:
    """Stored laws of the positions of some packed rows. ``made`` says by whom: teacher, tokenizer hash, rows."""

    kind: str
    vocabulary: int
    row: np.ndarray
    time: np.ndarray
    ids: np.ndarray
    probabilities: np.ndarray
    made: str = ""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def bytes_per_token(self) -> float:
        """Bytes that one position takes, without its place."""
        return (self.ids.nbytes + self.probabilities.nbytes) / max(1, len(self))

    def save(self, path: str | Path) -> None:
        """Writes one ``.npz``."""
        np.savez(path, kind=self.kind, vocabulary=self.vocabulary, row=self.row, time=self.time, ids=self.ids, probabilities=self.probabilities, made=self.made)

    @classmethod
    def load(cls, path: str | Path) -> LawStore:
        """Reads what ``save`` wrote. Raises ``JobError`` for a missing file or one of another kind."""
        try:
            with np.load(path) as stored:
                store = cls(str(stored["kind"]), int(stored["vocabulary"]), stored["row"], stored["time"], stored["ids"], stored["probabilities"], str(stored["made"]))
        except FileNotFoundError as cause:
            raise JobError(f"laws: expected a store of laws at {path}, found nothing", "file_missing") from cause
        except (KeyError, ValueError, OSError) as cause:
            raise JobError(f"laws: expected a store of laws at {path}, got another kind of file", "file_invalid") from cause
        if store.kind not in KINDS or store.ids.shape != store.probabilities.shape or len(store.row) != len(store.ids):
            raise JobError(f"laws: expected a store of laws at {path}, got arrays that do not fit together", "file_invalid")
        return store

    def index(self) -> dict[int, np.ndarray]:
        """Entry numbers by row number."""
        order = np.argsort(self.row, kind="stable")
        rows, first = np.unique(self.row[order], return_index=True)
        return dict(zip(rows.tolist(), np.split(order, first[1:]), strict=True))


def top_entries(logits: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k likeliest ids and their log-probabilities (float16) of logits (n, vocabulary)."""
    laws = F.log_softmax(logits.float(), -1)
    values, ids = laws.topk(min(k, laws.shape[-1]), -1)
    return small_ids(ids, laws.shape[-1]), values.cpu().numpy().astype(np.float16)


def sampled_entries(logits: Tensor, draws: int, random_: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``draws`` tokens of each law, repeats merged: ids (n, draws) and shares (n, draws) that add to 1."""
    laws = F.softmax(logits.float(), -1).cpu()
    drawn = torch.multinomial(laws, draws, replacement=True, generator=random_).sort(-1).values
    first = torch.ones_like(drawn, dtype=torch.bool)
    first[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    place = first.cumsum(-1) - 1
    shares = torch.zeros(drawn.shape).scatter_add_(1, place, torch.full(drawn.shape, 1.0 / draws))
    ids = torch.zeros_like(drawn).scatter_(1, place, drawn)
    return small_ids(ids, laws.shape[-1]), shares.numpy()


def small_ids(ids: Tensor, vocabulary: int) -> np.ndarray:
    """Ids in the smallest unsigned type that holds the vocabulary."""
    return ids.cpu().numpy().astype(np.uint16 if vocabulary <= 65536 else np.uint32)


def top_k_forward_kl(student: Tensor, ids: Tensor, log_probabilities: Tensor, tail: str = "bin", temperature: float = 1.0) -> Tensor:
    """Forward KL on k stored tokens and the mass they leave out, per position, in nats.

    ``student`` (n, vocabulary) logits, ``ids`` (n, k), ``log_probabilities`` (n, k) of the teacher at temperature 1.
    With P the stored mass and Q the student's mass on the same tokens, ``tail`` is

    - ``bin``: ``sum_k p log(p / q) + (1-P) log((1-P) / (1-Q))``: the rest is one event. By the data processing
      inequality at most the whole KL, and equal to it when k is the vocabulary.
    - ``spread``: the rest is spread evenly over the V - k other tokens and the whole KL taken. An assumption, stated.
    - ``drop``: the stored part is scaled to 1 and the rest forgotten. Biased: it makes the student overconfident.

    With ``temperature`` other than 1 only ``drop`` is defined (the tail's flattened mass is unknown).
    """
    if tail not in TAILS:
        raise ValueError(f"tail: expected one of {TAILS}, got {tail!r}")
    if temperature != 1.0 and tail != "drop":
        raise ValueError(f"temperature: expected 1 with tail {tail!r} (the tail's flattened mass is unknown), got {temperature}")
    log_teacher = log_probabilities.float()
    if tail == "drop":
        log_teacher = F.log_softmax(log_teacher / temperature, -1)
        log_student = F.log_softmax(student.float() / temperature, -1).gather(-1, ids)
        log_student = log_student - log_student.logsumexp(-1, keepdim=True)
        return (log_teacher.exp() * (log_teacher - log_student)).sum(-1) * temperature**2
    # float16 log-probabilities may add to a little over 1: such a position has no tail.
    excess = log_teacher.logsumexp(-1, keepdim=True).clamp_min(0.0)
    log_teacher = log_teacher - excess
    laws = F.log_softmax(student.float(), -1)
    log_student = laws.gather(-1, ids)
    stored = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
    rest = (1 - log_teacher.exp().sum(-1)).clamp(0.0, 1.0)
    others = student.shape[-1] - ids.shape[-1]
    if others == 0:
        return stored
    if tail == "bin":
        student_rest = (1 - log_student.exp().sum(-1)).clamp_min(LEAST)
        return stored + torch.where(rest > LEAST, rest * (rest.clamp_min(LEAST).log() - student_rest.log()), 0.0)
    outside = laws.sum(-1) - log_student.sum(-1)
    each = rest / others
    return stored + torch.where(rest > LEAST, rest * each.clamp_min(1e-30).log() - each * outside, 0.0)


def sampled_cross_entropy(student: Tensor, ids: Tensor, shares: Tensor) -> Tensor:
    """``-sum_k share_k log q(id_k)``: its expectation over the draws is the cross-entropy of the whole law.

    ``ids`` (n, k) and ``shares`` (n, k) from ``sampled_entries``. So its gradient's expectation is forward KL's.
    """
    return -(shares.float() * F.log_softmax(student.float(), -1).gather(-1, ids)).sum(-1)


class StoredLaws(Objective):
    """``stored_laws``: forward KL (or its unbiased estimate) against laws from disk, on the rows they were made for."""

    def prepare(self) -> None:
        """Loads the store and checks it against the rows and the model."""
        session = self.session
        self.store = LawStore.load(session.job.laws)
        rows, time = session.rows.ids.shape
        need(len(self.store) > 0, f"laws: expected stored positions in {session.job.laws}, got none", "teacher_silent")
        need(self.store.vocabulary <= session.student.shape.vocabulary, f"laws: expected ids under {session.student.shape.vocabulary}, got a vocabulary of {self.store.vocabulary}", "data_mismatch")
        need(int(self.store.row.max()) < rows and int(self.store.time.max()) < time - 1, f"laws: expected positions inside {rows} rows of {time} tokens, got others", "data_mismatch")
        need(self.store.made in ("", rows_hash(session.rows)), "laws: expected laws of these rows, got those of others (the rows' hash differs)", "data_mismatch")
        self.entries = self.store.index()

    def teach(self, batch: Batch) -> Given:
        """The stored entries of the batch: their places among the flat positions, ids and probabilities."""
        time = batch.ids.shape[1] - 1
        found = [self.entries.get(int(number), np.empty(0, np.int64)) for number in batch.numbers]
        place = np.concatenate([index * time + self.store.time[entries] for index, entries in enumerate(found)])
        entries = np.concatenate(found)
        moved = lambda values, kind: torch.from_numpy(values.astype(kind)).to(batch.ids.device)  # noqa: E731
        return {
            "place": Places(moved(place, np.int64)), "ids": moved(self.store.ids[entries], np.int64),
            "probabilities": moved(self.store.probabilities[entries], np.float32),
        }

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The divergence at stored positions."""
        place = given["place"].at
        student = flat(views.logits)[place][:, : self.store.vocabulary]
        if self.store.kind == "sampled":
            each = sampled_cross_entropy(student, given["ids"], given["probabilities"])
        else:
            each = top_k_forward_kl(student, given["ids"], given["probabilities"], self.options["tail"], self.options["temperature"])
        return weighted(each, batch.law_weights[place])

    def shuffled(self, given: Given, random_: torch.Generator) -> Given:
        """Ids and probabilities move together, places stay."""
        order = torch.randperm(len(given["ids"]), generator=random_).to(given["ids"].device)
        return {"place": given["place"], "ids": given["ids"][order], "probabilities": given["probabilities"][order]}


@dataclass
class Places:
    """Flat positions that stored entries belong to."""

    at: Tensor


def rows_hash(rows: PackedRows) -> str:
    """A hash of the ids and documents of packed rows, by which a store knows its rows."""
    return hashlib.sha256(np.ascontiguousarray(rows.ids.astype(np.uint32)).tobytes() + rows.document.tobytes()).hexdigest()[:16]


@torch.no_grad()
def store_laws(teacher: Llama, rows: PackedRows, kind: str = "top", k: int = 16, batch_rows: int = 8, seed: int = 0, device: str = "cpu") -> LawStore:
    """The teacher's laws at every weighty position of ``rows``: the ``k`` likeliest tokens, or ``k`` draws (``sampled``)."""
    need(kind in KINDS, f"kind: expected one of {KINDS}, got {kind!r}")
    random_ = torch.Generator().manual_seed(seed)
    places, ids, values = [], [], []
    for begin in range(0, len(rows), batch_rows):
        part = torch.from_numpy(rows.ids[begin : begin + batch_rows].astype(np.int64)).to(device)
        documents = torch.from_numpy(rows.document[begin : begin + batch_rows].astype(np.int64)).to(device)
        wanted = rows.weight[begin : begin + batch_rows, 1:] > 0
        logits = teacher(part, document_mask(documents))[:, :-1][torch.from_numpy(wanted).to(device)]
        row, time = np.nonzero(wanted)
        places.append(np.stack([row + begin, time]))
        got = top_entries(logits, k) if kind == "top" else sampled_entries(logits, k, random_)
        ids.append(got[0])
        values.append(got[1])
    row, time = np.concatenate(places, 1)
    return LawStore(kind, teacher.shape.vocabulary, row.astype(np.uint32), time.astype(np.uint16), np.concatenate(ids), np.concatenate(values), rows_hash(rows))

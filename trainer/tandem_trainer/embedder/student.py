"""The student: a table with one vector a piece. A text's vector is the sum of its pieces' rows, brought to unit length.

Start (Model2Vec's recipe, Minish Lab 2024): the teacher's vector of each piece alone, projected onto the leading
directions of the teacher's vectors of the training texts, times ``a / (a + p)`` for a piece of frequency ``p`` (SIF: Arora,
Liang and Ma, ICLR 2017). Then the rows are trained so that

    L = w1 * mean(1 - cos(s, P t)) + w2 * mean((S - T)^2) + w3 * KL(softmax(T / tau) || softmax(S / tau))

where ``s`` and ``t`` are student's and teacher's vectors of a text, ``P`` the projection, and ``S``, ``T`` the cosines among
the texts of a batch (diagonal left out of the divergence): pointwise regression and similarity-preserving distillation
(Tung and Mori, arXiv:1907.09682). A pull to the start keeps rows that occur seldom where they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Settings:
    """Settings of a training. ``run_length`` neighbours of a source stand together in a batch of ``batch_texts``."""

    dimensions: int = 256
    epochs: int = 10
    batch_texts: int = 768
    run_length: int = 16
    learning_rate: float = 2e-3
    regression_weight: float = 1.0
    similarity_weight: float = 10.0
    divergence_weight: float = 0.5
    temperature: float = 0.05
    start_pull: float = 0.0
    frequency_constant: float = 1e-3
    seed: int = 1


class Bags:
    """Rows of pieces of many texts, end to end."""

    def __init__(self, texts_rows: list[list[int]]) -> None:
        lengths = np.array([len(rows) for rows in texts_rows])
        self.rows = torch.from_numpy(np.fromiter((row for rows in texts_rows for row in rows), dtype=np.int64, count=int(lengths.sum())))
        self.starts = torch.from_numpy(np.r_[0, np.cumsum(lengths)])
        self.count = len(texts_rows)

    def take(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows and offsets of some texts, for ``embedding_bag``."""
        starts, lengths = self.starts[chosen], self.starts[chosen + 1] - self.starts[chosen]
        offsets = torch.cumsum(lengths, 0) - lengths
        positions = torch.arange(int(lengths.sum())) + torch.repeat_interleave(starts - offsets, lengths)
        return self.rows[positions], offsets

    def frequencies(self, rows: int) -> np.ndarray:
        """Share of each row among all pieces."""
        counts = np.bincount(self.rows.numpy(), minlength=rows)
        return counts / max(1, counts.sum())


def projection(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """The leading directions (384 x dimensions) of vectors; not centred, so that cosines are kept best."""
    values, directions = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors.astype(np.float64))
    leading = directions[:, ::-1][:, :dimensions]
    return (leading * np.where(leading[np.abs(leading).argmax(0), np.arange(dimensions)] < 0, -1, 1)).astype(np.float32)


def start_table(piece_vectors: np.ndarray, directions: np.ndarray, frequencies: np.ndarray, settings: Settings) -> np.ndarray:
    """The table before training."""
    weight = settings.frequency_constant / (settings.frequency_constant + frequencies)
    return (piece_vectors @ directions * weight[:, None]).astype(np.float32)


def embed(table: torch.Tensor, bags: Bags, chosen: torch.Tensor) -> torch.Tensor:
    """Vectors of some texts."""
    rows, offsets = bags.take(chosen)
    return F.normalize(F.embedding_bag(rows, table, offsets, mode="sum"), dim=1, eps=1e-6)


def loss_of(student: torch.Tensor, teacher: torch.Tensor, directions: torch.Tensor, settings: Settings) -> torch.Tensor:
    """The loss of a batch (see above)."""
    total = settings.regression_weight * (1 - (student * F.normalize(teacher @ directions, dim=1)).sum(1)).mean()
    cosine, wanted = student @ student.T, teacher @ teacher.T
    total = total + settings.similarity_weight * F.mse_loss(cosine, wanted)
    if settings.divergence_weight > 0:
        others = ~torch.eye(len(student), dtype=torch.bool)
        given = (cosine[others].view(len(student), -1) / settings.temperature).log_softmax(1)
        target = (wanted[others].view(len(student), -1) / settings.temperature).softmax(1)
        total = total + settings.divergence_weight * F.kl_div(given, target, reduction="batchmean")
    return total


def batches(count: int, settings: Settings, generator: torch.Generator):
    """Positions of the texts of each batch of one round: runs of neighbours in random order."""
    shift = int(torch.randint(settings.run_length, (1,), generator=generator))
    runs = torch.arange(-shift, count, settings.run_length)
    order = runs[torch.randperm(len(runs), generator=generator)]
    for part in order.split(max(1, settings.batch_texts // settings.run_length)):
        positions = (part[:, None] + torch.arange(settings.run_length)).flatten()
        yield positions[(positions >= 0) & (positions < count)]


def train(start: np.ndarray, bags: Bags, teacher: np.ndarray, directions: np.ndarray, settings: Settings, report=None) -> np.ndarray:
    """Trains the table. ``report(step, steps, loss, table)`` is called every 100 steps. Same seed, same table."""
    generator = torch.Generator().manual_seed(settings.seed)
    table = torch.from_numpy(start.copy()).requires_grad_()
    anchor, base = torch.from_numpy(start), torch.from_numpy(directions)
    optimizer = torch.optim.Adam([table], lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)
    steps = settings.epochs * math.ceil(bags.count / settings.batch_texts)
    targets, step = torch.from_numpy(teacher), 0
    for _ in range(settings.epochs):
        for chosen in batches(bags.count, settings, generator):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * max(0.02, min(1.0, (step + 1) / 50) * (1 - step / (steps * 1.02)))
            loss = loss_of(embed(table, bags, chosen), targets[chosen].float(), base, settings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if settings.start_pull > 0:
                table.grad.add_(table.detach() - anchor, alpha=settings.start_pull)
            optimizer.step()
            if report is not None and step % 100 == 0:
                report(step, steps, loss.item(), table.detach())
            step += 1
    return table.detach().numpy()

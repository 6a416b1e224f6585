"""Distillation between models that cut the same text into other pieces.

GOLD's span merging with ULD's sorted laws (Boizard et al., arXiv:2402.12030). The same text is encoded by both; the
character offsets at which both have a piece border cut it into spans. At the start of a span both models predict
from the same text, so their laws can be compared there:

- over pieces that both vocabularies have, directly: forward KL with one bin for all other pieces;
- over pieces that only one side has, by size: the absolute difference of the sorted probabilities (ULD);
- and the probability of the whole span, the product over its pieces, which both sides define for any cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from ..errors import JobError
from ..model import Views
from .base import Batch, Given, Objective, flat, padded, weighted


@dataclass(frozen=True)
class Span:
    """Piece numbers of one span: ``student`` and ``teacher`` are (first, end) on each side."""

    student: tuple[int, int]
    teacher: tuple[int, int]


def spans_of(student: list[int], teacher: list[int]) -> list[Span]:
    """Spans between common piece borders. The arguments are the end offsets of each piece, in characters.

    Raises ``ValueError`` when the two encodings do not end at the same character: then it is not the same text.
    """
    if (student[-1] if student else 0) != (teacher[-1] if teacher else 0):
        raise ValueError(f"offsets: expected both sides to end at character {student[-1:]}, got {teacher[-1:]}")
    spans, a, b, first = [], 0, 0, (0, 0)
    while a < len(student) and b < len(teacher):
        if student[a] < teacher[b]:
            a += 1
        elif teacher[b] < student[a]:
            b += 1
        else:
            end = student[a]
            a, b = a + 1, b + 1
            while a < len(student) and student[a] == end:  # pieces of no width, parts of one character
                a += 1
            while b < len(teacher) and teacher[b] == end:
                b += 1
            spans.append(Span((first[0], a), (first[1], b)))
            first = (a, b)
    return spans


def common_pieces(student: dict[str, int], teacher: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Ids of the pieces that both vocabularies hold, in one order, on each side."""
    shared = sorted(set(student) & set(teacher))
    return torch.tensor([student[piece] for piece in shared], dtype=torch.long), torch.tensor([teacher[piece] for piece in shared], dtype=torch.long)


def law_distance(student: Tensor, teacher: Tensor, common: tuple[Tensor, Tensor], sorted_weight: float) -> Tensor:
    """Distance of two laws over vocabularies that share some pieces, per span (n), in nats plus ULD's part.

    ``student`` (n, V_s) and ``teacher`` (n, V_t) are log-laws. ``KL`` of the teacher's shared pieces and one bin for its
    others against the student's, plus ``sorted_weight * sum_i |p_(i) - q_(i)|`` over the sorted others (the shorter
    side filled with 0). Equal vocabularies give the plain forward KL.
    """
    a, b = student[:, common[0]], teacher[:, common[1]]
    rest_a, rest_b = (1 - a.exp().sum(-1)).clamp_min(1e-7), (1 - b.exp().sum(-1)).clamp_min(0.0)
    shared = (b.exp() * (b - a)).sum(-1)
    if len(common[0]) == student.shape[1] == teacher.shape[1]:
        return shared
    binned = torch.where(rest_b > 1e-7, rest_b * (rest_b.clamp_min(1e-7).log() - rest_a.log()), 0.0)
    others = []
    for law, ids in ((student, common[0]), (teacher, common[1])):
        mask = torch.ones(law.shape[1], dtype=torch.bool, device=law.device)
        mask[ids] = False
        others.append(law[:, mask].exp().sort(-1, descending=True).values)
    width = max(one.shape[1] for one in others)
    low, high = (F.pad(one, (0, width - one.shape[1])) for one in others)
    return shared + binned + sorted_weight * (low - high).abs().sum(-1)


def span_log_probabilities(laws: Tensor, ids: Tensor, borders: list[tuple[int, int]]) -> Tensor:
    """``sum log p(piece)`` over the pieces of each span (n), in nats.

    ``laws`` (time, vocabulary): row t is the log-law of piece t; ``ids`` (time); ``borders`` the (first, end) of each span.
    """
    own = laws.gather(-1, ids[:, None])[:, 0]
    sums = torch.cat([own.new_zeros(1), own.cumsum(0)])
    first, end = (torch.tensor(side, device=own.device) for side in zip(*borders, strict=True))
    return sums[end] - sums[first]


def span_likelihood_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Binary KL of two spans' probabilities, ``p_T log(p_T / p_S) + (1 - p_T) log((1 - p_T) / (1 - p_S))``, per span (n).

    The arguments are log-probabilities of the same spans.
    """
    a, b = student.clamp_max(-1e-6), teacher.clamp_max(-1e-6)
    rest_a, rest_b = (torch.log1p(-one.exp().clamp_max(1 - 1e-6)) for one in (a, b))
    return b.exp() * (b - a) + rest_b.exp() * (rest_b - rest_a)


@dataclass
class Aligned:
    """Both encodings of the documents of a batch. ``student`` and ``teacher`` hold flat places of span starts; the
    borders count pieces inside the flat sequences of predictions."""

    batch: Batch
    student_first: Tensor
    teacher_first: Tensor
    student_borders: list[tuple[int, int]]
    teacher_borders: list[tuple[int, int]]


class SpanMerged(Objective):
    """``span_merged``: the teacher reads the same text in its own pieces; laws meet at common borders."""

    def prepare(self) -> None:
        """Finds the pieces that both tokenizers share."""
        session = self.session
        own, theirs = session.tokenizer, session.teacher_tokenizer
        if own is None or theirs is None:
            raise JobError("tokenizer: expected tokenizer and teacher_tokenizer for objective 'span_merged', got nothing for one", "tokenizer_unstated")
        self.common = common_pieces(own.get_vocab(), theirs.get_vocab())
        self.common = tuple(ids.to(session.device) for ids in self.common)

    def teach(self, batch: Batch) -> Given:
        """The teacher's log-laws at span starts and the log-probability of each span."""
        aligned = self.align(batch)
        laws = F.log_softmax(flat(self.session.teacher_views(aligned.batch).logits)[:, : self.session.teacher_tokenizer.get_vocab_size()].float(), -1)
        spans = span_log_probabilities(laws, aligned.batch.targets, aligned.teacher_borders)
        return {"aligned": aligned, "laws": laws[aligned.teacher_first], "spans": spans}

    def align(self, batch: Batch) -> Aligned:
        """Encodes every document of the batch again and finds its spans. The first piece of a document is not predicted."""
        session, texts, found = self.session, [], []
        width = batch.ids.shape[1] - 1
        for row, (ids, documents) in enumerate(zip(batch.ids.tolist(), batch.documents, strict=True)):
            for number in range(1, int(documents.max()) + 1):
                place = (documents == number).nonzero()[:, 0]
                own = [ids[index] for index in place.tolist()]
                text, ends = piece_ends(session.tokenizer, own)
                encoded = session.teacher_tokenizer.encode(text, add_special_tokens=False)
                other, other_ends = encoded.ids, piece_ends(session.teacher_tokenizer, encoded.ids)
                if other_ends[0] != text or len(other) < 2:
                    continue  # the teacher's pieces cannot spell this text
                spans = [span for span in spans_of(ends, other_ends[1]) if span.student[0] and span.teacher[0]]
                base = row * width + int(place[0]) - 1
                found += [(base + span.student[0], base + span.student[1], len(texts), span.teacher) for span in spans]
                texts.append(([], other))
        if not found:
            raise JobError("teacher_tokenizer: expected common piece borders with the student's, got none in a batch", "tokenizer_mismatch")
        there = padded(texts, batch.step, device=session.device)
        across = there.ids.shape[1] - 1
        borders = [(row * across + first - 1, row * across + end - 1) for _, _, row, (first, end) in found]
        own_borders = [(first, end) for first, end, _, _ in found]
        starts = [torch.tensor([first for first, _ in side], device=session.device) for side in (own_borders, borders)]
        return Aligned(there, starts[0], starts[1], own_borders, borders)

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``law_distance + span_likelihood_loss`` over spans, by the weight of a span's first piece."""
        aligned = given["aligned"]
        laws = F.log_softmax(flat(views.logits).float(), -1)
        spans = span_log_probabilities(laws, batch.targets, aligned.student_borders)
        each = law_distance(laws[aligned.student_first], given["laws"], self.common, self.options["sorted_weight"])
        return weighted(each + span_likelihood_loss(spans, given["spans"]), batch.law_weights[aligned.student_first])

    def shuffled(self, given: Given, random_: torch.Generator) -> Given:
        """Laws and span probabilities move together."""
        order = torch.randperm(len(given["laws"]), generator=random_).to(given["laws"].device)
        return {"aligned": given["aligned"], "laws": given["laws"][order], "spans": given["spans"][order]}


def piece_ends(tokenizer: Tokenizer, ids: list[int]) -> tuple[str, list[int]]:
    """The text of some pieces and the character offset at which each ends.

    A piece that ends inside a character ends where the text so far does, so borders inside characters are no borders.
    """
    text, ends = tokenizer.decode(ids, skip_special_tokens=False), []
    for count in range(1, len(ids) + 1):
        so_far = tokenizer.decode(ids[:count], skip_special_tokens=False)
        ends.append(len(so_far) if text.startswith(so_far) else (ends[-1] if ends else 0))
    ends[-1] = len(text)
    return text, ends

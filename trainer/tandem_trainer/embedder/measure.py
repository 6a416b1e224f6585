"""Rank correlation, recall, intervals, and the trivial rivals: hashed n-grams, TF-IDF and BM25."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .pieces import words_of


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    sorted_ = values[order]
    starts = np.flatnonzero(np.r_[True, sorted_[1:] != sorted_[:-1]])
    ends = np.r_[starts[1:], len(values)]
    found = np.empty(len(values))
    found[order] = np.repeat((starts + ends - 1) / 2, ends - starts)
    return found


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def interval(count: int, figure, resamples: int = 500, seed: int = 1) -> tuple[float, float]:
    """95 % interval of ``figure(rows)`` over rows drawn with replacement."""
    random_ = np.random.default_rng(seed)
    values = sorted(figure(random_.integers(0, count, count)) for _ in range(resamples))
    return values[int(0.025 * resamples)], values[int(0.975 * resamples) - 1]


def cosines(vectors: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Cosine of each pair; vectors of unit length."""
    first, second = np.array(pairs).T
    return np.einsum("ij,ij->i", vectors[first], vectors[second])


def answer_ranks(scores: np.ndarray, answers: Sequence[int]) -> np.ndarray:
    """Rank, from 0, of each question's passage among all; ties count against it by half."""
    own = scores[np.arange(len(answers)), np.array(answers)][:, None]
    return (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def recall(found: np.ndarray, within: int) -> float:
    """Share of questions whose passage is among the first ``within``."""
    return float((found < within).mean())


def hashed_vectors(texts: Sequence[str], size: int = 4096) -> np.ndarray:
    """Words and word pairs hashed to ``size`` buckets, 1 + log of the count, unit length."""
    found = np.zeros((len(texts), size), dtype=np.float32)
    for row, text in enumerate(texts):
        words = words_of(text)
        for gram, count in Counter([*words, *(f"{a} {b}" for a, b in zip(words, words[1:]))]).items():
            found[row, zlib.crc32(gram.encode()) % size] += 1 + math.log(count)
    return found / np.maximum(1e-9, np.linalg.norm(found, axis=1, keepdims=True))


class Lexical:
    """TF-IDF and BM25 (Robertson and Zaragoza 2009; k1 = 1.2, b = 0.75) over a list of passages."""

    def __init__(self, passages: Sequence[str]) -> None:
        self.counts = [Counter(words_of(passage)) for passage in passages]
        holding = Counter(word for counts in self.counts for word in counts)
        total = len(passages)
        self.idf = {word: math.log(1 + (total - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
        self.length = np.array([sum(counts.values()) for counts in self.counts])
        self.column = {word: number for number, word in enumerate(self.idf)}

    def _matrix(self, weigh) -> np.ndarray:
        found = np.zeros((len(self.counts), len(self.column)), dtype=np.float32)
        for row, counts in enumerate(self.counts):
            for word, count in counts.items():
                found[row, self.column[word]] = weigh(word, count, row)
        return found

    def _query(self, question: str, weigh) -> np.ndarray:
        found = np.zeros(len(self.column), dtype=np.float32)
        for word, count in Counter(words_of(question)).items():
            if word in self.column:
                found[self.column[word]] = weigh(word, count)
        return found

    def bm25(self, questions: Sequence[str]) -> np.ndarray:
        """Scores, questions x passages."""
        mean = self.length.mean()
        passages = self._matrix(lambda word, n, row: self.idf[word] * n * 2.2 / (n + 1.2 * (0.25 + 0.75 * self.length[row] / mean)))
        return np.stack([self._query(question, lambda word, n: n) for question in questions]) @ passages.T

    def tfidf(self, questions: Sequence[str]) -> np.ndarray:
        """Cosines, questions x passages."""
        weigh = lambda word, n, row=0: (1 + math.log(n)) * self.idf[word]  # noqa: E731
        passages = self._matrix(weigh)
        asked = np.stack([self._query(question, weigh) for question in questions])
        unit = lambda rows: rows / np.maximum(1e-9, np.linalg.norm(rows, axis=1, keepdims=True))  # noqa: E731
        return unit(asked) @ unit(passages).T

"""Cuts a text into the pieces of the embedder's table: the same rules as ``src/embed/pieces.ts``.

Lower case without accents; words end at white space, and every punctuation mark and every Chinese character stands
alone; a word is cut into the longest pieces that the table holds, from left to right (WordPiece: Schuster and Nakajima
2012, as in BERT, arXiv:1810.04805). Unlike BERT, a character that no piece covers does not spoil its word: it becomes one
of ``CHARACTER_ROWS`` shared rows, chosen by its code point, so that the same unknown sign in two texts still counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

CHARACTER_ROWS = 256
WORD_MAX = 64
IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]")


def _separate(char: str) -> bool:
    """Whether a character stands alone: punctuation, ASCII signs, Chinese characters."""
    if char < "\x80":
        return not char.isalnum()
    return unicodedata.category(char)[0] == "P" or _IDEOGRAPH.match(char) is not None


def words_of(text: str) -> list[str]:
    """The words and marks of a text, in lower case and without accents."""
    text = text.lower()
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    found, word = [], []
    for char in text:
        space = char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Zs")
        if not space and not _separate(char):
            word.append(char)
            continue
        if word:
            found.append("".join(word))
            word = []
        if not space:
            found.append(char)
    if word:
        found.append("".join(word))
    return found


def shared_row(char: str, first: int) -> int:
    """The row of a character that no piece covers."""
    return first + ((ord(char) * 2654435761) % 2**32 >> 24)


class Pieces:
    """A list of pieces, in the order of their rows; pieces inside a word begin with ``##``. The shared rows follow the last piece."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.rows = len(self.names) + CHARACTER_ROWS
        self._row = {name: row for row, name in enumerate(self.names)}
        self._known: dict[str, tuple[int, ...]] = {}

    def _cut(self, word: str) -> tuple[int, ...]:
        found, start = [], 0
        while start < len(word):
            mark = "##" if start else ""
            end = min(len(word), start + WORD_MAX)
            while end > start and mark + word[start:end] not in self._row:
                end -= 1
            if end == start:
                found.append(shared_row(word[start], len(self.names)))
                end = start + 1
            else:
                found.append(self._row[mark + word[start:end]])
            start = end
        return tuple(found)

    def encode(self, text: str) -> list[int]:
        """Rows of the pieces of a text."""
        found: list[int] = []
        for word in words_of(text):
            rows = self._known.get(word)
            if rows is None:
                rows = self._known[word] = self._cut(word)
            found += rows
        return found


def teacher_pieces(vocabulary: Path) -> list[str]:
    """The teacher's pieces without ``[CLS]`` and its kind, in lexical order."""
    names = {line for line in vocabulary.read_text("utf-8").split("\n") if line}
    return sorted(name for name in names if not re.fullmatch(r"\[(unused\d+|PAD|UNK|CLS|SEP|MASK)\]", name))


def frequent_words(texts: Iterable[str], known: Pieces, count_min: int, words_max: int) -> list[str]:
    """Words of letters that ``known`` cuts into several pieces, by how many texts hold them, most first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({word for word in words_of(text) if word.isalpha() and word.isascii() and len(word) > 2})
    found = [(count, word) for word, count in counts.items() if count >= count_min and len(known.encode(word)) > 1]
    return [word for _, word in sorted(found, key=lambda each: (-each[0], each[1]))[:words_max]]

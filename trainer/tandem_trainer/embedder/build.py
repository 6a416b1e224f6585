"""From a recipe to ``weights/embedder``: texts, the teacher's vectors of them, pieces, training, file, figures."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..errors import JobError
from . import heldout, measure, student
from .pieces import CHARACTER_ROWS, Pieces, frequent_words, teacher_pieces
from .table import Table, encode, quantized
from .teacher import WIDTH, Teacher
from .texts import Text, gather

CHECKED = (
    "What is the capital of France?", "play some jazz on spotify", "The quick brown fox jumps over the lazy dog.",
    "How many apples are left if Tom eats 3 of 12?", "naïve café, Ünïcödé — “quoted” text…", "def add(a, b): return a + b",
    "Wie spät ist es in München?", "¿Dónde está la biblioteca?", "图书馆在哪里？", "😀 thanks!", "a", "river " * 300,
)


@dataclass(frozen=True)
class Recipe:
    """How the embedder is made. ``extra_words``: whole words added to the teacher's pieces, the most frequent ones."""

    id: str
    paragraphs: int = 14000
    extra_words: int = 0
    threads: int = 1
    settings: student.Settings = field(default_factory=student.Settings)
    training: str = ""


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe; raises ``JobError`` naming the file for unknown fields or wrong JSON."""
    try:
        given = json.loads(path.read_text())
        return Recipe(**{**given, "settings": student.Settings(**given.get("settings", {}))})
    except (json.JSONDecodeError, TypeError) as cause:
        raise JobError(f"recipe {path.name}: expected the fields of Recipe and Settings, got {cause}") from cause


def teacher_vectors(texts: Sequence[str], teacher: Teacher, work: Path, report=lambda event: None) -> np.ndarray:
    """Vectors of texts (float16), kept in ``work`` under the hash of teacher, precision and texts."""
    key = hashlib.sha256("\n".join([teacher.sha256, str(len(teacher.precisions)), *texts]).encode()).hexdigest()[:16]
    path = work / f"teacher-{key}.npy"
    if path.is_file():
        return np.load(path)
    work.mkdir(parents=True, exist_ok=True)
    last = [time.monotonic()]

    def progress(done: int, total: int) -> None:
        if time.monotonic() - last[0] > 20:
            last[0] = time.monotonic()
            report({"event": "teacher", "texts": done, "of": total})

    vectors = teacher.encode(texts, progress=progress).astype(np.float16)
    np.save(path, vectors)
    return vectors


def piece_names(recipe: Recipe, folder: Path, texts: list[Text]) -> list[str]:
    """The teacher's pieces and the most frequent words that they cut, prose left aside."""
    names = teacher_pieces(folder / "vocab.txt")
    if recipe.extra_words == 0:
        return names
    counted = (text.text for text in texts if not text.source.startswith("prose"))
    return names + frequent_words(counted, Pieces(names), 3, recipe.extra_words)


def start(names: list[str], teacher: Teacher, directions: np.ndarray, bags: student.Bags, recipe: Recipe) -> np.ndarray:
    """The table before training; the shared rows of unknown characters are random."""
    alone = teacher.encode([name[2:] if name.startswith("##") and len(name) > 2 else name for name in names])
    shared = np.random.default_rng(7).normal(size=(CHARACTER_ROWS, WIDTH)).astype(np.float32) / np.sqrt(WIDTH)
    return student.start_table(np.concatenate([alone, shared]), directions, bags.frequencies(len(names) + CHARACTER_ROWS), recipe.settings)


def write_table(path: Path, table: np.ndarray, names: list[str], recipe: Recipe, teacher: Teacher) -> None:
    """Quantises and writes the file."""
    rows, scales = quantized(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(rows, scales, names, {"id": recipe.id, "licence": "Apache-2.0", "teacherSha256": teacher.sha256}))


def build(recipe: Recipe, root: Path, wordnet: Path, folder: Path, work: Path, weights: Path, report=lambda event: None) -> dict:
    """Makes ``weights/embedder/table.bin`` and everything beside it; returns the figures."""
    torch.set_num_threads(recipe.threads)
    began = time.monotonic()
    train, held, left_out = gather(root, wordnet, recipe.paragraphs, heldout.every_text(root))
    report({"event": "texts", "train": len(train), "heldOut": len(held), "leftOut": left_out})
    teacher = Teacher(folder, fast=True)
    vectors = teacher_vectors([text.text for text in train], teacher, work, report)
    encoded = time.monotonic()
    names = piece_names(recipe, folder, train)
    pieces = Pieces(names)
    bags = student.Bags([pieces.encode(text.text) or [len(names)] for text in train])
    directions = student.projection(vectors[::4].astype(np.float32), recipe.settings.dimensions)
    first = start(names, teacher, directions, bags, recipe)
    table = student.train(first, bags, vectors, directions, recipe.settings, lambda step, steps, loss, _: report({"event": "step", "step": step, "steps": steps, "loss": round(loss, 4)}))
    trained = time.monotonic()
    target = weights / "embedder"
    write_table(work / "start.bin", first, names, recipe, teacher)
    write_table(target / "table.bin", table, names, recipe, teacher)
    return {"texts": len(train), "leftOut": left_out, "pieces": len(names), "teacherS": round(encoded - began), "trainS": round(trained - encoded)}


def figures(root: Path, folder: Path, work: Path, weights: Path, resamples: int = 500) -> dict:
    """Measures the shipped file beside its start, the teacher and the trivial rivals; writes ``pairs.json``, ``check.json``, ``report.json``."""
    teacher, target = Teacher(folder), weights / "embedder"
    taught = lambda texts: teacher_vectors(texts, teacher, work).astype(np.float32)  # noqa: E731
    tables = {"static": Table(target / "table.bin")}
    if (work / "start.bin").is_file():
        tables["start"] = Table(work / "start.bin")
    found: dict = {"spearman": {}, "recall": {}}
    pairs: dict = {}
    for group in heldout.pair_sets(root):
        wanted = measure.cosines(taught(group.texts), group.pairs)
        pairs[group.name] = [[a, b, round(10_000 * float(cosine))] for (a, b), cosine in zip(group.pairs, wanted)]
        rivals = {name: table.embed(group.texts) for name, table in tables.items()} | {"hashed": measure.hashed_vectors(group.texts)}
        for name, vectors in rivals.items():
            own = measure.cosines(vectors, group.pairs)
            low, high = measure.interval(len(own), lambda rows: measure.spearman(own[rows], wanted[rows]), resamples)
            found["spearman"].setdefault(group.name, {"pairs": len(own)})[name] = [measure.spearman(own, wanted), low, high]
    for retrieval in (*(heldout.xquad(root, language) for language in ("en", "de", "es", "zh")), heldout.natural_questions(root)):
        lexical = measure.Lexical(retrieval.passages)
        scores = {name: table.embed(retrieval.questions) @ table.embed(retrieval.passages).T for name, table in tables.items()}
        scores["teacher"] = taught(retrieval.questions) @ taught(retrieval.passages).T
        scores |= {"hashed": measure.hashed_vectors(retrieval.questions) @ measure.hashed_vectors(retrieval.passages).T, "tfidf": lexical.tfidf(retrieval.questions), "bm25": lexical.bm25(retrieval.questions)}
        for name, score in scores.items():
            ranks = measure.answer_ranks(score, retrieval.answers)
            cells = {f"@{k}": [measure.recall(ranks, k), *measure.interval(len(ranks), lambda rows: measure.recall(ranks[rows], k), resamples)] for k in (1, 5, 10)}
            found["recall"].setdefault(retrieval.name, {"questions": len(ranks), "passages": len(retrieval.passages)})[name] = cells
    rounded = json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 4))
    (target / "pairs.json").write_text(json.dumps(pairs, separators=(",", ":")) + "\n")
    checked = [{"text": text, "vector": [round(float(x), 6) for x in vector]} for text, vector in zip(CHECKED, tables["static"].embed(CHECKED))]
    (target / "check.json").write_text(json.dumps(checked, ensure_ascii=False, separators=(",", ":")) + "\n")
    (target / "report.json").write_text(json.dumps(rounded, indent=1) + "\n")
    return rounded


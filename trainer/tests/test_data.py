"""Generators, the split, packing and the overlap check."""

import json
import random
import re

import numpy as np
import pytest

from tandem_trainer.data import arithmetic, conversation, editing, heldout, mixture, negatives, packing, sources, stories
from tandem_trainer.data.example import HELD_OUT, passes, passes_check, side_of
from tandem_trainer.data.overlap import OverlapIndex
from tandem_trainer.pair import forbid_test_items


@pytest.mark.parametrize("operations", arithmetic.GRADES)
def test_every_worked_step_is_true(operations):
    random_ = random.Random(operations)
    for maker in (arithmetic.sum_problem, arithmetic.word_problem):
        for _ in range(200):
            example = maker(random_, operations)
            *steps, final = example.expected.split("\n")
            assert len(steps) == operations == example.grade
            for step in steps:
                left, right = step.split(" = ")
                assert eval(left) == int(right)  # noqa: S307
                assert 0 <= int(right) <= arithmetic.LARGEST
            assert final == f"Answer: {right}"


def test_left_to_right_sums_match_their_steps():
    random_ = random.Random(4)
    for _ in range(100):
        example = arithmetic.sum_problem(random_, 3)
        tokens = example.prompt[0][1].split(": ")[1].split()
        value = int(tokens[0])
        for sign, operand in zip(tokens[1::2], tokens[2::2]):
            value = eval(f"{value}{sign}{operand}")  # noqa: S307
        assert example.expected.endswith(f"Answer: {int(value)}")


@pytest.mark.parametrize("kind", editing.KINDS)
@pytest.mark.parametrize("grade", [1, 2, 3])
def test_editing_answers_come_from_the_prompt(kind, grade):
    random_ = random.Random(9)
    for _ in range(50):
        example = kind(random_, grade)
        assert passes(example, example.expected)
        assert example.grade == grade
        if example.task != "count":
            prompt = example.prompt[0][1].lower()
            assert all(word in prompt for word in example.expected.lower().split())


def test_unit_conversions_work_in_true_steps_that_end_at_the_answer():
    random_ = random.Random(12)
    for _ in range(400):
        example = arithmetic.conversion(random_)
        *steps, final = example.expected.split("\n")
        for step in steps:
            left, right = step.split(" = ")
            assert eval(left) == int(right)  # noqa: S307
        assert final.split()[1] == right and 1 <= len(steps) <= 3


def test_refilled_slots_stand_in_the_utterance_and_never_equal_a_validation_item(data):
    examples = sources.snips_refilled(data, 3)
    assert examples == sources.snips_refilled(data, 3) != sources.snips_refilled(data, 4)
    assert {example.grade for example in examples} == {1, 2, 3}
    for example in examples[::97]:
        text = example.prompt[0][1]
        assert all(re.sub(r"\s+", " ", value) in text for name, value in json.loads(example.expected).items() if name != "intent")
    forbidden, _ = forbid_test_items(data)
    test = {example.prompt[0][1] for example in sources.snips(data, "validate")}
    assert not {example.prompt[0][1] for example in examples if not forbidden(example)} & test


def test_out_of_scope_patterns_are_answered_oos_and_fill_every_gap():
    random_ = random.Random(5)
    for _ in range(500):
        example = negatives.generate(random_)
        assert example.expected == "oos" and example.grade == 3 and "{" not in example.prompt[0][1]


def test_dev_and_held_out_share_no_prompt(data):
    held = {example.key for example in heldout.build(data, 4)}
    dev = heldout.build_dev(data, held, 4)
    assert dev and not {example.key for example in dev} & held


def test_generators_are_seeded():
    for module in (arithmetic, editing, conversation, negatives, stories):
        assert [module.generate(random.Random(7)) for _ in range(3)] == [module.generate(random.Random(7)) for _ in range(3)]


def test_training_never_draws_the_held_out_side():
    drawn = list(mixture.synthetic("arithmetic", 400, random.Random(2)))
    assert all(side_of(example.key) != HELD_OUT for example in drawn)
    held = heldout.synthetic(random.Random(3), 2)
    assert len({example.task for example in held}) >= 10
    assert all(side_of(example.key) == HELD_OUT for example in held)
    assert not {example.key for example in drawn} & {example.key for example in held}


def test_a_curriculum_keeps_the_shares_of_grades():
    drawn = list(mixture.synthetic("arithmetic", 3000, random.Random(5), {"4": 0.25, "5": 0.0}))
    counts = [sum(example.grade == grade for example in drawn) for grade in (3, 4, 5)]
    assert counts[2] == 0
    assert 0.13 < counts[1] / counts[0] < 0.26  # drawn as 3 to 4, a quarter kept: 0.19
    with pytest.raises(ValueError, match=r"mixture\[0\].grades: expected shares from 0 to 1"):
        mixture.documents([{"source": "editing", "count": 1, "grades": {"1": 1.5}}], sources.data_root("nowhere"), 1)
    with pytest.raises(ValueError, match="grades: expected shares that keep some"):
        list(mixture.synthetic("editing", 1, random.Random(5), {"1": 0, "2": 0, "3": 0}))


def test_checks_judge_as_documented():
    assert passes_check("exact", "lake", " lake\n")
    assert not passes_check("exact", "lake", "Lake")
    assert passes_check("answer", "1 + 1 = 2\nAnswer: 2", "two\nAnswer: 2")
    assert not passes_check("answer", "Answer: 2", "2")
    assert passes_check("json", '{"a": "b", "c": "d"}', '{"c":"d","a":"b"}')
    assert not passes_check("json", '{"a": "b"}', '{"a": "b"')
    with pytest.raises(ValueError, match="check: expected"):
        passes_check("vibes", "", "")


def test_packing_keeps_every_token_and_never_predicts_across_documents(documents, tokenizer, rows):
    encoded = list(packing.encode(documents, tokenizer))
    single_rests = sum(len(ids) % 64 == 1 for ids, _ in encoded)  # a one-token rest teaches nothing and is dropped
    assert rows.tokens == sum(len(ids) for ids, _ in encoded) - single_rests
    starts = np.diff(rows.document.astype(int), axis=1, prepend=0) != 0
    assert (rows.weight[starts] == 0).all()
    assert (rows.weight[rows.document == 0] == 0).all()


def test_overlap_index_finds_equal_and_near():
    index = OverlapIndex(["What is the weather in Paris tomorrow morning please", "hello there"])
    assert index.kind("what is the weather in paris, tomorrow morning please?") == "exact"
    assert index.kind("what is the weather in Paris tomorrow morning please thanks") == "near"
    assert index.kind("book a table for two") is None
    assert index.kind("Hello there!") == "exact"


def test_missing_dataset_names_the_file(tmp_path):
    with pytest.raises(sources.DatasetMissing, match="intent-clinc150/data_oos_plus.json"):
        sources.clinc150(tmp_path)


def test_unknown_source_names_the_row(tmp_path):
    with pytest.raises(ValueError, match=r"mixture\[0\].source: expected one of .*, got 'web'"):
        mixture.documents([{"source": "web"}], tmp_path, 1)


def test_no_test_utterance_survives_in_training(data):
    forbidden, met = forbid_test_items(data)
    test = {example.prompt[0][1] for example in sources.clinc150(data, "test")}
    kept = [example for example in sources.clinc150(data, "train") if not forbidden(example)]
    assert not {example.prompt[0][1] for example in kept} & test
    assert 14_000 < len(kept) < 15_250 and met


def test_stories_held_out_are_not_trained_on(data):
    assert len(sources.tinystories(data)) == 900
    assert not set(sources.tinystories(data)) & set(sources.tinystories(data, "held-out"))

"""The experiment with few labels: what its arms read, that the teacher's answers take the labels' place, and how a gain is stated."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import few_labels
from experiments.few_labels import ARMS, answer_chunk, answered, arm_job, gain_over, kept_runs, markdown, read_chunk, report_of, run_arm
from tandem_trainer import pair
from tandem_trainer.data import mixture, packing
from tandem_trainer.job import parse_job
from tandem_trainer.objectives.stored_laws import store_laws
from tandem_trainer.train import load_model
from toys import SHAPE, little_examples, little_rows, job_of, silent, train

LONG = {**SHAPE, "context": 192}  # room for the longest answer that is scored
TEACHING = {"name", "output", "rows", "laws", "objective", "teacher_weight", "checkpoint_every"}


@pytest.fixture(scope="module")
def taught_world(tmp_path_factory, tokenizer):
    """A folder with a tiny teacher that has seen ample text, and rows for the arms of both kinds."""
    folder = tmp_path_factory.mktemp("few")
    little_rows(tokenizer, 300, 1).save(folder / "rows.npz")
    train(job_of(folder, "teacher", shape=LONG, steps=120, batch_rows=16), silent)
    teacher = load_model(folder / "teacher")
    for name, count in (("labelled", 12), ("all", 60)):
        rows = little_rows(tokenizer, count, 2)
        rows.save(folder / f"{name}.npz")
        store_laws(teacher, rows, "top", 8).save(folder / f"{name}-laws.npz")
    return folder, teacher


def tiny(folder: Path, arm: str, seed: int, **changed):
    """The arm's job with the tests' shape and a mark every four steps."""
    job = arm_job(pair.read_recipe(pair.RECIPES / "pair.json"), "small", folder, arm, seed, 16, 4)
    fields = {name: value for name, value in job.to_json().items() if value not in (None, "", [], {})}
    return parse_job({**fields, "shape": LONG, "checkpoint_every": 4, **changed})


def test_the_arms_of_a_seed_differ_in_their_rows_and_laws_alone(tmp_path):
    recipe = pair.read_recipe(pair.RECIPES / "pair.json")
    jobs = {arm: arm_job(recipe, "small", tmp_path, arm, 2, 40, 8).to_json() for arm in ARMS}
    for job in jobs.values():
        assert {name: value for name, value in job.items() if name not in TEACHING} == {name: value for name, value in jobs["plain"].items() if name not in TEACHING}
    assert jobs["plain"]["shape"]["width"] == 256 and jobs["plain"]["initial"] is None
    assert [(job["objective"], Path(job["rows"]).name) for job in jobs.values()] == [
        ("cross_entropy", "labelled.npz"), ("stored_laws", "labelled.npz"), ("cross_entropy", "all.npz"), ("stored_laws", "all.npz")]


def test_the_teachers_answer_takes_the_labels_place(taught_world, tokenizer, tmp_path):
    teacher = taught_world[1]
    documents = [mixture.conversation_document(example) for example in little_examples(30, 5)]
    wrong = [mixture.Document((*document.runs[:-2], ("no label<|im_end|>", document.runs[-2][1]), document.runs[-1])) for document in documents]
    made, same = answered(teacher, tokenizer, documents)
    unlike, none = answered(teacher, tokenizer, wrong)
    assert none == 0 and same > 5
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(made, unlike, strict=True))  # the label is not in what is written
    right = [np.array_equal(ids, own) for (ids, _), (own, _) in zip(made, packing.encode(documents, tokenizer), strict=True)]
    assert sum(right) == same
    answer_chunk(tmp_path, teacher, tokenizer, documents, 3)
    kept, equal = read_chunk(tmp_path / "answers" / "3.npz")
    assert equal == same and all(np.array_equal(a, b) and np.array_equal(u, v) for (a, u), (b, v) in zip(kept, made, strict=True))


def test_a_run_goes_on_from_its_mark_and_scores_the_held_out_items_once(taught_world, tokenizer, monkeypatch):
    folder, _ = taught_world
    items = little_examples(12, 9)
    whole = run_arm(tiny(folder, "taught", 1), tokenizer, items, items)
    assert [row["step"] for row in whole["curve"]] == [4, 8, 12, 16] and whole["heldout"]["tasks"].keys() == {"first", "last"}
    calls = []
    real = few_labels.train

    def cut(job, emit, stop_after):
        calls.append(stop_after)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(job, emit, stop_after=stop_after)

    monkeypatch.setattr(few_labels, "train", cut)
    with pytest.raises(KeyboardInterrupt):
        run_arm(tiny(folder, "taught", 2), tokenizer, items, items)
    assert "taught" not in kept_runs(folder) or "2" not in kept_runs(folder)["taught"]
    run_arm(tiny(folder, "taught", 2), tokenizer, items, items)
    assert calls == [4, 4, 4, 4, 4]
    monkeypatch.setattr(few_labels, "train", None)  # a finished run is not trained again
    assert run_arm(tiny(folder, "taught", 1), tokenizer, items, items) == whole
    monkeypatch.undo()
    train(tiny(folder, "taught", 2, output=str(folder / "unbroken")), silent)
    for ours, theirs in zip(load_model(folder / "runs" / "taught-2").parameters(), load_model(folder / "unbroken").parameters(), strict=True):
        assert torch.equal(ours, theirs)  # marks change nothing


def test_a_gain_is_stated_over_the_controls_end_or_best_mark_whichever_is_better():
    run = lambda end, best: {"heldout": {"mean": end, "ece": 0.1, "tasks": {"sort": end}}, "best": {"step": 4, "mean": best}, "seconds": 3.0, "curve": [{"step": 8, "dev": end}]}  # noqa: E731
    plain, taught = {"1": run(0.2, 0.3), "2": run(0.4, 0.3)}, {"1": run(0.5, 0.5), "2": run(0.5, 0.5)}
    assert gain_over(taught, plain)["gains"] == pytest.approx([20.0, 10.0])
    report = report_of({"plain": plain, "text": {"1": run(0.45, 0.45)}, "taught": taught}, {})
    assert report["lawsOverText"]["gains"] == pytest.approx([5.0])
    text = markdown(json.loads(json.dumps(report)))
    assert "| 50.0, 50.0 | 50.0 | 50.0 | 50.0 | +15.0 ± 63.5 |" in text and "+15.0 (one seed)" in text and "| sort | 30.0 | 45.0 | 50.0 |" in text

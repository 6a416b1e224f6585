"""The recipe of the family: phases in a chain, growth between them."""

import pytest
import torch

from tandem_trainer import pair
from tandem_trainer.job import JobError
from tandem_trainer.train import load_model

SHAPE = {"vocabulary": 384, "width": 32, "layers": 1, "heads": 1, "kv_heads": 1, "ffn_width": 32, "context": 64}
WIDER = SHAPE | {"width": 64, "heads": 2, "kv_heads": 2, "layers": 2}
QUIET = {"steps": 2, "batch_rows": 2, "compile": False, "precision": "f32", "learning_rate": 1e-8, "embedding_learning_rate": 1e-8, "weight_decay": 0.0}
RECIPE = {"seed": 3, "members": {"large": {"shape": SHAPE, "phases": {"first": QUIET, "wide": QUIET | {"shape": WIDER}, "last": QUIET}}}}


def test_phases_start_from_the_one_before_and_keep_the_grown_shape(tmp_path):
    first, wide, last = pair.member_jobs(RECIPE, "large", tmp_path)
    assert (first.initial, wide.initial, last.initial) == (None, str(tmp_path / "large-wide-grown"), wide.output)
    assert [job.shape.width for job in (first, wide, last)] == [32, 64, 64]
    with pytest.raises(JobError, match="member: expected one of"):
        pair.member_jobs(RECIPE, "huge", tmp_path)


def test_a_member_grows_between_its_phases_without_a_change_of_its_law(tmp_path, rows):
    for phase in RECIPE["members"]["large"]["phases"]:
        rows.save(tmp_path / f"rows-{phase}.npz")
    pair.train_member(RECIPE, "large", tmp_path)
    ids = torch.from_numpy(rows.ids[:2].astype("int64"))
    with torch.no_grad():
        before, after = (load_model(tmp_path / f"large-{phase}")(ids) for phase in ("first", "last"))
    assert load_model(tmp_path / "large-last").shape.width == 64
    assert torch.allclose(before, after, atol=1e-4)  # the rates are nothing: only growth could have changed it


def test_a_member_may_start_from_another_one_pruned(tmp_path, rows):
    smaller = {"shape": SHAPE, "prunedFrom": "large-last", "phases": {"first": QUIET}}
    recipe = RECIPE | {"members": RECIPE["members"] | {"nano": smaller}}
    for phase in RECIPE["members"]["large"]["phases"]:
        rows.save(tmp_path / f"rows-{phase}.npz")
    pair.train_member(recipe, "large", tmp_path)
    pair.train_member(recipe, "nano", tmp_path)
    assert pair.member_jobs(recipe, "nano", tmp_path)[0].initial == str(tmp_path / "nano-pruned")
    assert load_model(tmp_path / "nano-first").shape.width == 32
    assert torch.load(tmp_path / "nano-pruned" / "checkpoint.pt")["made"]["from"] == "large-last"


def test_a_member_may_be_the_mean_of_two_phases_from_one_start(tmp_path, rows):
    quick = QUIET | {"learning_rate": 1e-2}
    member = {"shape": SHAPE, "phases": {"start": quick, "one": quick, "other": quick | {"from": "start", "steps": 4}}, "average": {"one": 0.75, "other": 0.25}}
    for phase in member["phases"]:
        rows.save(tmp_path / f"rows-{phase}.npz")
    recipe = {"seed": 3, "members": {"small": member}}
    pair.train_member(recipe, "small", tmp_path)
    assert pair.member_jobs(recipe, "small", tmp_path)[2].initial == str(tmp_path / "small-start")
    one, other, mean = (load_model(folder).embed_tokens.weight for folder in (tmp_path / "small-one", tmp_path / "small-other", pair.member_folder(recipe, "small", tmp_path)))
    assert not torch.equal(one, other)
    assert torch.allclose(mean, 0.75 * one + 0.25 * other)


def test_the_bundled_recipe_names_phases_and_teachers_that_exist(tmp_path):
    recipe = pair.read_recipe(pair.RECIPES / "pair.json")
    for member in recipe["order"]:
        for job in pair.member_jobs(recipe, member, tmp_path):
            assert job.rows.removeprefix(f"{tmp_path}/rows-").removesuffix(".npz") in recipe["phases"]


def test_the_experiment_on_the_bundled_member_compares_the_same_job_with_and_without_its_teacher(tmp_path):
    from experiments.bundled import arm_job, markdown

    recipe = pair.read_recipe(pair.RECIPES / "pair.json")
    plain, taught = (arm_job(recipe, "small", "early", tmp_path, tmp_path / "runs", arm, 2, 40) for arm in ("plain", "taught"))
    assert (plain.teacher, plain.teacher_weight, plain.objective) == (None, 0.0, "cross_entropy")
    assert taught.teacher == str(tmp_path / "large-widen") and taught.teacher_weight > 0
    for name in ("rows", "initial", "seed", "steps", "shape", "batch_rows", "learning_rate", "warmup_steps"):
        assert getattr(plain, name) == getattr(taught, name)
    one = {"mean": 0.5, "ece": 0.1, "seconds": 3.0}
    report = {"objective": "forward_kl", "teacherWeight": 0.7, "arms": {"plain": {"1": one, "2": one}, "taught": {"1": one | {"mean": 0.6}, "2": one}},
              "gain": 5.0, "interval": 63.5, "seeds": [1, 2], "steps": 40, "rows": 1280, "items": 9}
    assert "**+5.0 ± 63.5 points**" in markdown(report) and "60.0, 50.0" in markdown(report)

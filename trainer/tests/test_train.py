"""The loop: learning, exact resume, events, distillation, refusals."""

import json
import signal

import numpy as np
import pytest
import torch

from tandem_trainer.job import JobError, parse_job, read_job
from tandem_trainer.optimizer import Muon
from tandem_trainer.threads import ThreadChoice
from tandem_trainer.train import TrainingFailed, learning_rate_factor, load_model, row_order, train

SHAPE = {"vocabulary": 384, "width": 32, "layers": 2, "heads": 2, "kv_heads": 2, "ffn_width": 64, "context": 64}


@pytest.fixture
def raw(tmp_path, rows):
    rows.save(tmp_path / "rows.npz")
    return {
        "name": "tiny", "shape": SHAPE, "rows": str(tmp_path / "rows.npz"), "output": str(tmp_path / "out"), "steps": 24,
        "batch_rows": 4, "warmup_steps": 2, "checkpoint_every": 8, "seed": 5, "compile": False, "precision": "f32",
    }


def silent(event):
    json.dumps(event)


def test_a_resumed_run_repeats_the_uninterrupted_one(raw, tmp_path):
    whole = train(parse_job(raw), silent)
    killed = {**raw, "output": str(tmp_path / "killed")}
    first = train(parse_job(killed), silent, stop_after=13)  # dies between checkpoints: 8 is the last
    rest = train(parse_job(killed), silent)
    assert len(rest) == 24 - 8
    assert first[:8] + rest == whole
    for ours, theirs in zip(load_model(tmp_path / "out").parameters(), load_model(tmp_path / "killed").parameters()):
        assert torch.equal(ours, theirs)


def test_the_loss_falls(raw):
    losses = train(parse_job({**raw, "steps": 60}), silent)
    assert np.mean(losses[-5:]) < 0.85 * losses[0]


def test_a_student_moves_to_its_teacher(raw, tmp_path):
    train(parse_job({**raw, "steps": 60}), silent)
    taught = {**raw, "output": str(tmp_path / "student"), "teacher": str(tmp_path / "out"), "objective": "forward_kl", "teacher_weight": 1.0, "steps": 40, "seed": 9}
    losses = train(parse_job(taught), silent)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_events_tell_step_loss_speed_and_time_left(raw):
    events = []
    train(parse_job(raw), events.append)
    assert [event["event"] for event in events][0] == "start" and events[-1]["event"] == "end"
    step = next(event for event in events if event["event"] == "step")
    assert set(step) == {"event", "step", "loss", "crossEntropy", "tokensPerSecond", "etaS"}


def test_every_row_once_per_pass():
    drawn = np.concatenate([row_order(10, step, 4, 1) for step in range(5)])
    assert sorted(drawn[:10]) == list(range(10)) and sorted(drawn[10:]) == list(range(10))


def test_learning_rate_rises_stays_and_falls(raw):
    job = parse_job({**raw, "steps": 100, "warmup_steps": 10, "decay_share": 0.5})
    assert learning_rate_factor(0, job) == pytest.approx(0.1)
    assert learning_rate_factor(30, job) == 1.0
    assert learning_rate_factor(75, job) == pytest.approx(0.5)
    assert learning_rate_factor(99, job) == pytest.approx(0.05)


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(raw, tmp_path):
    train(parse_job({**raw, "steps": 8}), silent)
    path = tmp_path / "out" / "checkpoint.pt"
    stored = torch.load(path, weights_only=True)
    stored["model"]["norm.weight"][0] = float("nan")
    torch.save(stored, path)
    before = path.read_bytes()
    with pytest.raises(TrainingFailed, match="loss: expected a number at step 8, got nan"):
        train(parse_job(raw), silent)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: expected a number from 1 to 1e.07, got 0"),
        ({"steps": "many"}, "steps: expected a number .* got 'many'"),
        ({"objective": "vibes"}, "objective: expected one of .* got 'vibes'"),
        ({"objective": "forward_kl"}, "teacher: expected a checkpoint folder"),
        ({"shape": {"wide": 3}}, "shape.wide: expected one of .* got an unknown field"),
        ({"shape": {**SHAPE, "width": 33}}, "shape.width: expected a multiple of 32, got 33"),
        ({"precision": "f8"}, "precision: expected one of .'bf16', 'f32'., got 'f8'"),
        ({"learning": 1}, "learning: expected one of .* got an unknown field"),
        ({"rows": ""}, "rows: expected a non-empty string, got ''"),
    ],
)
def test_bad_jobs_name_the_field(raw, change, message):
    with pytest.raises(JobError, match=message):
        parse_job({**raw, **change})


def test_rows_that_do_not_fit_are_refused(raw):
    with pytest.raises(JobError, match="rows: expected at most 32 tokens a row, got 64"):
        train(parse_job({**raw, "shape": {**SHAPE, "context": 32}}), silent)
    with pytest.raises(JobError, match="rows: expected token ids under 300"):
        train(parse_job({**raw, "shape": {**SHAPE, "vocabulary": 300}}), silent)


def test_bad_job_files_are_named(tmp_path):
    with pytest.raises(JobError, match="found nothing"):
        read_job(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{\n")
    with pytest.raises(JobError, match="syntax error at line 2"):
        read_job(tmp_path / "bad.json")


def test_muon_equals_torch_muon():
    torch.manual_seed(0)
    start = [torch.randn(16, 24), torch.randn(16, 24), torch.randn(32, 8)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    optimizers = (
        Muon(ours, lr=0.01, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for a, b in zip(ours, theirs):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, atol=2e-3)


def test_a_stop_signal_leaves_a_checkpoint_to_go_on_from(raw):
    def stop_at_ten(event):
        if event.get("step") == 10:
            signal.raise_signal(signal.SIGTERM)

    first = train(parse_job(raw), stop_at_ten)
    assert len(first) == 10
    assert len(train(parse_job(raw), silent)) == 24 - 10


def test_the_faster_thread_count_is_kept():
    choice = ThreadChoice(4)
    for _ in range(6):
        choice.end(1.0 if choice.begin() == 1 else 2.0)
    assert choice.begin() == 1

"""Pruning: parts that do nothing go first, what is left keeps the function, and training brings the rest back."""

import pytest
import torch

from tandem_trainer.__main__ import main
from tandem_trainer.errors import JobError
from tandem_trainer.grow import grow
from tandem_trainer.job import parse_job
from tandem_trainer.measure import compare_models
from tandem_trainer.model import Llama, ModelShape
from tandem_trainer.prune import Importance, batches, best, kept_heads, prune, pruned_shape
from tandem_trainer.train import load_model, train

SHAPE = ModelShape(vocabulary=384, width=64, layers=3, heads=4, kv_heads=2, ffn_width=96, context=64)
IDS = torch.randint(384, (2, 20), generator=torch.Generator().manual_seed(1))


def model(shape=SHAPE, seed=1):
    torch.manual_seed(seed)
    return Llama(shape).eval()


def difference(a, b):
    with torch.no_grad():
        return float((torch.log_softmax(a(IDS), -1) - torch.log_softmax(b(IDS), -1)).abs().max())


def test_units_heads_and_blocks_that_do_nothing_go_and_nothing_is_lost(rows):
    whole = model()
    with torch.no_grad():
        whole.layers[1].self_attn.o_proj.weight.zero_()
        whole.layers[1].mlp.down_proj.weight.zero_()
        for layer in whole.layers:
            layer.mlp.down_proj.weight[:, 32:] = 0  # units 32 and up
            layer.mlp.gate_proj.weight[32:] = 0
            layer.self_attn.o_proj.weight[:, 16:32] = 0  # head 1
            layer.self_attn.o_proj.weight[:, 48:] = 0  # head 3
    small, taken = prune(whole, {"layers": 2, "ffn_width": 32}, rows, count=4)
    assert taken == [1]
    assert difference(whole, small) < 1e-4
    scores = Importance(whole, list(batches(rows, 2, 4, 0))).heads
    assert [best(layer, 2).tolist() for layer in scores[[0, 2]]] == [[0, 2], [0, 2]]
    # Dropping heads takes features along, so some of the function goes; the heads kept are the ones that work.
    narrow = ModelShape(vocabulary=384, width=32, layers=3, heads=2, kv_heads=2, ffn_width=96, context=64)
    queries, kv = kept_heads(scores[0], SHAPE, narrow)
    assert (queries.tolist(), kv.tolist()) == ([0, 2], [0, 1])


def test_features_that_are_silent_go_and_the_norms_are_corrected(rows):
    base = model(ModelShape(vocabulary=384, width=32, layers=2, heads=2, kv_heads=2, ffn_width=64, context=64))
    with torch.no_grad():
        base.embed_tokens.weight.normal_(std=0.5)  # far above the epsilon of the norms
    wide = Llama(ModelShape(vocabulary=384, width=64, layers=2, heads=4, kv_heads=4, ffn_width=64, context=64)).eval()
    state = {name: torch.zeros_like(value) for name, value in wide.state_dict().items()}
    for name, value in base.state_dict().items():
        state[name][tuple(slice(0, size) for size in value.shape)] = value
    for name in state:
        if "norm" in name:
            state[name][:32] = base.state_dict()[name] * (32 / 64) ** 0.5  # the mean over twice as many features
    wide.load_state_dict(state)
    assert difference(base, wide) < 1e-3
    small, _ = prune(wide, {"width": 32, "heads": 2, "kv_heads": 2}, rows, count=4)
    assert difference(base, small) < 1e-3


def test_importance_is_the_squared_first_order_change(rows):
    whole, data = model(), list(batches(rows, 2, 2, 3))
    from tandem_trainer.prune import loss_of

    expected = 0.0
    for batch in data:
        whole.zero_grad()
        loss_of(whole, batch).backward()
        layer = whole.layers[2].mlp
        expected += float((layer.up_proj.weight.grad[5] @ layer.up_proj.weight[5] + layer.gate_proj.weight.grad[5] @ layer.gate_proj.weight[5]
                           + layer.down_proj.weight.grad[:, 5] @ layer.down_proj.weight[:, 5]).detach() ** 2)
    assert float(Importance(whole, data).units[2, 5]) == pytest.approx(expected, rel=1e-4)


def test_shapes_that_pruning_cannot_reach_are_refused():
    for wanted, message in (
        ({"layers": 4}, "shape.layers: expected at most 3, got 4"),
        ({"width": 32}, "shape.heads: expected heads of 16 features"),
        ({"context": 32}, "shape.context: expected one of"),
        ({"kv_heads": 1}, "shape.kv_heads: expected at most 2 query heads"),
    ):
        with pytest.raises(JobError, match=message):
            pruned_shape(SHAPE, wanted)


def test_recovery_brings_back_what_pruning_took(tmp_path, rows):
    rows.save(tmp_path / "rows.npz")
    raw = {"name": "t", "shape": SHAPE.to_json(), "rows": str(tmp_path / "rows.npz"), "output": str(tmp_path / "teacher"), "steps": 120, "batch_rows": 8,
           "warmup_steps": 5, "seed": 5, "compile": False, "precision": "f32"}
    train(parse_job(raw), lambda _: None)
    sizes = {"ffn_width": 32, "layers": 2}
    assert main(["prune", "--from", str(tmp_path / "teacher"), "--shape", str(sizes).replace("'", '"'), "--rows", str(tmp_path / "rows.npz"), "--output", str(tmp_path / "pruned"), "--tokens", "4000"]) == 0
    teacher, pruned = load_model(tmp_path / "teacher"), load_model(tmp_path / "pruned")
    recover = {**raw, "shape": pruned.shape.to_json(), "output": str(tmp_path / "recovered"), "initial": str(tmp_path / "pruned"), "teacher": str(tmp_path / "teacher"),
               "objective": "forward_kl", "teacher_weight": 1.0, "steps": 40}
    train(parse_job(recover), lambda _: None)
    scratch = {**recover, "output": str(tmp_path / "scratch")}
    del scratch["initial"]
    train(parse_job(scratch), lambda _: None)
    lost, recovered, from_scratch = (compare_models(teacher, load_model(tmp_path / name), rows, 4000)["meanKl"] for name in ("pruned", "recovered", "scratch"))
    assert recovered < 0.5 * lost and recovered < 0.8 * from_scratch, (lost, recovered, from_scratch)


def test_what_was_grown_can_be_pruned_back(rows):
    small = model(ModelShape(vocabulary=384, width=64, layers=2, heads=4, kv_heads=2, ffn_width=64, context=64))
    large = grow(small, {"layers": 3}, noise=0.0)
    back, taken = prune(large, {"layers": 2}, rows, count=4)
    assert len(taken) == 1 and difference(small, back) < 1e-5

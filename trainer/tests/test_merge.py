"""Merging: by hand, at the ends, and what is refused."""

import math

import pytest
import torch

from tandem_trainer.__main__ import main
from tandem_trainer.errors import JobError
from tandem_trainer.merge import merge, slerp
from tandem_trainer.model import Llama, ModelShape
from tandem_trainer.model_folder import save_model
from tandem_trainer.train import load_model

SHAPE = ModelShape(vocabulary=384, width=32, layers=1, heads=2, kv_heads=2, ffn_width=32, context=32)


def model(seed, shape=SHAPE):
    torch.manual_seed(seed)
    return Llama(shape)


def weight(one):
    return one.layers[0].mlp.up_proj.weight


def test_linear_and_task_by_hand():
    a, b, base = model(1), model(2), model(3)
    assert torch.allclose(weight(merge([a, b], [0.25, 0.75], "linear")), 0.25 * weight(a) + 0.75 * weight(b), atol=1e-6)
    assert torch.allclose(weight(merge([a, b], [0.5, -1.0], "task", base)), weight(base) + 0.5 * (weight(a) - weight(base)) - (weight(b) - weight(base)), atol=1e-6)
    assert torch.allclose(weight(merge([a], [1.0], "task", base)), weight(a), atol=1e-6)


def test_slerp_keeps_angle_and_length():
    x, y = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    third = slerp(x, y, 1 / 3)
    assert torch.allclose(third, (2 + 2 / 3) * torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)]), atol=1e-6)
    assert torch.allclose(slerp(x, y, 0.0), x) and torch.allclose(slerp(x, y, 1.0), y)
    assert torch.allclose(slerp(x, 3 * x, 0.5), 2 * x)
    assert torch.allclose(slerp(torch.zeros(2), y, 0.25), 0.25 * y)
    merged = merge([model(1), model(2)], [0.6, 0.4], "slerp")
    assert torch.allclose(weight(merged), slerp(weight(model(1)), weight(model(2)), 0.4), atol=1e-6)


def test_what_cannot_be_merged_is_refused():
    other = model(2, ModelShape(vocabulary=384, width=32, layers=2, heads=2, kv_heads=2, ffn_width=32, context=32))
    for models, weights, method, base, message in (
        ([model(1), other], [0.5, 0.5], "linear", None, "models: expected one shape"),
        ([model(1)], [1.0], "linear", None, "--weights: expected one a model"),
        ([model(1), model(2)], [0.5, 0.7], "slerp", None, "add up to 1"),
        ([model(1), model(2)], [0.5, 0.5], "task", None, "--base: expected"),
        ([model(1), model(2)], [0.5, 0.5], "linear", model(3), "--base: expected"),
    ):
        with pytest.raises(JobError, match=message):
            merge(models, weights, method, base)


def test_the_command_writes_a_folder(tmp_path):
    for seed in (1, 2):
        save_model(tmp_path / str(seed), model(seed), {})
    assert main(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--weights", "0.5,0.5", "--output", str(tmp_path / "mean")]) == 0
    assert torch.allclose(weight(load_model(tmp_path / "mean")), (weight(model(1)) + weight(model(2))) / 2, atol=1e-6)
    assert main(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--weights", "a,b", "--output", str(tmp_path / "x")]) == 2

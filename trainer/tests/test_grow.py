"""Growth computes the same function, and what was grown can learn; a GGUF comes back as it went."""

import json

import pytest
import torch

from tandem_trainer.__main__ import main
from tandem_trainer.export_gguf import export
from tandem_trainer.grow import divided, grow, largest_difference
from tandem_trainer.import_gguf import read_model, read_tokenizer
from tandem_trainer.job import JobError, parse_job
from tandem_trainer.learned_growth import learn_growth
from tandem_trainer.model import Llama, ModelShape
from tandem_trainer.model_folder import save_model
from tandem_trainer.train import load_model, train
from tandem_trainer.verify import hostile_texts

SHAPE = ModelShape(vocabulary=384, width=64, layers=2, heads=4, kv_heads=2, ffn_width=96, context=64)

GROWTHS = {
    "depth (row 157)": {"layers": 5},
    "feed-forward": {"ffn_width": 160},
    "twice the width, twice the heads (row 158)": {"width": 128, "heads": 8, "kv_heads": 4},
    "a width that is no multiple": {"width": 96, "heads": 6, "kv_heads": 2},
    "wider heads": {"width": 128},
    "thrice wider heads, a shared key head each two": {"width": 192},
    "all of it": {"width": 160, "heads": 10, "kv_heads": 5, "layers": 3, "ffn_width": 256, "context": 96},
}


def small_model(shape=SHAPE, seed=1):
    """A model whose norms are not all ones, so that no scale can hide."""
    torch.manual_seed(seed)
    model = Llama(shape).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
        model.embed_tokens.weight.normal_(std=0.1)
    return model


@pytest.mark.parametrize("wanted", GROWTHS.values(), ids=GROWTHS.keys())
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_growth_keeps_the_logits(wanted, noise):
    small = small_model()
    large = grow(small, wanted, noise, seed=3)
    assert large.shape.to_json() == {**SHAPE.to_json(), **wanted}
    assert large.parameter_count() > small.parameter_count() or set(wanted) == {"context"}
    assert largest_difference(small, large) < 1e-5


def test_growth_is_exact_also_where_the_epsilon_of_the_norm_matters():
    small = small_model()
    with torch.no_grad():
        small.embed_tokens.weight.mul_(1e-3)  # mean squares near the epsilon of 1e-5
    for wanted in ({"width": 128, "heads": 8, "kv_heads": 4}, {"width": 96, "heads": 6}):
        large = grow(small, wanted)
        ids = torch.arange(40)[None]
        with torch.no_grad():
            a, b = small(ids), large(ids)
        assert float((a - b).abs().max() / a.abs().max()) < 1e-5


def test_copies_add_up_to_the_column():
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(3, 4, dtype=torch.float64)
    sources = torch.arange(10) % 4
    for noise in (0.0, 0.5):
        spread = divided(columns, sources, noise, generator)
        assert torch.allclose(torch.zeros(3, 4, dtype=torch.float64).index_add_(1, sources, spread), columns)


def test_what_cannot_be_kept_is_refused():
    small = small_model()
    for wanted, message in (
        ({"layers": 1}, "shape.layers: expected at least 2, got 1"),
        ({"vocabulary": 500}, "shape.vocabulary: expected one of"),
        ({"width": 96}, "shape.heads: expected a head width that is a multiple of 16"),
        ({"kv_heads": 1}, "shape.kv_heads: expected at least 2"),
        ({"width": 100}, "shape.width: expected a multiple of 32"),
    ):
        with pytest.raises(JobError, match=message):
            grow(small, wanted)


def test_noise_lets_copies_part_and_without_it_they_stay():
    small = small_model()
    ids = torch.randint(384, (4, 32), generator=torch.Generator().manual_seed(2))

    def parted(noise):
        model = grow(small, {"ffn_width": 192}, noise).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
            optimizer.step()
        up = model.layers[0].mlp.up_proj.weight
        return float((up[:96] - up[96:]).detach().abs().max())

    assert parted(0.0) < 1e-6 < 1e-5 < parted(0.1)


def test_a_grown_model_is_where_training_starts(tmp_path, rows):
    rows.save(tmp_path / "rows.npz")
    shape = {"vocabulary": 384, "width": 32, "layers": 2, "heads": 2, "kv_heads": 2, "ffn_width": 64, "context": 64}
    raw = {"name": "tiny", "shape": shape, "rows": str(tmp_path / "rows.npz"), "output": str(tmp_path / "small"), "steps": 60, "batch_rows": 4,
           "warmup_steps": 2, "seed": 5, "compile": False, "precision": "f32"}
    small = train(parse_job(raw), lambda _: None)
    sizes = {"width": 64, "layers": 3, "heads": 4, "kv_heads": 4, "ffn_width": 128}
    assert main(["grow", "--from", str(tmp_path / "small"), "--shape", json.dumps(sizes), "--output", str(tmp_path / "grown")]) == 0
    large = {**raw, "shape": {**shape, **sizes}, "steps": 20, "output": str(tmp_path / "large")}
    scratch = train(parse_job({**large, "output": str(tmp_path / "scratch")}), lambda _: None)
    grown = train(parse_job({**large, "initial": str(tmp_path / "grown")}), lambda _: None)
    assert abs(grown[0] - small[-1]) < 0.5 and grown[0] < scratch[0] - 0.5
    assert sum(grown[-5:]) < sum(scratch[-5:])


@pytest.mark.parametrize("quantization, tolerance", [("f32", 0.0), ("f16", 1e-3), ("q8_0", 2e-2)])
def test_a_gguf_comes_back_as_a_checkpoint(tokenizer, tmp_path, quantization, tolerance):
    model = small_model()
    export(model, tokenizer, tmp_path / "m.gguf", quantization, "tiny")
    assert main(["import-gguf", str(tmp_path / "m.gguf"), "--output", str(tmp_path / "back")]) == 0
    back = load_model(tmp_path / "back")
    assert back.shape == model.shape
    for ours, theirs in zip(model.parameters(), back.parameters(), strict=True):
        assert float((ours - theirs).detach().abs().max()) <= tolerance
    again = read_tokenizer(tmp_path / "m.gguf")
    for text in hostile_texts(200):
        assert again.encode(text).ids == tokenizer.encode(text).ids


def test_a_foreign_file_is_named(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"no gguf at all, but long enough to look at")
    with pytest.raises(JobError, match="gguf: expected a GGUF"):
        read_model(tmp_path / "x.gguf")
    with pytest.raises(JobError, match="gguf: expected a file"):
        read_model(tmp_path / "y.gguf")


def test_a_model_folder_needs_no_run(tmp_path):
    model = small_model()
    save_model(tmp_path, model, {"tool": "test"})
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), load_model(tmp_path).parameters(), strict=True))


def test_learned_growth_starts_at_the_same_function_and_improves(rows):
    small = small_model()
    for wanted in ({"layers": 4, "ffn_width": 160}, {"width": 96, "heads": 6}, {"width": 128}):
        start, _ = learn_growth(small, wanted, rows, 0)
        assert largest_difference(small, start) < 1e-4
    _, losses = learn_growth(small, {"width": 128, "heads": 8, "kv_heads": 4, "layers": 3}, rows, 40, learning_rate=3e-3)
    assert sum(losses[-5:]) / 5 < losses[0] - 0.3

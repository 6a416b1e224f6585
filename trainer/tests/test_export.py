"""Tokenizer, chat template and GGUF file."""

import os
from pathlib import Path

import gguf
import jinja2
import numpy as np
import pytest
import torch

from tandem_trainer import verify
from tandem_trainer.adapter_files import export_adapter
from tandem_trainer.adapters import attach, layers_of, merge_adapters
from tandem_trainer.bundle import rounded
from tandem_trainer.evaluate import expected_calibration_error
from tandem_trainer.export_gguf import export, gguf_name, interleave
from tandem_trainer.model import Llama, ModelShape
from tandem_trainer.tokenizer import CHAT_TEMPLATE, SPECIALS, chat_pieces, chat_prompt, load_tokenizer, train_tokenizer

SHAPE = ModelShape(vocabulary=384, width=64, layers=2, heads=2, kv_heads=1, ffn_width=96, context=64)
SHIPPED = Path(__file__).resolve().parent.parent / "recipes" / "pair.tokenizer.json"


def test_specials_come_first_and_text_round_trips(tokenizer):
    assert [tokenizer.token_to_id(special) for special in SPECIALS] == [0, 1, 2]
    for text in verify.hostile_texts(300):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert [tokenizer.decode([i]) for i in tokenizer.encode("127").ids] == ["1", "2", "7"]


def test_the_template_renders_what_training_used():
    messages = (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi!"), ("user", "Bye"))
    rendered = jinja2.Template(CHAT_TEMPLATE).render(messages=[{"role": r, "content": c} for r, c in messages], add_generation_prompt=True)
    assert rendered == chat_prompt(messages)
    assert "".join(text for text, _ in chat_pieces(messages)) + "<|im_start|>assistant\n" == rendered


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match="pieces: expected 4096, the texts give only"):
        train_tokenizer(["abc"], 4096)


def test_interleaving_pairs_the_halves():
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert interleave(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("quantization", ["f32", "f16", "q8_0"])
def test_the_file_holds_every_tensor(tokenizer, tmp_path, quantization):
    torch.manual_seed(1)
    model = Llama(SHAPE)
    path = tmp_path / "model.gguf"
    size = export(model, tokenizer, path, quantization, "tiny")
    reader = gguf.GGUFReader(path)
    assert size == path.stat().st_size
    assert {tensor.name for tensor in reader.tensors} == {gguf_name(name) for name, _ in model.named_parameters()}
    assert "output.weight" not in {tensor.name for tensor in reader.tensors}
    stored = next(tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_down.weight")
    values = gguf.quants.dequantize(stored.data, stored.tensor_type).reshape(64, 96)
    assert np.allclose(values, rounded(model, quantization).layers[1].mlp.down_proj.weight.detach().numpy(), atol=1e-7)
    assert np.abs(values - model.layers[1].mlp.down_proj.weight.detach().numpy()).max() < 0.01


def test_wrong_arguments_are_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="quantization: expected one of"):
        export(Llama(SHAPE), tokenizer, tmp_path / "m.gguf", "q2", "tiny")
    with pytest.raises(ValueError, match="tokenizer: expected 512 pieces, got 384"):
        export(Llama(ModelShape(vocabulary=512, width=32, layers=1, heads=1, kv_heads=1, ffn_width=32)), tokenizer, tmp_path / "m.gguf", "f32", "tiny")


def test_calibration_error_by_hand():
    # Bin 0.9: two answers at 0.95, one right: |1 - 1.9| = 0.9. Bin 0.2: one at 0.25, wrong: 0.25.
    assert expected_calibration_error([0.95, 0.95, 0.25], [True, False, False]) == pytest.approx((0.9 + 0.25) / 3)


def test_a_missing_engine_is_named(tmp_path):
    with pytest.raises(verify.EngineFailed, match="--server: expected"), verify.engine(tmp_path / "llama-server", "x.gguf"):
        pass


def test_the_engine_agrees_with_torch(tmp_path):
    server = os.environ.get("TANDEM_LLAMA_SERVER")
    if not server:
        pytest.skip("needs llama.cpp's llama-server: set TANDEM_LLAMA_SERVER")
    torch.manual_seed(2)
    tokenizer = load_tokenizer(SHIPPED)
    model = Llama(ModelShape(width=64, layers=2, heads=2, kv_heads=2, ffn_width=96)).eval()
    export(model, tokenizer, tmp_path / "m.gguf", "f32", "tiny")
    with verify.engine(server, tmp_path / "m.gguf") as base:
        assert verify.token_ids(base, tokenizer, verify.hostile_texts(200)) == []
        report = verify.compare_laws(base, model, [tokenizer.encode("Once upon a time, there was a small robot.").ids], 8)
    assert report["maxAbsLogprobLikely"] < verify.F32_LIMIT


@pytest.fixture
def tandem():
    try:
        return verify.tandem_command()
    except verify.EngineFailed as missing:
        pytest.skip(str(missing))


def test_tandems_own_engine_agrees_with_torch_on_a_thousand_positions(tmp_path, tandem):
    torch.manual_seed(2)
    tokenizer = load_tokenizer(SHIPPED)
    model = Llama(ModelShape(width=64, layers=2, heads=2, kv_heads=1, ffn_width=96)).eval()
    export(model, tokenizer, tmp_path / "m.gguf", "f32", "tiny")
    sequences = [torch.randint(4096, (210,), generator=torch.Generator().manual_seed(n)).tolist() for n in range(5)]
    report = verify.compare_with_tandem(tmp_path / "m.gguf", model, sequences, 1000)
    assert report["positions"] == 1000 and report["maxAbsLogprob"] < verify.F32_LIMIT and report["sameFirst"] == 1.0
    assert verify.different_tokens(tmp_path / "m.gguf", tokenizer, verify.hostile_texts(200)) == []


def test_an_adapter_in_tandems_engine_has_the_law_of_the_merged_model(tmp_path, tandem):
    torch.manual_seed(2)
    model = Llama(ModelShape(width=64, layers=2, heads=2, kv_heads=1, ffn_width=96)).eval()
    export(model, load_tokenizer(SHIPPED), tmp_path / "m.gguf", "f32", "tiny")
    settings = {"rank": 4, "alpha": 8}
    attach(model, settings, seed=1)
    with torch.no_grad():
        for layer in layers_of(model).values():
            layer.lora_b.normal_(std=0.1)
    export_adapter(model, settings, tmp_path / "a.gguf", "tiny")
    sequences = [torch.randint(4096, (60,), generator=torch.Generator().manual_seed(3)).tolist()]
    merged = merge_adapters(model)
    assert verify.compare_with_tandem(tmp_path / "m.gguf", merged, sequences, 50, tmp_path / "a.gguf")["maxAbsLogprob"] < verify.F32_LIMIT
    assert verify.compare_with_tandem(tmp_path / "m.gguf", merged, sequences, 50)["maxAbsLogprob"] > 0.1
    with pytest.raises(verify.EngineFailed, match="not a GGUF adapter"):
        verify.compare_with_tandem(tmp_path / "m.gguf", merged, sequences, 5, tmp_path / "m.gguf")

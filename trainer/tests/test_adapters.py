"""Adapters: the law of the merged matrices, frozen bases, exact resume, files."""

import json

import gguf
import numpy as np
import pytest
import torch

from tandem_trainer.__main__ import main
from tandem_trainer.adapter_files import export_adapter, export_peft, tensor_name
from tandem_trainer.adapters import Held, attach, layers_of, load_adapted, merge_adapters
from tandem_trainer.errors import JobError
from tandem_trainer.export_gguf import interleave
from tandem_trainer.job import parse_job
from tandem_trainer.model import Llama, ModelShape
from tandem_trainer.model_folder import save_model
from tandem_trainer.train import load_model, train

SHAPE = ModelShape(vocabulary=384, width=64, layers=2, heads=4, kv_heads=2, ffn_width=96, context=64)
IDS = torch.randint(384, (2, 20), generator=torch.Generator().manual_seed(1))


def base_model(seed=1):
    torch.manual_seed(seed)
    return Llama(SHAPE).eval()


def adapted(base="f32", **settings):
    """A model with adapters that do something."""
    model = attach(base_model(), {"rank": 4, "alpha": 8, "base": base, **settings}, seed=3)
    with torch.no_grad():
        for layer in layers_of(model).values():
            layer.lora_b.normal_(std=0.1)
    return model.eval()


def difference(a, b):
    with torch.no_grad():
        return float((torch.log_softmax(a(IDS), -1) - torch.log_softmax(b(IDS), -1)).abs().max())


@pytest.fixture
def raw(tmp_path, rows):
    rows.save(tmp_path / "rows.npz")
    save_model(tmp_path / "base", base_model(), {})
    return {"name": "tuned", "initial": str(tmp_path / "base"), "adapter": {"rank": 4, "alpha": 8}, "rows": str(tmp_path / "rows.npz"), "output": str(tmp_path / "out"),
            "steps": 24, "batch_rows": 4, "warmup_steps": 2, "checkpoint_every": 8, "seed": 5, "compile": False, "precision": "f32", "learning_rate": 0.01, "embedding_learning_rate": 0.01}


def test_row_276_a_new_adapter_changes_nothing_and_its_law_is_that_of_the_merged_matrices():
    assert difference(attach(base_model(), {}), base_model()) == 0.0
    model = adapted()
    assert len(layers_of(model)) == 14
    assert difference(model, base_model()) > 0.01
    merged = merge_adapters(model)
    assert set(merged.state_dict()) == set(base_model().state_dict())
    assert difference(model, merged) < 1e-5
    layer = model.layers[1].mlp.up_proj
    by_hand = base_model().layers[1].mlp.up_proj.weight + 2.0 * layer.lora_b @ layer.lora_a
    assert torch.allclose(merged.layers[1].mlp.up_proj.weight, by_hand, atol=1e-6)


@pytest.mark.parametrize("base, bytes_per_value", [("q8_0", 34 / 32), ("q4_0", 18 / 32)])
def test_a_held_matrix_is_what_the_format_says_at_its_size(base, bytes_per_value):
    weight = torch.randn(24, 64, generator=torch.Generator().manual_seed(2))
    held = Held(weight, base)
    kind = gguf.GGMLQuantizationType[base.upper()]
    expected = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)
    assert np.array_equal(held.weight.numpy(), expected)
    assert sum(buffer.numel() * buffer.element_size() for buffer in held.buffers()) == weight.numel() * bytes_per_value


@pytest.mark.parametrize("base", ["f32", "q8_0", "q4_0"])
def test_only_the_adapter_learns(base):
    model = attach(base_model(), {"base": base, "targets": ["q_proj", "down_proj"]})
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(learning) == 8 and all(".lora_" in name for name in learning)
    assert set(model.state_dict()) == set(learning)
    model(IDS).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.requires_grad)
    assert float(layers_of(model)["layers.0.mlp.down_proj"].lora_b.grad.abs().max()) > 0


@pytest.mark.parametrize("base", ["f32", "q4_0"])
def test_a_job_tunes_an_adapter_resumes_exactly_and_stores_little(raw, tmp_path, base):
    raw["adapter"]["base"] = base
    whole = train(parse_job(raw), lambda _: None)
    assert np.mean(whole[-5:]) < whole[0] - 0.1
    killed = {**raw, "output": str(tmp_path / "killed")}
    first = train(parse_job(killed), lambda _: None, stop_after=13)
    assert first[:8] + train(parse_job(killed), lambda _: None) == whole
    stored = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert all(".lora_" in name for name in stored["model"])
    model, settings = load_adapted(tmp_path / "out")
    assert settings["alpha"] == 8 and difference(model, load_model(tmp_path / "out")) < 1e-4
    assert difference(model, load_adapted(tmp_path / "killed")[0]) == 0.0


def test_targets_that_no_layer_has_are_refused(tmp_path):
    with pytest.raises(JobError, match="adapter.targets: expected layers named"):
        attach(torch.nn.Sequential(torch.nn.Linear(4, 4)), {})
    save_model(tmp_path, base_model(), {})
    with pytest.raises(JobError, match="expected a run with an adapter"):
        load_adapted(tmp_path)


def test_the_gguf_holds_the_update_in_the_engines_order(tmp_path):
    model = adapted()
    export_adapter(model, {"rank": 4, "alpha": 8}, tmp_path / "a.gguf", "tiny")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    text = lambda key: reader.get_field(key).contents()  # noqa: E731
    assert [text("general.type"), text("general.architecture"), text("adapter.type"), text("adapter.lora.alpha")] == ["adapter", "llama", "lora", 8.0]
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 28 and tensors["blk.1.ffn_down.weight.lora_a"].shape == (4, 96)
    layer = model.layers[0].self_attn.k_proj
    update = tensors["blk.0.attn_k.weight.lora_b"] @ tensors["blk.0.attn_k.weight.lora_a"]
    assert np.allclose(update, interleave((layer.lora_b @ layer.lora_a).detach().numpy(), 2), atol=1e-6)
    assert tensor_name("net.model.layers.11.self_attn.o_proj") == "blk.11.attn_output.weight"


def test_the_commands_export_and_merge(raw, tmp_path, capsys):
    train(parse_job({**raw, "steps": 8}), lambda _: None)
    assert main(["export-adapter", "--checkpoint", str(tmp_path / "out"), "--out", str(tmp_path / "a.gguf")]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == 14
    assert main(["merge-adapter", "--checkpoint", str(tmp_path / "out"), "--output", str(tmp_path / "merged")]) == 0
    assert difference(load_adapted(tmp_path / "out")[0], load_model(tmp_path / "merged")) < 1e-5
    assert main(["export-adapter", "--checkpoint", str(tmp_path / "base"), "--out", str(tmp_path / "b.gguf")]) == 2


def test_row_276_peft_gives_the_same_law(tmp_path):
    peft = pytest.importorskip("peft", reason="needs the packages peft and transformers")
    transformers = pytest.importorskip("transformers")
    from tandem_trainer.hf import HfCausal

    torch.manual_seed(1)
    config = transformers.LlamaConfig(vocab_size=384, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96, max_position_embeddings=64)
    net = transformers.LlamaForCausalLM(config).eval()
    net.save_pretrained(tmp_path / "base")
    model = attach(HfCausal(net), {"rank": 4, "alpha": 8}, seed=3).eval()
    with torch.no_grad():
        for layer in layers_of(model).values():
            layer.lora_b.normal_(std=0.1)
    export_peft(model, {"rank": 4, "alpha": 8, "targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}, tmp_path / "peft", str(tmp_path / "base"))
    theirs = peft.PeftModel.from_pretrained(transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base"), str(tmp_path / "peft")).eval()
    with torch.no_grad():
        assert torch.allclose(model(IDS), theirs(input_ids=IDS).logits, atol=1e-5)

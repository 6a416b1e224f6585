"""Hugging Face models as student and teacher, and several processes through accelerate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tandem_trainer.generate import greedy
from tandem_trainer.model import Llama, ModelShape, document_mask
from tandem_trainer.train import load_model, train
from toys import SHAPE, job_of, little_rows, opened, silent, term_of, trained

transformers = pytest.importorskip("transformers")


def tiny_hf(folder: Path, tokenizer, seed: int = 1, **changes) -> Path:
    """A randomly initialised little Llama in the Hugging Face format, with its tokenizer."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 384, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 96,
             "tie_word_embeddings": True, "rms_norm_eps": 1e-5}
    config = transformers.LlamaConfig(**{**sizes, **changes})
    transformers.LlamaForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory, tokenizer):
    """Rows, a student and a wider teacher, both in the Hugging Face format."""
    folder = tmp_path_factory.mktemp("hf")
    little_rows(tokenizer, 120, 1).save(folder / "rows.npz")
    tiny_hf(folder / "student", tokenizer)
    tiny_hf(folder / "wide", tokenizer, 2, hidden_size=64, num_attention_heads=4)
    return folder


def test_it_gives_the_laws_of_our_own_model_with_the_same_weights(place):
    theirs = load_model(place / "student")
    ours = Llama(ModelShape(**SHAPE)).eval()
    state = {name.removeprefix("net.model."): value for name, value in theirs.state_dict().items() if "lm_head" not in name and "inv_freq" not in name}
    ours.load_state_dict(state)
    torch.manual_seed(3)
    ids, documents = torch.randint(0, 384, (2, 20)), torch.tensor([[1] * 8 + [2] * 12, [1] * 20])
    mask = document_mask(documents)
    with torch.no_grad():
        assert torch.allclose(theirs(ids, mask), ours(ids, mask), atol=1e-4)
        a, b = theirs.views(ids, mask, True), ours.views(ids, mask, True)
    assert len(a.hidden) == len(b.hidden) == 3
    for one, other in zip(a.hidden, b.hidden):
        assert torch.allclose(one, other, atol=1e-4)
    for layer in range(2):
        assert torch.allclose(a.attention(layer), b.attention(layer), atol=1e-4)
        assert torch.allclose(a.values[layer], b.values[layer], atol=1e-4)
    prompts = [[5, 9, 11], [7, 8, 9, 10, 11, 12, 13], [2]]
    assert [one.ids for one in greedy(theirs, prompts, 8, set())] == [one.ids for one in greedy(ours, prompts, 8, set())]


@pytest.mark.parametrize("objective", ["forward_kl", "feature_matching", "attention_relations", "gkd"])
def test_hf_folders_teach_and_learn(place, objective):
    fields = {"objective": objective, "teacher_weight": 1.0, "initial": str(place / "student"), "shape": None, "teacher": str(place / "wide"), "optimizer": "adamw", "steps": 15}
    fields |= {"objective_options": {"tokens_max": 4}} if objective == "gkd" else {}
    job = job_of(place, objective, **{key: value for key, value in fields.items() if value is not None} | {"shape": None})
    run = opened(job)
    before = term_of(run)
    assert term_of(trained(run)) < before


def test_an_hf_student_of_our_own_teacher_is_checked_resumed_and_written_in_its_format(place, tokenizer):
    tokenizer.save(str(place / "tokenizer.json"))
    train(job_of(place, "own", steps=10, tokenizer=str(place / "tokenizer.json")), silent)
    fields = {"objective": "forward_kl", "teacher_weight": 0.7, "initial": str(place / "student"), "shape": None, "teacher": str(place / "own"), "steps": 12, "checkpoint_every": 5, "optimizer": "adamw"}
    whole = train(job_of(place, "whole", **fields), silent, check=True)
    first = train(job_of(place, "cut", **fields), silent, stop_after=8)
    rest = train(job_of(place, "cut", **fields), silent)
    assert first[:5] + rest == whole
    assert json.loads((place / "whole" / "receipt.json").read_text())["tokenizers"]["teachers"][0]["relation"] == "same pieces"
    again = transformers.AutoModelForCausalLM.from_pretrained(str(place / "whole" / "model"))
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        assert torch.allclose(again(ids).logits, load_model(place / "whole")(ids), atol=1e-5)
    assert (place / "whole" / "model" / "tokenizer.json").is_file()


def test_two_processes_train_as_one_does(place):
    pytest.importorskip("accelerate")
    fields = {"steps": 6, "batch_rows": 8, "learning_rate": 1e-3}
    one = job_of(place, "one", **fields)
    train(one, silent)
    two = job_of(place, "two", **fields)
    (place / "two.json").write_text(json.dumps(two.to_json()))
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
         "--main_process_port", "0", "-m", "tandem_trainer", "train", str(place / "two.json"), "--skip-checks"],
        cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events].count("start") == 1  # one process speaks
    # The mean of two halves' means is not exactly the mean of the whole, as answers differ in length.
    for a, b in zip(load_model(place / "one").parameters(), load_model(place / "two").parameters()):
        assert (a - b).norm() < 0.05 * a.norm()

"""Checks before a run: pieces, what a teacher gives, memory and disk, signal, the receipt, and how bad jobs end."""

import errno
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from tandem_trainer.__main__ import main
from tandem_trainer.errors import CATALOGUE, JobError, TrainingFailed
from tandem_trainer.job import parse_job
from tandem_trainer.objectives.endpoint import Endpoint, messages_of
from tandem_trainer.preflight import resources
from tandem_trainer.preflight.probe import probe_endpoint, probe_model, usable
from tandem_trainer.preflight.resources import check_resources, estimate
from tandem_trainer.preflight.signal import signal_check
from tandem_trainer.preflight.tokenizer_check import SAME_PIECES, SAME_TEXT, TEXT_ONLY, fingerprint, loss_for, relation
from tandem_trainer.tokenizer import train_tokenizer
from tandem_trainer.train import load_model, train
from toys import SHAPE, WIDE, job_of, little_rows, opened, silent


class Server(BaseHTTPRequestHandler):
    """A little OpenAI-compatible server. ``mode`` is what it gives."""

    mode = "top-k"
    asked = 0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).asked += 1
        if self.mode == "broken" or self.mode == "text" and "logprobs" in body:
            self.send_error(400)
            return
        text = "" if self.mode == "silent" else "red"
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if self.mode in ("top-k", "sampled-token") and body.get("logprobs"):
            top = [{"token": "red", "logprob": -0.1}, {"token": "sun", "logprob": -2.5}] if self.mode == "top-k" else []
            choice["logprobs"] = {"content": [{"token": "red", "logprob": -0.1, "top_logprobs": top[: body.get("top_logprobs", 0)]}]}
        payload = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The address of a running server; set ``Server.mode`` first."""
    running = HTTPServer(("127.0.0.1", 0), Server)
    Server.asked = 0
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/v1#tiny"
    running.shutdown()
    running.server_close()


@pytest.fixture
def folder(tmp_path, tokenizer):
    """Rows and the tokenizer."""
    little_rows(tokenizer, 60, 1).save(tmp_path / "rows.npz")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def taught(folder):
    """The fields of a small distillation, its teacher trained for a moment."""
    train(job_of(folder, "teacher", shape=WIDE, steps=6, tokenizer=str(folder / "tokenizer.json")), silent)
    return {"teacher": str(folder / "teacher"), "objective": "forward_kl", "teacher_weight": 0.7, "tokenizer": str(folder / "tokenizer.json"), "steps": 6}


def write(folder, job):
    """The job as a file."""
    (folder / "job.json").write_text(json.dumps({**job.to_json(), "teachers": list(job.teachers)}))
    return str(folder / "job.json")


# -- pieces ----------------------------------------------------------------------------------------------------------


def test_pieces_are_compared_by_content_not_by_size(tokenizer, documents):
    texts = ["".join(text for text, _ in document.runs) for document in documents]
    other = train_tokenizer(texts[40:], 384)
    assert other.get_vocab_size() == tokenizer.get_vocab_size()
    assert relation(tokenizer, tokenizer, False) == SAME_PIECES and fingerprint(tokenizer) == fingerprint(tokenizer)
    assert relation(tokenizer, other, False) == SAME_TEXT
    assert relation(tokenizer, None, True) == TEXT_ONLY
    assert [loss_for(kind) for kind in (SAME_PIECES, SAME_TEXT, TEXT_ONLY)] == ["forward_kl", "span_merged", "teacher_text"]
    with pytest.raises(JobError, match="teacher_tokenizer: expected a tokenizer.json") as unknown:
        relation(tokenizer, None, False)
    assert unknown.value.code == "tokenizer_unstated"


def test_a_job_with_other_pieces_is_refused_and_told_what_to_use(folder, taught, documents):
    other = train_tokenizer(["".join(text for text, _ in document.runs) for document in documents[40:]], 384)
    other.save(str(folder / "other.json"))
    with pytest.raises(JobError, match="other pieces .*'span_merged'.*got 'forward_kl'") as refused:
        train(job_of(folder, "mixed", **taught, teacher_tokenizer=str(folder / "other.json")), silent, check=True)
    assert refused.value.code == "tokenizer_mismatch" and not (folder / "mixed").exists()
    (folder / "teacher" / "tokenizer.json").unlink()
    with pytest.raises(JobError, match="teacher_tokenizer") as unknown:
        train(job_of(folder, "unstated", **taught), silent, check=True)
    assert unknown.value.code == "tokenizer_unstated"


def test_tables_of_two_sizes_are_refused_unless_the_pieces_are_known_to_be_the_same(folder, taught):
    wider = {**taught, "shape": {**SHAPE, "vocabulary": 416}}  # a table padded beyond its 384 pieces
    losses = train(job_of(folder, "padded", **wider), silent)
    assert len(losses) == 6
    wider["tokenizer"] = None
    with pytest.raises(JobError, match="teacher: expected a vocabulary of 416, got 384") as refused:
        train(job_of(folder, "padded-unknown", **wider), silent)
    assert refused.value.code == "tokenizer_mismatch"


# -- what a teacher gives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "gives", "alternatives"), [("top-k", "top-k", 2), ("sampled-token", "sampled-token", 0), ("text", "text", 0)])
def test_a_server_is_asked_what_it_gives(server, mode, gives, alternatives):
    Server.mode = mode
    found = probe_endpoint(server)
    assert (found["gives"], found["alternatives"]) == (gives, alternatives) and found["latencyMs"] > 0


@pytest.mark.parametrize("mode", ["silent", "broken"])
def test_a_server_that_answers_nothing_is_an_error(server, mode):
    Server.mode = mode
    with pytest.raises(JobError, match="teacher: expected") as silence:
        probe_endpoint(server)
    assert silence.value.code == "teacher_silent"


def test_a_model_in_the_process_gives_everything_unless_it_is_broken(folder, taught):
    model = load_model(folder / "teacher")
    assert probe_model("teacher", model)["gives"] == "states"
    model.norm.weight.data[0] = float("nan")
    with pytest.raises(JobError, match="expected finite logits") as silence:
        probe_model("teacher", model)
    assert silence.value.code == "teacher_silent"


def test_an_address_teaches_by_text_only(folder, taught, server):
    Server.mode = "top-k"
    with pytest.raises(JobError, match="objective: expected one that can learn from text only .*'teacher_text'"):
        train(job_of(folder, "address", **{**taught, "teacher": server}), silent, check=True)
    assert usable(job_of(folder, "x", **taught), {"gives": "full", "teacher": "t"}) is None
    with pytest.raises(JobError, match="expected one that gives full .* got text") as little:
        usable(job_of(folder, "x", **taught), {"gives": "text", "teacher": "t"})
    assert little.value.code == "teacher_unusable"
    fields = {**taught, "objective": "teacher_text", "teacher": server, "teacher_weight": 1.0, "objective_options": {"tokens_max": 6}}
    train(job_of(folder, "text", **fields), silent, check=True)
    receipt = json.loads((folder / "text" / "receipt.json").read_text())
    assert receipt["teachers"][0]["gives"] == "top-k" and receipt["tokenizers"]["teachers"][0]["relation"] == TEXT_ONLY
    asked = Server.asked
    assert asked > 50  # every prompt once, and the probe
    train(job_of(folder, "text", **{**fields, "steps": 7}), silent)
    assert Server.asked == asked  # a resumed run reads what was written


def test_a_silent_server_ends_the_job_with_its_code(folder, taught, server, capsys):
    Server.mode = "silent"
    fields = {**taught, "objective": "teacher_text", "teacher": server, "teacher_weight": 1.0}
    assert main(["train", write(folder, job_of(folder, "mute", **fields))]) == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[-1]["event"] == "error" and told[-1]["code"] == "teacher_silent" and told[-1]["remedy"] == CATALOGUE["teacher_silent"][1]


def test_chat_prompts_become_messages():
    assert messages_of("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n") == [{"role": "user", "content": "Hi"}]
    assert messages_of("plain text") is None
    with pytest.raises(JobError, match="http://host/v1#model"):
        Endpoint("http://127.0.0.1:1/v1")


# -- memory and disk -------------------------------------------------------------------------------------------------


def test_weights_and_states_are_counted_exactly(folder, taught):
    job = job_of(folder, "sum", **taught)
    found = estimate(job)
    run = opened(job)
    run.step(0)
    states = sum(value.numel() * value.element_size() for optimizer in run.optimizers for one in optimizer.state.values() for name, value in one.items() if name != "step")
    assert found["parts"]["studentWeights"] == sum(p.numel() * 4 for p in run.session.student.parameters()) == found["parts"]["gradients"]
    assert found["parts"]["optimizer"] == states
    assert found["parts"]["teacherWeights"] == sum(p.numel() * 4 for p in run.session.teachers[0].parameters())
    stored = job_of(folder, "sum2", **{**taught, "steps": 2})
    train(stored, silent)
    assert (folder / "sum2" / "checkpoint.pt").stat().st_size == pytest.approx(found["checkpointBytes"], rel=0.2)


def test_an_adapter_needs_less_and_is_counted_exactly(folder, taught):
    job = job_of(folder, "adapted", **{**taught, "shape": None, "initial": str(folder / "teacher"), "adapter": {"rank": 4}, "objective": "cross_entropy", "teacher": None})
    found, run = estimate(job), opened(job)
    trained = sum(p.numel() for p in run.session.student.parameters() if p.requires_grad)
    assert found["parts"]["gradients"] == 4 * trained and found["checkpointBytes"] == 12 * trained


def test_too_little_memory_or_disk_is_told_before_anything_runs(folder, taught):
    job = job_of(folder, "small", **taught)
    assert check_resources(job)["freeMemoryBytes"] > 0
    with pytest.raises(JobError, match=r"memory: expected \d+\.\d\d GiB free .* got 0.00 GiB") as memory:
        check_resources(job, memory=1000)
    assert memory.value.code == "memory_short"
    with pytest.raises(JobError, match="output: expected .* for two checkpoints, got 0.00 GiB") as disk:
        check_resources(job, disk=1000)
    assert disk.value.code == "disk_short"


def test_the_recipe_for_a_7b_teacher_fits_one_gpu(tmp_path):
    """The documented recipe, with the published sizes of a 7B-class and a 0.5B-class model; no weights are read."""
    pytest.importorskip("transformers")
    from pathlib import Path

    raw = json.loads((Path(__file__).resolve().parent.parent / "recipes" / "distill-7b-to-0.5b.json").read_text())
    sizes = {"initial": (896, 24, 14, 2, 4864, 151936, True), "teacher": (3584, 28, 28, 4, 18944, 152064, False)}
    for field, (width, layers, heads, kv, ffn, vocabulary, tied) in sizes.items():
        folder = tmp_path / field
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({
            "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv, "intermediate_size": ffn, "vocab_size": vocabulary, "tie_word_embeddings": tied, "max_position_embeddings": 32768}))
        raw[field] = str(folder)
    found = estimate(parse_job(raw))
    assert 4.9e8 < found["studentParameters"] < 5.0e8 and 7.6e9 < found["teacherParameters"][0] < 7.7e9
    assert found["parts"]["teacherWeights"] == 2 * found["teacherParameters"][0]
    assert 20 * resources.GIB < found["totalBytes"] < 44 * resources.GIB


# -- signal and receipt ----------------------------------------------------------------------------------------------


def test_a_teacher_that_is_the_student_gives_no_signal(folder, taught):
    fields = {**taught, "initial": str(folder / "teacher"), "shape": WIDE, "objective": "reverse_kl"}
    run = opened(job_of(folder, "mirror", **fields))
    receipt = signal_check(run)
    assert receipt["gradientNorm"] < 1e-3 < receipt["plainGradientNorm"]  # equal laws: the teacher has nothing to say
    assert receipt["shuffled"] > receipt["loss"]


def test_a_constant_teacher_gives_no_signal(folder, taught):
    run = opened(job_of(folder, "constant", **taught))
    run.session.teachers[0].embed_tokens.weight.data.zero_()  # every law is uniform
    with pytest.raises(JobError, match="expected the loss to change when what it gives is shuffled") as nothing:
        signal_check(run)
    assert nothing.value.code == "signal_missing"


def test_the_receipt_holds_what_was_checked_and_changes_no_loss(folder, taught, capsys):
    events = []
    checked = train(job_of(folder, "checked", **taught), events.append, check=True)
    assert checked == train(job_of(folder, "unchecked", **taught), silent)
    receipt = json.loads((folder / "checked" / "receipt.json").read_text())
    assert receipt["teachers"][0]["gives"] == "states" and receipt["tokenizers"]["teachers"][0]["relation"] == SAME_PIECES
    assert receipt["signal"]["gradientNorm"] > 0 and receipt["resources"]["totalBytes"] > 0 and receipt["rows"]["tokens"] > 0
    assert [event["event"] for event in events][:3] == ["estimate", "receipt", "start"]
    assert "total" in capsys.readouterr().err
    train(job_of(folder, "checked", **{**taught, "steps": 8}), silent, check=True)
    assert json.loads((folder / "checked" / "receipt.json").read_text())["signal"] == receipt["signal"]


def test_the_command_checks_without_training(folder, taught, capsys):
    assert main(["check", write(folder, job_of(folder, "only", **taught))]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == "checked"
    assert not (folder / "only" / "checkpoint.pt").exists()


# -- how bad jobs end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rows": "none.npz"}, "file_missing"), ({"teacher": "nowhere"}, "file_missing"), ({"tokenizer": "none.json"}, "file_missing"),
        ({"objective": "vibes"}, "job_invalid"), ({"objective_options": {"beta": 1}}, "job_invalid"), ({"teacher_weight": 0.0}, "job_invalid"),
    ],
)
def test_bad_jobs_end_with_a_code_of_the_catalogue(folder, taught, capsys, change, code):
    raw = {**job_of(folder, "bad", **taught).to_json(), **change}
    (folder / "job.json").write_text(json.dumps(raw))
    assert main(["train", str(folder / "job.json")]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["event"] == "error" and told["code"] == code and told["code"] in CATALOGUE


def test_damaged_files_are_told_apart_from_missing_ones(folder, taught):
    (folder / "rows.npz").write_bytes(b"nothing")
    with pytest.raises(JobError, match="rows: expected packed rows") as damaged:
        train(job_of(folder, "damaged", **taught), silent)
    assert damaged.value.code == "file_invalid"
    (folder / "teacher" / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(JobError, match="got a damaged file") as checkpoint:
        load_model(folder / "teacher")
    assert checkpoint.value.code == "file_invalid"


def test_a_full_disk_keeps_the_checkpoint_before(folder, taught, monkeypatch):
    job = job_of(folder, "full", **{**taught, "checkpoint_every": 3})
    train(job, silent, stop_after=3)
    before = (folder / "full" / "checkpoint.pt").read_bytes()

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", no_room)
    with pytest.raises(TrainingFailed, match="expected room for a checkpoint") as full:
        train(job, silent)
    assert full.value.code == "disk_short"
    assert (folder / "full" / "checkpoint.pt").read_bytes() == before and not list((folder / "full").glob("*.tmp"))


def test_running_out_of_memory_has_a_code(folder, taught, monkeypatch):
    from tandem_trainer.train import Run

    monkeypatch.setattr(Run, "step", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(TrainingFailed, match="the last checkpoint is kept") as short:
        train(job_of(folder, "oom", **taught), silent)
    assert short.value.code == "memory_short"


def test_every_code_has_a_summary_and_a_remedy():
    assert all(when.endswith(".") and remedy.endswith(".") for when, remedy in CATALOGUE.values())
    with pytest.raises(KeyError, match="error code"):
        JobError("x", "no_such_code")

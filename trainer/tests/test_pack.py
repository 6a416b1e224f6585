"""Own texts as packed rows: what is learned, and what is refused."""

import json

import pytest

from tandem_trainer.__main__ import main
from tandem_trainer.data.packing import PackedRows
from tandem_trainer.errors import JobError
from tandem_trainer.pack_text import document_of
from tandem_trainer.tokenizer import chat_prompt


def test_the_loss_falls_on_answers_and_on_prose(tokenizer, tmp_path):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    chat = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]}
    (tmp_path / "texts.jsonl").write_text(json.dumps(chat) + "\n\n" + json.dumps({"text": "A cat."}) + "\n")
    assert main(["pack", str(tmp_path / "texts.jsonl"), "--tokenizer", str(tmp_path / "tokenizer.json"), "--out", str(tmp_path / "rows.npz"), "--time", "64"]) == 0
    rows = PackedRows.load(tmp_path / "rows.npz")
    learned = {}
    for ids, documents, weights in zip(rows.ids, rows.document, rows.weight):
        for number in set(documents.tolist()) - {0}:
            inside = (documents == number) & (weights > 0)
            learned[tokenizer.decode(ids[documents == number].tolist(), skip_special_tokens=False)] = tokenizer.decode(ids[inside].tolist(), skip_special_tokens=False)
    asked = chat_prompt([("user", "Hello")])
    assert learned[f"{asked}Hi!<|im_end|>\n"] == "Hi!<|im_end|>"
    assert learned["A cat.<|endoftext|>"].endswith("cat.<|endoftext|>")


@pytest.mark.parametrize(("line", "message"), [
    ("{", "line 3: expected JSON"),
    ("[]", "either text or messages, got list"),
    ('{"text": "a", "messages": []}', "either text or messages"),
    ('{"text": ""}', "at least one character"),
    ('{"messages": [{"role": "robot", "content": ""}]}', "a role of"),
    ('{"messages": [{"role": "user", "content": "a"}]}', "at least one message of the assistant"),
])
def test_lines_that_are_wrong_are_named(line, message):
    with pytest.raises(JobError, match=message):
        document_of(line, 3, 0.0)


def test_missing_and_empty_files_are_named(tokenizer, tmp_path, capsys):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, message in (("none.jsonl", "found nothing"), ("empty.jsonl", "at least one line")):
        assert main(["pack", str(tmp_path / name), "--tokenizer", str(tmp_path / "tokenizer.json"), "--out", str(tmp_path / "r.npz")]) == 2
        assert message in capsys.readouterr().err

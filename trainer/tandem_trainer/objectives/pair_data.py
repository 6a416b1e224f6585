"""Pairs of answers to a prompt, read from JSON lines.

``{"prompt": ..., "chosen": "...", "rejected": "..."}`` for preferences, ``{"prompt": ..., "long": "...", "short": "..."}``
for worked and bare answers. ``prompt`` is a text, or messages ``[{"role", "content"}, ...]`` in the chat format.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from ..errors import JobError
from ..tokenizer import END_OF_TEXT, MESSAGE_END, chat_prompt

EXPLAIN = "Explain: "
Encoded = tuple[list[int], list[int]]
ENDS = (END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>")


def read_pairs(path: str | Path, names: tuple[str, str]) -> list[dict]:
    """The lines of a file, each with ``prompt`` and both ``names``. Raises ``JobError`` naming the line."""
    if not Path(path).is_file():
        raise JobError(f"pairs: expected JSON lines at {path}, found nothing", "file_missing")
    found = []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as cause:
            raise JobError(f"pairs: expected JSON on line {number} of {path}, got a syntax error", "file_invalid") from cause
        missing = [name for name in ("prompt", *names) if not isinstance(row, dict) or not row.get(name)]
        if missing:
            raise JobError(f"pairs: expected {missing[0]!r} on line {number} of {path}, got nothing", "file_invalid")
        found.append(row)
    if not found:
        raise JobError(f"pairs: expected at least one line in {path}, got none", "file_invalid")
    return found


def encode_pair(row: dict, name: str, tokenizer: Tokenizer, explain: bool = False) -> Encoded:
    """(prompt ids, answer ids) of one answer of a line; the answer ends with the message's or the text's end piece.

    ``explain`` puts ``Explain: `` before the prompt's last message, to ask for the worked answer.
    """
    prompt, ends = row["prompt"], ENDS
    if isinstance(prompt, list):
        messages = [(one["role"], one["content"]) for one in prompt]
        if explain:
            messages[-1] = (messages[-1][0], EXPLAIN + messages[-1][1])
        prompt, ends = chat_prompt(messages), (MESSAGE_END, *ENDS)
    elif explain:
        prompt = EXPLAIN + prompt
    end = next((tokenizer.token_to_id(piece) for piece in ends if tokenizer.token_to_id(piece) is not None), None)
    answer = tokenizer.encode(row[name], add_special_tokens=False).ids
    return tokenizer.encode(prompt, add_special_tokens=False).ids, answer + ([end] if end is not None else [])

"""Turns your own texts into packed rows: JSON lines with ``messages`` (a conversation) or ``text`` (prose).

Conversations are written in the chat format of ``tokenizer.py``; the loss falls on what the assistant says, and with
``--prompt-weight`` also on the rest. Prose is learned throughout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from .data.mixture import Document
from .data.packing import encode, pack
from .errors import JobError
from .tokenizer import END_OF_TEXT, chat_pieces, load_tokenizer

ROLES = ("system", "user", "assistant")


def document_of(line: str, number: int, prompt_weight: float) -> Document:
    """The document of one line. Raises ``JobError`` (file_invalid) naming the line, what was expected and what came."""

    def wrong(expected: str, got: object) -> JobError:
        return JobError(f"line {number}: expected {expected}, got {got}", "file_invalid")

    try:
        item = json.loads(line)
    except json.JSONDecodeError as cause:
        raise wrong("JSON", "a syntax error") from cause
    if not isinstance(item, dict) or ("text" in item) == ("messages" in item):
        raise wrong("an object with either text or messages", type(item).__name__ if not isinstance(item, dict) else sorted(item))
    if "text" in item:
        if not isinstance(item["text"], str) or not item["text"]:
            raise wrong("text of at least one character", type(item["text"]).__name__)
        return Document(((item["text"] + END_OF_TEXT, 1.0),))
    messages = item["messages"]
    if not isinstance(messages, list) or not all(isinstance(one, dict) and one.get("role") in ROLES and isinstance(one.get("content"), str) for one in messages):
        raise wrong(f"messages with a role of {list(ROLES)} and a content", "something else")
    if not any(one["role"] == "assistant" for one in messages):
        raise wrong("at least one message of the assistant", "none")
    runs = chat_pieces((one["role"], one["content"]) for one in messages)
    return Document(tuple((text, 1.0 if answer else prompt_weight) for text, answer in runs))


def read_documents(path: str | Path, prompt_weight: float) -> Iterator[Document]:
    """The documents of a file; empty lines are passed over. Raises ``JobError``."""
    if not Path(path).is_file():
        raise JobError(f"texts: expected JSON lines at {path}, found nothing", "file_missing")
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield document_of(line, number, prompt_weight)


def run(given: argparse.Namespace) -> dict:
    """The command: writes the rows. Returns the event to print."""
    documents = list(read_documents(given.texts, given.prompt_weight))
    if not documents:
        raise JobError(f"texts: expected at least one line at {given.texts}, got none", "file_invalid")
    rows = pack(encode(documents, load_tokenizer(given.tokenizer)), given.time)
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    rows.save(given.out)
    return {"event": "packed", "path": str(given.out), "documents": len(documents), "rows": len(rows), "tokens": rows.tokens, "filled": round(rows.tokens / rows.ids.size, 4)}


def register(commands: argparse._SubParsersAction) -> None:
    """Adds ``pack`` to the command line."""
    text = "pack your own texts (JSON lines with text or messages) into rows for a job"
    sub = commands.add_parser("pack", help=text, description=text)
    sub.add_argument("texts", type=Path, help="JSON lines")
    sub.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the student")
    sub.add_argument("--out", type=Path, required=True, help="the rows (.npz)")
    sub.add_argument("--time", type=int, default=256, help="tokens a row (default 256)")
    sub.add_argument("--prompt-weight", type=float, default=0.0, help="loss weight of what is not the assistant's (default 0)")
    sub.set_defaults(run=run)

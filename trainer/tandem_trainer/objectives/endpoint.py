"""A teacher behind an OpenAI-compatible address: text, and log-probabilities where the server gives them.

Named in a job as ``http://host:port/v1#model``. The key, if one is needed, is read from the environment variable
``TANDEM_TEACHER_API_KEY``. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from ..errors import JobError

MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n?", re.S)
OPEN = re.compile(r"<\|im_start\|>assistant\n$")


def is_endpoint(name: str | None) -> bool:
    """Whether a teacher's name is an address rather than a folder."""
    return bool(name) and name.startswith(("http://", "https://"))


def messages_of(prompt: str) -> list[dict[str, str]] | None:
    """The messages of a prompt in the chat format, or None for plain text."""
    found = [{"role": role, "content": content} for role, content in MESSAGE.findall(prompt)]
    return found if found and OPEN.search(prompt) else None


@dataclass
class Reply:
    """An answer: its text, whether it ended by itself, and per token (text, log-probability, {piece: log-probability})."""

    text: str
    ended: bool
    tokens: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)


class Endpoint:
    """One model of one server. ``timeout_s`` holds for each request."""

    def __init__(self, name: str, timeout_s: float = 60.0) -> None:
        address, _, self.model = name.partition("#")
        self.address, self.timeout_s = address.rstrip("/"), timeout_s
        if not self.model:
            raise JobError(f"teacher: expected http://host/v1#model, got {name!r}")

    def complete(self, prompt: str, tokens_max: int, temperature: float = 0.0, seed: int = 0, top: int = 0) -> Reply:
        """The answer to a prompt text; chat prompts go to ``/chat/completions``, plain text to ``/completions``.

        ``top`` asks for so many alternatives a token. Raises ``JobError`` (teacher_silent) when the server cannot be
        reached, refuses, or sends something else than an answer.
        """
        messages = messages_of(prompt)
        body: dict[str, Any] = {"model": self.model, "max_tokens": tokens_max, "temperature": temperature, "seed": seed}
        if messages is None:
            body |= {"prompt": prompt} | ({"logprobs": top} if top else {})
        else:
            body |= {"messages": messages} | ({"logprobs": True, "top_logprobs": top} if top else {})
        data = self.post("/completions" if messages is None else "/chat/completions", body)
        try:
            choice = data["choices"][0]
            text = choice["text"] if messages is None else choice["message"]["content"]
            return Reply(text or "", choice.get("finish_reason") != "length", read_tokens(choice.get("logprobs")))
        except (KeyError, IndexError, TypeError) as cause:
            raise JobError(f"teacher: expected an answer from {self.address}, got something else", "teacher_silent") from cause

    def post(self, path: str, body: dict) -> Any:
        """The parsed reply of a request."""
        headers = {"content-type": "application/json"}
        if key := os.environ.get("TANDEM_TEACHER_API_KEY"):
            headers["authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:  # noqa: S310
                return json.load(reply)
        except urllib.error.HTTPError as cause:
            raise JobError(f"teacher: expected status 200 from {self.address}{path}, got {cause.code}", "teacher_silent") from cause
        except (OSError, ValueError) as cause:
            raise JobError(f"teacher: expected an answer from {self.address}{path}, got {type(cause).__name__}", "teacher_silent") from cause


def read_tokens(given: Any) -> list[tuple[str, float, dict[str, float]]]:
    """Per-token log-probabilities out of the chat form (``content``) or the older form (``tokens``); [] for none."""
    if not isinstance(given, dict):
        return []
    if given.get("content"):
        return [(one["token"], one["logprob"], {other["token"]: other["logprob"] for other in one.get("top_logprobs") or []}) for one in given["content"]]
    if given.get("tokens"):
        tops = given.get("top_logprobs") or [{}] * len(given["tokens"])
        return [(token, value, dict(top or {})) for token, value, top in zip(given["tokens"], given["token_logprobs"], tops, strict=True) if value is not None]
    return []

"""What a teacher can give: nothing, text, the sampled token's probability, the likeliest k, or whole laws.

Asked once, before the run, with one short prompt; what came back decides, not what a server's documents say.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from ..errors import JobError
from ..job import Job
from ..objectives.endpoint import Endpoint, Reply

LEVELS = ("nothing", "text", "sampled-token", "top-k", "full", "states")
ENOUGH = {"none": 0, "text": 1, "top-k": 3, "full": 4, "states": 5}
PROMPT = "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n"
ASKED = 20


def probe_endpoint(name: str, timeout_s: float = 30.0) -> dict[str, Any]:
    """Asks an OpenAI-compatible server; returns ``gives``, ``alternatives`` (k), ``tokens`` and ``latencyMs``.

    A server that refuses log-probabilities is asked again without them. Raises ``JobError`` (teacher_silent) when no text
    comes at all.
    """
    endpoint, began = Endpoint(name, timeout_s), time.monotonic()
    reply: Reply | None = None
    for top in (ASKED, 5, 0):
        try:
            reply = endpoint.complete(PROMPT, 8, top=top)
            break
        except JobError:
            if top == 0:
                raise
    if reply is None or not reply.text.strip():
        raise JobError(f"teacher: expected text from {endpoint.address}, got an empty answer", "teacher_silent")
    alternatives = max((len(top) for _, _, top in reply.tokens), default=0)
    gives = "top-k" if alternatives > 1 else "sampled-token" if reply.tokens else "text"
    return {"teacher": name, "gives": gives, "alternatives": alternatives, "tokens": len(reply.tokens), "latencyMs": round(1000 * (time.monotonic() - began), 1)}


@torch.no_grad()
def probe_model(name: str, model: torch.nn.Module, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Runs a loaded model on a few tokens. Raises ``JobError`` (teacher_silent) for laws that are no numbers."""
    began = time.monotonic()
    logits = model(torch.arange(1, 9, device=device)[None])
    if not torch.isfinite(logits).all():
        raise JobError(f"teacher: expected finite logits from {name}, got others", "teacher_silent")
    return {"teacher": name, "gives": "states", "alternatives": int(logits.shape[-1]), "tokens": 8, "latencyMs": round(1000 * (time.monotonic() - began), 1)}


def usable(job: Job, found: dict[str, Any]) -> None:
    """Raises ``JobError`` (teacher_unusable) when the objective needs more than the teacher gives."""
    if LEVELS.index(found["gives"]) < ENOUGH[job.spec.gives]:
        raise JobError(f"teacher: expected one that gives {job.spec.gives} for objective {job.objective!r}, got {found['gives']} from {found['teacher']} (use teacher_text)", "teacher_unusable")

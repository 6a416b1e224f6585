"""One temperature for a member, fitted on dev answers and folded into its last norm.

Dividing the logits by ``T`` leaves every greedy choice as it is and changes only how sure the model says it is (Guo et al.,
arXiv:1706.04599). The head has no bias, so dividing the weight of the last norm by ``T`` does the same to every logit.
"""

from __future__ import annotations

import math

import torch
from tokenizers import Tokenizer

from .data.example import Example, passes
from .evaluate import answers, expected_calibration_error
from .model import Llama
from .tokenizer import chat_prompt

ERROR_MAX = 0.045  # three quarters of the largest calibration error that a bundled member may show on held-out items
TEMPERATURES = tuple(round(0.7 + 0.05 * step, 2) for step in range(33))


@torch.no_grad()
def answer_confidences(model: Llama, prompt: list[int], written: list[int], temperatures: tuple[float, ...]) -> list[float]:
    """The probability of the whole answer ``written`` after ``prompt`` at each temperature."""
    logits = model(torch.tensor([prompt + written]))[0, len(prompt) - 1 : -1].float()
    places = torch.tensor(written)[:, None]
    return [math.exp(float((logits / t).log_softmax(-1).gather(1, places).sum())) for t in temperatures]


def fit_temperature(model: Llama, tokenizer: Tokenizer, examples: list[Example], temperatures: tuple[float, ...] = TEMPERATURES) -> dict:
    """The temperature nearest to 1 whose expected calibration error on ``examples`` is at most ``ERROR_MAX``; the one with the least error when none is.

    No further from 1 than needed: the same factor acts on prose, whose perplexity it raises (small member, 25 held-out
    stories: 28.9 at 1, 30.9 at 0.8, 36.3 at 0.7). Returns ``temperature`` and the error on the same examples ``before`` (at 1) and ``after``.
    """
    tried = tuple(dict.fromkeys((1.0, *temperatures)))
    right: list[bool] = []
    rows: list[list[float]] = []
    for example, answer in zip(examples, answers(model, tokenizer, examples), strict=True):
        if answer.written:
            right.append(answer.ended and passes(example, tokenizer.decode(answer.ids)))
            rows.append(answer_confidences(model, tokenizer.encode(chat_prompt(example.prompt)).ids, answer.written, tried))
    errors = [expected_calibration_error([row[n] for row in rows], right) for n in range(len(tried))]
    enough = [n for n, error in enumerate(errors) if error <= ERROR_MAX]
    best = min(enough, key=lambda n: abs(math.log(tried[n]))) if enough else min(range(len(tried)), key=errors.__getitem__)
    return {"temperature": tried[best], "before": round(errors[0], 4), "after": round(errors[best], 4), "items": len(right)}


@torch.no_grad()
def fold_temperature(model: Llama, temperature: float) -> Llama:
    """Divides every logit of ``model`` by ``temperature``, in place, and returns it. Raises ``ValueError`` unless it is positive."""
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    model.norm.weight /= temperature
    return model

"""Generation for several prompts at once, with a key/value cache: greedy, sampled, or from mixed laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .model import Llama, rotate


@dataclass
class Answer:
    """Generated ids (without the end token) and the natural log-probability of each, the end token's last.

    ``end`` is the end token that was written, -1 when there was none.
    """

    ids: list[int]
    log_probabilities: list[float]
    ended: bool
    end: int = -1

    @property
    def written(self) -> list[int]:
        """The ids with the end token, as a model is trained on them."""
        return self.ids + ([self.end] if self.ended else [])


class Decoder(Protocol):
    """Gives next-token logits (batch, vocabulary), first for left-padded prompts and then token by token."""

    def first(self, ids: Tensor, visible: Tensor) -> Tensor:
        """Logits after ``ids`` (batch, longest); ``visible`` (batch, longest + limit) is False on padding."""

    def next(self, token: Tensor) -> Tensor:
        """Logits after one more token (batch) each."""


class _Cache:
    """Keys and values of every layer, (batch, heads, capacity, head_width)."""

    def __init__(self, model: Llama, batch: int, capacity: int) -> None:
        weight = model.embed_tokens.weight
        size = (batch, model.shape.kv_heads, capacity, model.shape.head_width)
        self.keys = [torch.zeros(size, dtype=weight.dtype, device=weight.device) for _ in model.layers]
        self.values = [torch.zeros(size, dtype=weight.dtype, device=weight.device) for _ in model.layers]


def _forward(model: Llama, ids: Tensor, begin: int, visible: Tensor, cache: _Cache) -> Tensor:
    """Logits of the last position; ``ids`` (batch, n) stand at begin.., ``visible`` (batch, capacity) marks real tokens."""
    shape = model.shape
    batch, count = ids.shape
    end = begin + count
    x = model.embed_tokens(ids)
    cos, sin = model.cos[begin:end], model.sin[begin:end]
    causal = torch.arange(end, device=ids.device)[None, :] <= torch.arange(begin, end, device=ids.device)[:, None]
    mask = causal[None, None] & visible[:, None, None, :end]
    mask = mask | torch.eye(end, dtype=torch.bool, device=ids.device)[begin:end][None, None]
    for number, layer in enumerate(model.layers):
        attention = layer.self_attn
        normed = layer.input_layernorm(x)
        q = attention.q_proj(normed).view(batch, count, shape.heads, shape.head_width).transpose(1, 2)
        k = attention.k_proj(normed).view(batch, count, shape.kv_heads, shape.head_width).transpose(1, 2)
        v = attention.v_proj(normed).view(batch, count, shape.kv_heads, shape.head_width).transpose(1, 2)
        cache.keys[number][:, :, begin:end] = rotate(k, cos, sin)
        cache.values[number][:, :, begin:end] = v
        keys, values = cache.keys[number][:, :, :end], cache.values[number][:, :, :end]
        groups = shape.heads // shape.kv_heads
        if groups > 1:
            keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
        mixed = torch.nn.functional.scaled_dot_product_attention(rotate(q, cos, sin), keys, values, attn_mask=mask)
        x = x + attention.o_proj(mixed.transpose(1, 2).reshape(batch, count, -1))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.head(model.norm(x[:, -1]))


class LlamaDecoder:
    """``Decoder`` of our own models."""

    def __init__(self, model: Llama) -> None:
        self.model = model

    def first(self, ids: Tensor, visible: Tensor) -> Tensor:
        """See ``Decoder``."""
        self.visible, self.at = visible, ids.shape[1]
        self.cache = _Cache(self.model, ids.shape[0], visible.shape[1])
        return _forward(self.model, ids, 0, visible, self.cache)

    def next(self, token: Tensor) -> Tensor:
        """See ``Decoder``."""
        logits = _forward(self.model, token[:, None], self.at, self.visible, self.cache)
        self.at += 1
        return logits


def decoder_of(model: Llama) -> Decoder:
    """The decoder of a model: the model's own (``model.decoder()``) where it has one, else ``LlamaDecoder``."""
    return model.decoder() if hasattr(model, "decoder") else LlamaDecoder(model)


def likeliest(laws: Tensor) -> Tensor:
    """The greedy choice from log-laws (batch, vocabulary)."""
    return laws.argmax(-1)


def sampled(temperature: float, random_: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A choice that draws from ``law ^ (1 / temperature)``; temperature 0 is greedy."""
    if temperature == 0:
        return likeliest
    return lambda laws: torch.multinomial((laws / temperature).softmax(-1).cpu(), 1, generator=random_)[:, 0].to(laws.device)


@torch.no_grad()
def decode(models: list[tuple[Llama, float]], prompts: list[list[int]], limit: int, ends: set[int], choose: Callable[[Tensor], Tensor] = likeliest) -> list[Answer]:
    """Continues each prompt, up to ``limit`` tokens or an end token, from the mixture ``sum_m weight_m law_m``.

    ``choose`` picks a token a row from log-laws (batch, vocabulary). Prompts are left-padded to one length; rotary
    positions are relative, so padding changes nothing. ``log_probabilities`` are those of the mixture.
    Raises ``ValueError`` when a prompt and ``limit`` do not fit the context or a prompt is empty.
    """
    if not all(prompts):
        raise ValueError("prompts: expected at least one token each, got an empty prompt")
    longest = max(len(prompt) for prompt in prompts)
    context = min(model.shape.context for model, _ in models)
    if longest + limit > context:
        raise ValueError(f"limit: expected at most {context - longest}, got {limit}")
    device = next(models[0][0].parameters()).device
    ids = torch.zeros(len(prompts), longest, dtype=torch.long, device=device)
    visible = torch.ones(len(prompts), longest + limit, dtype=torch.bool, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        visible[row, : longest - len(prompt)] = False
    decoders = [decoder_of(model) for model, _ in models]

    def mixed(logits: list[Tensor]) -> Tensor:
        laws = [torch.log_softmax(one.float(), -1) for one in logits]
        if len(laws) == 1:
            return laws[0]
        width = min(law.shape[-1] for law in laws)
        return torch.stack([law[:, :width] + torch.log(torch.tensor(weight)) for law, (_, weight) in zip(laws, models, strict=True)]).logsumexp(0)

    laws = mixed([decoder.first(ids, visible) for decoder in decoders])
    answers = [Answer([], [], False) for _ in prompts]
    for step in range(limit):
        token = choose(laws)
        best = laws.gather(1, token[:, None])[:, 0].tolist()
        for row, (answer, chosen) in enumerate(zip(answers, token.tolist(), strict=True)):
            if answer.ended:
                continue
            answer.log_probabilities.append(best[row])
            if chosen in ends:
                answer.ended, answer.end = True, chosen
            else:
                answer.ids.append(chosen)
        if all(answer.ended for answer in answers) or step + 1 == limit:
            break
        laws = mixed([decoder.next(token) for decoder in decoders])
    return answers


def greedy(model: Llama, prompts: list[list[int]], limit: int, ends: set[int]) -> list[Answer]:
    """The greedy continuation of each prompt; see ``decode``."""
    return decode([(model, 1.0)], prompts, limit, ends)


def greedy_all(model: Llama, prompts: list[list[int]], limit: int, ends: set[int], batch: int = 48) -> list[Answer]:
    """``greedy`` over many prompts in batches of like length, results in the order given."""
    return decode_all(lambda group: greedy(model, group, limit, ends), prompts, batch)


def decode_all(run: Callable[[list[list[int]]], list[Answer]], prompts: list[list[int]], batch: int = 48) -> list[Answer]:
    """``run`` over many prompts in batches of like length, results in the order given."""
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    results: list[Answer | None] = [None] * len(prompts)
    for begin in range(0, len(order), batch):
        group = order[begin : begin + batch]
        for number, answer in zip(group, run([prompts[n] for n in group]), strict=True):
            results[number] = answer
    return results  # type: ignore[return-value]

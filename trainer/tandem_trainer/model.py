"""A Llama-architecture decoder: RMSNorm, rotary positions, SwiGLU, tied embeddings.

The parameter names and layouts are those of Hugging Face's ``LlamaForCausalLM`` (rotate-half
rotary pairs), so a state dict written here loads there; ``export_gguf`` permutes the query and key
rows into the interleaved pairs that llama.cpp's ``llama`` architecture expects.

Sources: Llama (Touvron et al., arXiv:2302.13971); RMSNorm (arXiv:1910.07467); rotary positions
(Su et al., arXiv:2104.09864); SwiGLU (Shazeer, arXiv:2002.05202); tied embeddings (Press and Wolf,
arXiv:1608.05859).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelShape:
    """The sizes of one model. All counts are positive integers.

    Raises ``ValueError`` naming the field when a size cannot be exported: widths must divide by 32
    (a q8_0 block) and heads must share the width evenly.
    """

    vocabulary: int = 4096
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 4
    ffn_width: int = 384
    context: int = 1024
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads", "kv_heads", "ffn_width", "context"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"shape.{name}: expected a positive integer, got {value!r}")
        for name in ("width", "ffn_width"):
            if getattr(self, name) % 32:
                raise ValueError(f"shape.{name}: expected a multiple of 32, got {getattr(self, name)}")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"shape.heads: expected to divide width {self.width} into even parts, got {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"shape.kv_heads: expected to divide heads {self.heads}, got {self.kv_heads}")

    @property
    def head_width(self) -> int:
        """Width of one attention head, in features."""
        return self.width // self.heads

    def to_json(self) -> dict:
        """The shape as plain JSON values, for checkpoints and job files."""
        return asdict(self)


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x^2) + eps) * weight`` over the last axis, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalises ``x`` of shape (..., width); returns the same shape and dtype."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight.float()).to(x.dtype)


def rotary_table(positions: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles ``p * base^(-2i/head_width)``.

    Returns two float32 tensors of shape (positions, head_width), the halves repeated, as the
    rotate-half form needs them.
    """
    inverse = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies rotary positions to ``x`` (batch, heads, time, head_width); tables are (time, head_width)."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return (x * cos + turned * sin).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with grouped key/value heads and no biases."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, kv_width, bias=False)
        self.v_proj = nn.Linear(shape.width, kv_width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Mixes ``x`` (batch, time, width) over time.

        ``mask`` is None for plain causal attention, else (batch, 1, time, time), True where a query
        may look. Returns (batch, time, width).
        """
        q, k, v = self.project(x, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys (both rotated) and values of ``x``, each (batch, heads, time, head_width), shared heads repeated."""
        batch, time, _ = x.shape
        head_width = self.shape.head_width
        q = self.q_proj(x).view(batch, time, -1, head_width).transpose(1, 2)
        k = self.k_proj(x).view(batch, time, -1, head_width).transpose(1, 2)
        v = self.v_proj(x).view(batch, time, -1, head_width).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        groups = self.shape.heads // self.shape.kv_heads
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        return q, k, v


class FeedForward(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.ffn_width, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.ffn_width, bias=False)
        self.down_proj = nn.Linear(shape.ffn_width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``x`` (..., width) to (..., width)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Maps hidden states (batch, time, width) to the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


@dataclass
class Views:
    """What a model shows of one pass, for the objectives that compare more than laws.

    ``logits`` (batch, time, vocabulary); ``hidden`` layers + 1 states (batch, time, width), the first before the
    first layer, the last normed; ``queries``, ``keys``, ``values`` one a layer, (batch, heads, time, head_width);
    ``mask`` as given to the pass. The lists are empty when only logits were asked for.
    """

    logits: Tensor
    mask: Tensor | None = None
    hidden: list[Tensor] = field(default_factory=list)
    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)

    def attention(self, layer: int) -> Tensor:
        """Attention probabilities (batch, heads, time, time) of a layer, in float32: the model's own ``maps``, or computed."""
        if self.maps:
            return self.maps[layer]
        q, k = self.queries[layer].float(), self.keys[layer].float()
        scores = q @ k.mT / q.shape[-1] ** 0.5
        allowed = self.mask if self.mask is not None else torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        return scores.masked_fill(~allowed, float("-inf")).softmax(-1)


class Llama(nn.Module):
    """The decoder. ``forward`` gives logits, ``hidden`` the normed states before the head."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.norm_eps)
        cos, sin = rotary_table(shape.context, shape.head_width, shape.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """Normal initialisation: 0.02 for the embedding, ``width^-0.5`` inputs, residual outputs scaled by depth."""
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        deep = (2 * self.shape.layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and "embed" not in name:
                std = parameter.shape[1] ** -0.5
                if "o_proj" in name or "down_proj" in name:
                    std *= deep
                nn.init.normal_(parameter, std=std * 0.8)

    def hidden(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Final normed states (batch, time, width) of token ids (batch, time).

        Raises ``ValueError`` when time exceeds the context.
        """
        time = ids.shape[1]
        if time > self.shape.context:
            raise ValueError(f"ids: expected at most {self.shape.context} positions, got {time}")
        x = self.embed_tokens(ids)
        cos, sin = self.cos[:time], self.sin[:time]
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
            x, cos, sin = x.to(kind), cos.to(kind), sin.to(kind)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.norm(x)

    def head(self, states: Tensor) -> Tensor:
        """Logits (..., vocabulary) of normed states (..., width); the embedding is the head."""
        return F.linear(states, self.embed_tokens.weight)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (batch, time, vocabulary) of token ids (batch, time)."""
        return self.head(self.hidden(ids, mask))

    def views(self, ids: Tensor, mask: Tensor | None = None, states: bool = False) -> Views:
        """The pass as ``Views``; with ``states`` also every layer's states, queries, keys and values.

        Raises ``ValueError`` when time exceeds the context.
        """
        if not states:
            return Views(self(ids, mask), mask)
        seen = Views(torch.empty(0), mask)
        handles = [layer.register_forward_pre_hook(lambda _, given: seen.hidden.append(given[0])) for layer in self.layers]
        for layer in self.layers:
            handles.append(layer.self_attn.register_forward_pre_hook(
                lambda attention, given: [kept.append(part) for kept, part in zip((seen.queries, seen.keys, seen.values), attention.project(*given[:3]))] and None))
        try:
            seen.hidden.append(self.hidden(ids, mask))
        finally:
            for handle in handles:
                handle.remove()
        seen.logits = self.head(seen.hidden[-1])
        return seen

    def parameter_count(self) -> int:
        """Number of trained values; the tied head is counted once."""
        return sum(parameter.numel() for parameter in self.parameters())


def document_mask(documents: Tensor) -> Tensor:
    """Causal attention that stays inside one document of a packed row.

    ``documents`` (batch, time) holds a document number per position. Returns a boolean tensor
    (batch, 1, time, time), True where the query (row) may look at the key (column).
    """
    time = documents.shape[1]
    causal = torch.ones(time, time, dtype=torch.bool, device=documents.device).tril()
    same = documents[:, :, None] == documents[:, None, :]
    return (same & causal)[:, None]

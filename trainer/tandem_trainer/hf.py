"""Any causal language model of the Hugging Face format, behind the interface of our own ``Llama``.

A folder in that format holds ``config.json`` and the weights (safetensors), and as a rule ``tokenizer.json``.
``transformers`` is imported only here and only when such a folder is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import JobError
from .model import Views


def is_hf_folder(folder: str | Path) -> bool:
    """Whether a folder holds a model in the Hugging Face format."""
    return (Path(folder) / "config.json").is_file()


def transformers() -> Any:
    """The library. Raises ``JobError`` (dependency_missing) with the command that installs it."""
    try:
        import transformers as library
    except ImportError as cause:
        raise JobError("transformers: expected the package for a Hugging Face folder, found nothing; pip install transformers==5.18.0", "dependency_missing") from cause
    return library


@dataclass(frozen=True)
class HfShape:
    """The sizes that the trainer asks for, read from a ``config.json``; the config itself in ``config``."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    context: int
    config: dict

    @classmethod
    def of(cls, config: Any) -> HfShape:
        """The sizes of a parsed config."""
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        return cls(
            text.vocab_size, text.hidden_size, text.num_hidden_layers, text.num_attention_heads,
            getattr(text, "num_key_value_heads", None) or text.num_attention_heads, text.max_position_embeddings, config.to_dict(),
        )

    def to_json(self) -> dict:
        """For checkpoints: the config, which makes the model again."""
        return {"config": {name: value for name, value in self.config.items() if _plain(value)}}


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_plain(one) for one in value.values())
    return value is None or isinstance(value, (str, int, float, bool)) or isinstance(value, list) and all(_plain(one) for one in value)


class HfCausal(nn.Module):
    """A model of transformers: ``forward`` gives logits, ``views`` also states and attention."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.shape = HfShape.of(net.config)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (batch, time, vocabulary) of ids (batch, time); ``mask`` (batch, 1, time, time), True where a query may look."""
        return self.run(ids, mask).logits

    def run(self, ids: Tensor, mask: Tensor | None, **wanted: bool) -> Any:
        """The library's output. Raises ``ValueError`` when time exceeds the context."""
        if ids.shape[1] > self.shape.context:
            raise ValueError(f"ids: expected at most {self.shape.context} positions, got {ids.shape[1]}")
        if mask is not None:
            kind = self.net.dtype
            mask = torch.zeros(mask.shape, dtype=kind, device=ids.device).masked_fill(~mask, torch.finfo(kind).min)
        return self.net(input_ids=ids, attention_mask=mask, use_cache=False, **wanted)

    def views(self, ids: Tensor, mask: Tensor | None = None, states: bool = False) -> Views:
        """As ``Llama.views``. Queries and keys are those before positions are applied; attention is the model's own.

        Raises ``JobError`` for a model whose layers have no ``q_proj``, ``k_proj`` and ``v_proj``.
        """
        if not states:
            return Views(self(ids, mask), mask)
        if self.net.config._attn_implementation != "eager":
            self.net.set_attn_implementation("eager")
        seen = Views(torch.empty(0), mask)
        kept = {"q_proj": seen.queries, "k_proj": seen.keys, "v_proj": seen.values}
        width = getattr(self.net.config, "head_dim", None) or self.shape.width // self.shape.heads

        def keep(into: list[Tensor]) -> Any:
            return lambda _module, _given, out: into.append(out.view(*out.shape[:2], -1, width).transpose(1, 2))

        handles = [module.register_forward_hook(keep(kept[name.rsplit(".", 1)[-1]])) for name, module in self.net.named_modules() if name.rsplit(".", 1)[-1] in kept]
        try:
            out = self.run(ids, mask, output_hidden_states=True, output_attentions=True)
        finally:
            for handle in handles:
                handle.remove()
        if len(seen.queries) != self.shape.layers:
            raise JobError(f"model: expected {self.shape.layers} layers with q_proj, k_proj and v_proj, got {len(seen.queries)}", "teacher_unusable")
        seen.logits, seen.hidden, seen.maps = out.logits, list(out.hidden_states), [one.float() for one in out.attentions]
        return seen

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def decoder(self) -> HfDecoder:
        """A ``generate.Decoder`` with the library's cache."""
        return HfDecoder(self.net)

    def save(self, folder: str | Path) -> None:
        """Writes the model in the Hugging Face format."""
        self.net.save_pretrained(str(folder))


class HfDecoder:
    """``generate.Decoder`` of a model of transformers."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def first(self, ids: Tensor, visible: Tensor) -> Tensor:
        """See ``Decoder``."""
        self.visible, self.at = visible, ids.shape[1]
        seen = visible[:, : self.at].long()
        self.position = (seen.cumsum(-1) - 1).clamp_min(0)
        out = self.net(input_ids=ids, attention_mask=seen, position_ids=self.position, use_cache=True)
        self.cache, self.position = out.past_key_values, self.position[:, -1:]
        return out.logits[:, -1]

    def next(self, token: Tensor) -> Tensor:
        """See ``Decoder``."""
        self.at, self.position = self.at + 1, self.position + 1
        out = self.net(
            input_ids=token[:, None], attention_mask=self.visible[:, : self.at].long(), position_ids=self.position, past_key_values=self.cache, use_cache=True
        )
        return out.logits[:, -1]


def load_hf(folder: str | Path, dtype: torch.dtype = torch.float32) -> HfCausal:
    """The model of a folder, in evaluation mode. Raises ``JobError`` for a folder that cannot be read."""
    library = transformers()
    try:
        net = library.AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except (OSError, ValueError, KeyError) as cause:
        raise JobError(f"model: expected a causal model in the Hugging Face format at {folder}, got {type(cause).__name__}", "file_invalid") from cause
    return HfCausal(net).eval()


def hf_from_config(config: dict) -> HfCausal:
    """A model of the given config with fresh weights, as a checkpoint's ``shape`` keeps it."""
    library = transformers()
    kind = library.AutoConfig.for_model(**config)
    return HfCausal(library.AutoModelForCausalLM.from_config(kind)).eval()


def read_hf_shape(folder: str | Path) -> HfShape:
    """The sizes of a folder's model from its ``config.json`` alone."""
    return HfShape.of(transformers().AutoConfig.from_pretrained(str(folder), local_files_only=True))

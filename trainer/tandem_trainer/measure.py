"""What one model loses against another: divergence of next-token laws, perplexity, equal first choices."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .data.packing import PackedRows
from .errors import JobError
from .model import document_mask


def load_rows(path: str | Path) -> PackedRows:
    """Packed rows. Raises ``JobError`` when they are missing or damaged."""
    try:
        return PackedRows.load(path)
    except FileNotFoundError as cause:
        raise JobError(f"rows: expected packed rows at {path}, found nothing", "file_missing") from cause
    except (KeyError, ValueError, OSError) as cause:
        raise JobError(f"rows: expected packed rows at {path}, got another kind of file", "file_invalid") from cause


@torch.no_grad()
def compare_models(reference: nn.Module, candidate: nn.Module, rows: PackedRows, tokens_max: int = 20_000, batch_rows: int = 4) -> dict:
    """How far ``candidate`` is from ``reference`` on rows, over every predicted token that is not filling.

    Returns ``tokens``, ``meanKl`` (KL(reference || candidate), nats), ``perplexity`` of both, ``sameFirst`` (share of equal
    likeliest tokens). Perplexity counts the tokens with a loss weight.
    """
    kl = same = count = learned = 0.0
    entropies = [0.0, 0.0]
    for begin in range(0, len(rows), batch_rows):
        ids = torch.from_numpy(rows.ids[begin : begin + batch_rows].astype(np.int64))
        documents = torch.from_numpy(rows.document[begin : begin + batch_rows].astype(np.int64))
        weight = torch.from_numpy(rows.weight[begin : begin + batch_rows])[:, 1:]
        mask = document_mask(documents)
        ours, theirs = (torch.log_softmax(model(ids, mask)[:, :-1].float(), -1) for model in (reference, candidate))
        inside = (documents[:, 1:] > 0) & (documents[:, 1:] == documents[:, :-1])
        kl += float((ours.exp() * (ours - theirs)).sum(-1)[inside].sum())
        same += float((ours.argmax(-1) == theirs.argmax(-1))[inside].sum())
        count += float(inside.sum())
        scored = inside & (weight > 0)
        learned += float(scored.sum())
        for place, law in enumerate((ours, theirs)):
            entropies[place] -= float(law.gather(-1, ids[:, 1:, None])[..., 0][scored].sum())
        if count >= tokens_max:
            break
    before, after = (math.exp(entropy / max(1.0, learned)) for entropy in entropies)
    return {"tokens": int(count), "meanKl": float(f"{kl / max(1.0, count):.4g}"), "perplexityBefore": round(before, 4), "perplexity": round(after, 4), "sameFirst": round(same / max(1.0, count), 4)}

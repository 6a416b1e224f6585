"""A folder that holds a model without the state of any training run, for ``initial``, ``teacher`` and the tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from .model import Llama


def save_model(folder: str | Path, model: Llama, made: dict[str, Any]) -> Path:
    """Writes ``checkpoint.pt`` (shape, float32 weights, how it was ``made``) by rename and returns its path.

    ``load_model`` reads it. ``made`` holds plain JSON values: which tool, from which folder, with which settings.
    """
    path = Path(folder) / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {name: value.detach().float().contiguous() for name, value in model.state_dict().items()}
    torch.save({"shape": model.shape.to_json(), "model": state, "made": made}, temporary)
    os.replace(temporary, path)
    return path

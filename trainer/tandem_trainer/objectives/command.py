"""``laws``: stores a teacher's laws on packed rows, for the objective ``stored_laws``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .stored_laws import KINDS, store_laws


def register(commands: Any) -> None:
    """Adds the command."""
    sub = commands.add_parser("laws", help="store a teacher's laws on packed rows", description=__doc__)
    sub.add_argument("--teacher", type=Path, required=True, help="checkpoint folder or Hugging Face folder")
    sub.add_argument("--rows", type=Path, required=True, help="packed rows (.npz)")
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--kind", choices=KINDS, default="top", help="the likeliest tokens, or draws (unbiased)")
    sub.add_argument("--k", type=int, default=16, help="tokens or draws a position")
    sub.add_argument("--seed", type=int, default=0)
    sub.set_defaults(run=run)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Writes the store; returns how much it holds."""
    from ..data.packing import PackedRows
    from ..session import load_model

    store = store_laws(load_model(given.teacher), PackedRows.load(given.rows), given.kind, given.k, seed=given.seed)
    store.save(given.out)
    return {"file": str(given.out), "positions": len(store), "bytesPerToken": store.bytes_per_token}

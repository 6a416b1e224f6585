"""``python -m tandem_trainer experiment bundled``: does the teacher pay on the bundled small member itself?

One phase of ``recipes/pair.json`` (``early`` of small, from its grown forerunner), cut short, with the recipe's objective and teacher and without
them; both runs of a seed start from the same weights and read the same rows in the same order. Scored as the members are (mean accuracy over the tasks) on the
development items, which are neither trained on nor the reported held-out set. Finished runs are kept in ``results.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.objectives import DOCUMENT, interval, number, train_to_end  # noqa: E402
from tandem_trainer import pair  # noqa: E402
from tandem_trainer.data import heldout, sources  # noqa: E402
from tandem_trainer.evaluate import answers, score  # noqa: E402
from tandem_trainer.job import Job, JobError, parse_job  # noqa: E402
from tandem_trainer.tokenizer import load_tokenizer  # noqa: E402
from tandem_trainer.train import load_model, train  # noqa: E402

ARMS = ("plain", "taught")
TEACHING = ("teacher", "objective", "objective_options", "teacher_weight")
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
MARKS = ("<!-- bundled -->", "<!-- end of bundled -->")


def arm_job(recipe: dict, member: str, phase: str, work: Path, folder: Path, arm: str, seed: int, steps: int) -> Job:
    """The member's phase, cut to ``steps``, under ``seed``; ``plain`` without what the teacher adds. Raises ``JobError`` for an unknown phase."""
    jobs = {job.name: job for job in pair.member_jobs(recipe, member, work)}
    if f"{member}-{phase}" not in jobs:
        raise JobError(f"--phase: expected one of {sorted(name.removeprefix(member + '-') for name in jobs)}, got {phase!r}")
    fields = {name: value for name, value in jobs[f"{member}-{phase}"].to_json().items() if value not in (None, "", [], {})}
    if arm == "plain":
        fields = {name: value for name, value in fields.items() if name not in TEACHING}
    warmup = min(fields["warmup_steps"], steps // 10)
    return parse_job({**fields, "name": f"{arm}-{seed}", "output": str(folder / f"{arm}-{seed}"), "seed": seed, "steps": steps, "warmup_steps": warmup})


def run(recipe: dict, member: str, phase: str, work: Path, folder: Path, root: Path, steps: int, seeds: list[int], log) -> dict[str, Any]:
    """Trains and scores both arms for every seed; returns the report."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(work / "tokenizer.json")
    used = {example.key for example in heldout.read(WEIGHTS / "evaluation" / "heldout.jsonl")}
    dev = heldout.build_dev(root, used)
    kept = folder / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else {arm: {} for arm in ARMS}
    for seed in seeds:
        for arm in ARMS:
            if str(seed) in results[arm]:
                continue
            job = arm_job(recipe, member, phase, work, folder, arm, seed, steps)
            began = time.time()
            train_to_end(job)
            taken = time.time() - began
            model = load_model(job.output)
            found = score(tokenizer, dev, answers(model, tokenizer, dev))
            results[arm][str(seed)] = {"mean": found["mean"], "ece": found["ece"], "tasks": found["tasks"], "seconds": round(taken, 1)}
            kept.write_text(json.dumps(results))
            log(f"seed {seed} {arm}: mean {found['mean']:.4f}, {taken:.0f} s")
    gains = [100 * (results["taught"][str(seed)]["mean"] - results["plain"][str(seed)]["mean"]) for seed in seeds]
    gain, half = interval(gains)
    job = arm_job(recipe, member, phase, work, folder, "taught", seeds[0], steps)
    rows = job.batch_rows * steps
    return {"member": member, "phase": phase, "steps": steps, "rows": rows, "seeds": seeds, "items": len(dev), "objective": job.objective, "teacherWeight": job.teacher_weight,
            "arms": {arm: {str(seed): results[arm][str(seed)] for seed in seeds} for arm in ARMS}, "gain": gain, "interval": half, "gains": gains,
            "torch": torch.__version__, "machine": platform.machine()}


def markdown(report: dict[str, Any]) -> str:
    """The measured part of the document."""
    lines = ["| arm | mean of tasks, %, by seed | mean, % | ECE | seconds a run |", "| --- | --- | ---: | ---: | ---: |"]
    for arm in ARMS:
        runs = list(report["arms"][arm].values())
        means = [100 * one["mean"] for one in runs]
        name = "cross-entropy alone" if arm == "plain" else f"`{report['objective']}` at {report['teacherWeight']:g}, taught by large"
        lines.append(f"| {name} | {', '.join(number(value) for value in means)} | {number(sum(means) / len(means))} | "
                     f"{number(sum(one['ece'] for one in runs) / len(runs), 3)} | {number(sum(one['seconds'] for one in runs) / len(runs), 0)} |")
    lines += ["", f"Gain of the teacher, paired by seed: **{number(report['gain'], 1, True)} ± {number(report['interval'])} points** (95 %, {len(report['seeds'])} seeds), "
              f"{report['steps']} steps, {report['rows']:,} rows read by each run, {report['items']} development items."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs the experiment and writes the tables."""
    trainer = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(prog="experiment bundled", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=trainer / "recipes" / "pair.json")
    parser.add_argument("--member", default="small")
    parser.add_argument("--phase", default="early", help="which phase of the member, from what it starts from")
    parser.add_argument("--work", type=Path, default=trainer / "work", help="folder of the recipe: rows, tokenizer, the trained teacher")
    parser.add_argument("--output", type=Path, default=None, help="folder of the runs (default: bundled in the work folder)")
    parser.add_argument("--data", default=None, help="dataset root; default $TANDEM_DATA or ../shared/data beside the repository")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path, default=None, help="write the report here")
    parser.add_argument("--document", type=Path, nargs="?", const=DOCUMENT, default=None, help="replace the measured table in this Markdown file")
    given = parser.parse_args(arguments)
    folder = given.output or given.work / "bundled"
    report = run(pair.read_recipe(given.recipe), given.member, given.phase, given.work, folder, sources.data_root(given.data), given.steps, given.seeds, lambda text: print(text, file=sys.stderr, flush=True))
    text = markdown(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    if given.document:
        before, _, rest = given.document.read_text().partition(MARKS[0])
        given.document.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

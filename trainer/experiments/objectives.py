"""``python -m tandem_trainer experiment objectives``: every objective against plain training without a teacher.

One tiny student (width 64, two layers) and one tiny teacher (width 128, three layers) on two tasks of the generators,
counting words and giving the last one; three seeds an arm, everything else equal. An arm in ``group`` ``same`` reads the 80
labelled prompts that plain training reads, for as many steps. ``tuned`` arms spend the last third of the steps on the
objective, from a plain student. ``more`` arms read 600 other prompts, without labels, which is what a teacher is for.
``pieces`` has a plain control of its own; ``worked`` also reads the steps of the labelled answers. Writes a table as JSON and
as Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.world import ANSWER_LIMIT, HELD, LABELLED, STUDENT, STUDENT_KINDS, UNLABELLED, World, build, draw  # noqa: E402
from tandem_trainer.job import Job, parse_job  # noqa: E402
from tandem_trainer.train import train  # noqa: E402

SEEDS = (1, 2, 3)
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 %, by the number of values
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "training-objectives.md"


@dataclass(frozen=True)
class Arm:
    """One way of training: the fields of its job, and the arm it is compared with (``control``)."""

    name: str
    group: str
    fields: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    control: str = "plain"
    note: str = ""


ORDER = ("plain", "more", "worked", "same", "tuned", "pieces")  # in which groups are run
TAUGHT = {"teacher": "@teacher", "teacher_weight": 0.7}
WRITES = {"tokens_max": ANSWER_LIMIT}
ARMS = (
    Arm("plain", "plain", note="cross-entropy on the labelled answers"),
    Arm("forward_kl", "same", TAUGHT),
    Arm("reverse_kl", "same", TAUGHT),
    Arm("jensen_shannon", "same", TAUGHT),
    Arm("stored_laws", "same", {"teacher_weight": 0.7, "laws": "@top.npz"}, note="8 likeliest tokens and a tail bin"),
    Arm("stored_laws (sampled)", "same", {"teacher_weight": 0.7, "laws": "@sampled.npz"}, note="12 draws, unbiased"),
    Arm("stored_laws (tail dropped)", "same", {"teacher_weight": 0.7, "laws": "@top.npz"}, {"tail": "drop"}, note="control: the missing mass forgotten"),
    Arm("stored_laws (shuffled)", "same", {"teacher_weight": 0.7, "laws": "@shuffled.npz"}, note="control: laws of other positions"),
    Arm("feature_matching", "same", TAUGHT),
    Arm("attention_matching", "same", TAUGHT),
    Arm("attention_relations", "same", TAUGHT),
    Arm("cross_head", "same", TAUGHT),
    Arm("multi_teacher", "same", {"teachers": ["@part-a", "@part-b"], "teacher_weight": 0.7}, {"fusion": "min_ce"}, note="two teachers that know a part each"),
    Arm("multi_teacher (mean)", "same", {"teachers": ["@part-a", "@part-b"], "teacher_weight": 0.7}, {"fusion": "mean"}, note="control: their average"),
    Arm("multi_teacher (progressive)", "same", {"teachers": ["@part-a", "@part-b"], "teacher_weight": 0.7}, {"fusion": "progressive"}),
    Arm("selective", "same", TAUGHT),
    Arm("rank", "same", TAUGHT),
    Arm("contrastive", "same", {**TAUGHT, "teacher_weight": 0.3}),
    Arm("similarity_contrastive", "same", {**TAUGHT, "teacher_weight": 0.3}),
    Arm("gkd", "tuned", TAUGHT, {**WRITES, "beta": 0.5}, note="samples on the labelled prompts"),
    Arm("minillm", "tuned", TAUGHT, WRITES),
    Arm("advantage", "tuned", {**TAUGHT, "teacher_weight": 0.5, "reference": "@half"}, WRITES, note="reference: the teacher at a quarter of its training"),
    Arm("dpo", "tuned", {"teacher_weight": 0.5, "pairs": "@pairs.jsonl"}, note="right answer against another prompt's"),
    Arm("iterative_dpo", "tuned", {**TAUGHT, "teacher_weight": 0.5}, {**WRITES, "round_steps": 34, "prompts": 48, "samples": 4}, note="two rounds"),
    Arm("confidence", "tuned", {"teacher_weight": 0.5}, {"alpha": 0.5}, note="no teacher"),
    Arm("teacher_text", "more", {"teacher": "@teacher", "teacher_weight": 1.0, "rows": "@unlabelled.npz"}, WRITES, note="the teacher's greedy answers only, no label"),
    Arm("gkd (more prompts)", "more", {"teacher": "@teacher", "teacher_weight": 1.0, "rows": "@unlabelled.npz"}, {**WRITES, "beta": 0.0, "temperature": 1.0}, note="from a plain student; its own samples"),
    Arm("forward_kl (taught text)", "more", {"teacher": "@teacher", "teacher_weight": 1.0, "rows": "@taught.npz"}, note="the teacher's answers and its laws on them"),
    Arm("plain on taught text", "more", {"rows": "@taught.npz"}, note="the same rows as the arm above, their text alone"),
    Arm("plain, other pieces", "pieces", {"rows": "@labelled-other.npz", "tokenizer": "@other.json"}, note="512 other pieces"),
    Arm("span_merged", "pieces", {**TAUGHT, "rows": "@labelled-other.npz", "tokenizer": "@other.json"}, control="plain, other pieces"),
    Arm("rationale", "worked", {"teacher_weight": 1.0, "rows": None, "pairs": "@pairs.jsonl"}, note="worked answers as a second task"),
    Arm("mixed_long_short", "worked", {"teacher_weight": 1.0, "rows": None, "pairs": "@pairs.jsonl"}, {"long_share": 0.2}, note="a fifth of the answers worked"),
)


def resolved(world: World, value: Any) -> Any:
    """``@name`` becomes the world's file."""
    if isinstance(value, list):
        return [resolved(world, one) for one in value]
    return world.path(value[1:]) if isinstance(value, str) and value.startswith("@") else value


def train_to_end(job: Job) -> None:
    """Trains a job, from its last checkpoint if there is one. Ends the experiment when a signal stops it."""
    stopped: list[bool] = []
    train(job, lambda event: stopped.append(True) if event["event"] == "stopped" else None)
    if stopped:
        raise SystemExit("stopped by a signal; started again, it goes on where it was")


def run_arm(world: World, arm: Arm, seed: int, steps: int) -> dict[str, float]:
    """Trains one student and scores it."""
    objective = arm.name.split(" (")[0] if not arm.name.startswith("plain") else "cross_entropy"
    fields = {name: resolved(world, value) for name, value in arm.fields.items()}
    tokenizer = world.other if arm.group == "pieces" else world.tokenizer
    name = f"{arm.name}-{seed}".replace(" ", "-").replace("(", "").replace(")", "").replace(",", "")
    fields |= {"seed": seed, "steps": steps, "objective": objective, "objective_options": arm.options}
    if arm.group == "pieces":
        fields["shape"] = {**STUDENT, "vocabulary": world.other.get_vocab_size()}
    if arm.group == "tuned" or arm.name == "gkd (more prompts)":
        part = steps - steps // 3
        first = world.job(f"start-{seed}", seed=seed, steps=part)
        train_to_end(parse_job(first))
        fields |= {"initial": first["output"], "steps": steps - part, "learning_rate": 1e-3, "embedding_learning_rate": 1e-3}
    job = {key: value for key, value in world.job(name, **fields).items() if value is not None}
    began = time.process_time()
    train_to_end(parse_job(job))
    taken = time.process_time() - began
    return {**world.score(job["output"], tokenizer, arm.group == "worked"), "seconds": taken}


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval (Student's t; NaN half-width for one value)."""
    if len(values) < 2:
        return values[0], math.nan
    return statistics.mean(values), STUDENT_T.get(len(values), 2.6) * statistics.stdev(values) / math.sqrt(len(values))


def table(results: dict[str, dict[str, dict[str, float]]], arms: tuple[Arm, ...] = ARMS) -> list[dict[str, Any]]:
    """One row an arm that has results: means, the difference to its control paired by seed, its interval, values by seed."""
    rows = []
    for arm in arms:
        if not (own := results.get(arm.name)):
            continue
        control = arm.name == arm.control or arm.name.startswith("plain,")
        row = {"arm": arm.name, "group": arm.group, "note": arm.note, "control": None if control else arm.control, "seeds": sorted(own)}
        row |= {key: statistics.mean(one[key] for one in own.values()) for key in ("accuracy", "ece", "auroc", "seconds")}
        row |= {"gain": None, "interval": None, "bySeed": {seed: own[seed]["accuracy"] for seed in sorted(own)}}
        shared = sorted(set(own) & set(results.get(arm.control, {})))
        if not control and shared:
            row["gain"], row["interval"] = interval([own[seed]["accuracy"] - results[arm.control][seed]["accuracy"] for seed in shared])
        rows.append(row)
    return rows


def taught_rows(world: World) -> None:
    """The teacher's answers to the unlabelled prompts as rows, for the arm that matches laws on them."""
    from tandem_trainer.data import packing
    from tandem_trainer.objectives.prompts import prompts_of
    from tandem_trainer.generate import greedy_all
    from tandem_trainer.train import load_model
    import numpy as np

    prompts = prompts_of(packing.PackedRows.load(world.path("unlabelled.npz")), ANSWER_LIMIT, 128)
    given = greedy_all(load_model(world.path("teacher")), [prompt for prompt, _ in prompts.items], ANSWER_LIMIT, prompts.ends)
    encoded = []
    for (prompt, _), answer in zip(prompts.items, given, strict=True):
        weights = np.array([0.1] * len(prompt) + [1.5] * len(answer.written), np.float32)
        weights[0] = 0.0
        encoded.append((np.array(prompt + answer.written, np.uint16), weights))
    packing.pack(encoded, 64).save(world.path("taught.npz"))


def run(folder: Path, steps: int, seeds: tuple[int, ...], names: list[str] | None, log, report_only: bool = False) -> dict[str, Any]:
    """All arms (or the named ones and their controls) over the seeds; finished arms are kept in ``results.json``.

    With ``report_only`` nothing is trained and what is kept is told.
    """
    kept = folder / "results.json"
    if (folder / "pairs.jsonl").is_file():
        world = World(folder, *load_world(folder))
    else:
        world = build(folder, log)
    if not Path(world.path("taught.npz")).is_file():
        taught_rows(world)
    results = json.loads(kept.read_text()) if kept.is_file() else {}
    chosen = [arm for arm in ARMS if not names or arm.name in names or any(other.control == arm.name for other in ARMS if other.name in names)]
    for seed in () if report_only else seeds:
        for arm in sorted(chosen, key=lambda arm: ORDER.index(arm.group)):
            if str(seed) in results.setdefault(arm.name, {}):
                continue
            results[arm.name][str(seed)] = run_arm(world, arm, seed, steps)
            kept.write_text(json.dumps(results))
            log(f"seed {seed} {arm.name}: {results[arm.name][str(seed)]}")
    teachers = {name: world.score(world.path(name)) for name in ("teacher", "part-a", "part-b", "half")}
    rows = table({arm.name: {str(seed): results[arm.name][str(seed)] for seed in seeds if str(seed) in results.get(arm.name, {})} for arm in chosen}, tuple(chosen))
    return {"steps": steps, "seeds": list(seeds), "labelled": LABELLED, "unlabelled": UNLABELLED, "held": HELD, "teachers": teachers, "rows": rows, "torch": torch.__version__, "machine": platform.machine()}


def load_world(folder: Path):
    """Tokenizers and held-out prompts of a world that was built before."""
    from tandem_trainer.data.example import HELD_OUT
    from tandem_trainer.tokenizer import load_tokenizer

    return load_tokenizer(folder / "tokenizer.json"), load_tokenizer(folder / "other.json"), draw(HELD, "held", HELD_OUT, STUDENT_KINDS)


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """A cell of the table."""
    return "" if value is None else "n/a" if math.isnan(value) else f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def verdict(row: dict[str, Any]) -> str:
    """What the interval says: helped, hurt, or not shown either way."""
    if row["gain"] is None:
        return "control"
    if math.isnan(row["interval"]):
        return "one seed"
    if row["gain"] - row["interval"] > 0:
        return "helped"
    return "hurt" if row["gain"] + row["interval"] < 0 else "not shown"


def markdown(report: dict[str, Any]) -> str:
    """The measured part of the document."""
    lines = ["| arm | what it reads | right, % | gain, points (95 %) | ECE | AUROC | seeds | |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for row in report["rows"]:
        gain = "" if row["gain"] is None else f"{number(row['gain'], 1, True)} ± {number(row['interval'])}"
        lines.append(f"| {row['arm']} | {row['group']}{'; ' + row['note'] if row['note'] else ''} | {number(row['accuracy'])} | {gain} | {number(row['ece'], 3)} | {number(row['auroc'], 3)} | {len(row['seeds'])} | {verdict(row)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs the experiment and writes the tables."""
    parser = argparse.ArgumentParser(prog="experiment objectives", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(__file__).resolve().parent.parent / "work" / "objectives", help="folder of the world and the students")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--arms", nargs="*", default=None, help="only these, with their controls")
    parser.add_argument("--report-only", action="store_true", help="train nothing, tell what was kept")
    parser.add_argument("--json", type=Path, default=None, help="write the report here")
    parser.add_argument("--document", type=Path, default=None, help="replace the measured table in this Markdown file")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)

    def log(text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    report = run(given.work, given.steps, tuple(given.seeds), given.arms, log, given.report_only)
    text = markdown(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    if given.document:
        before, _, rest = given.document.read_text().partition("<!-- table -->")
        _, _, after = rest.partition("<!-- end of table -->")
        given.document.write_text(f"{before}<!-- table -->\n{text}\n<!-- end of table -->{after}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

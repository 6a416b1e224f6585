"""``python -m tandem_trainer experiment few_labels``: few labels and many prompts, which the teacher answers.

The small member's own shape and tokenizer, from scratch. ``plain`` reads 1,500 labelled documents of the training mixture of
``recipes/pair.json`` (a phase without its prose); the other arms also read 12,000 prompts of the same mixture whose labels are thrown
away and which the bundled large member answers, and match its stored laws, or not. Same first weights, steps, rows a step and
optimiser in all arms of a seed. Scored as the members are: mean accuracy over the tasks, on the development items along the way
and once on the reported held-out items. Everything finished is kept: answers by the thousand, runs at each mark.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.objectives import DOCUMENT, interval, number  # noqa: E402
from tandem_trainer import pair  # noqa: E402
from tandem_trainer.data import heldout, mixture, packing, sources  # noqa: E402
from tandem_trainer.data.example import Example  # noqa: E402
from tandem_trainer.evaluate import ANSWER_LIMIT, answers, score  # noqa: E402
from tandem_trainer.generate import greedy_all  # noqa: E402
from tandem_trainer.import_gguf import read_model  # noqa: E402
from tandem_trainer.job import Job, parse_job  # noqa: E402
from tandem_trainer.model import Llama  # noqa: E402
from tandem_trainer.objectives.stored_laws import store_laws  # noqa: E402
from tandem_trainer.session import read_checkpoint  # noqa: E402
from tandem_trainer.tokenizer import END_OF_TEXT, MESSAGE_END, load_tokenizer  # noqa: E402
from tandem_trainer.train import load_model, train  # noqa: E402

LABELLED, PROMPTS, CHUNK = 1_500, 12_000, 1_000
TIME, STORED = 256, 16
MARKS = {"labelled": 4, "all": 1}  # how often a run is scored on the development items: few labels are read many times over
PROSE = ("stories", "tinystories", "books")
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
TABLE = ("<!-- few labels -->", "<!-- end of few labels -->")


@dataclass(frozen=True)
class Arm:
    """Which rows an arm reads, whether it matches the teacher's stored laws on them, and what the table says of it."""

    rows: str
    laws: bool
    note: str


ARMS = {
    "plain": Arm("labelled", False, "the labelled examples; cross-entropy"),
    "laws": Arm("labelled", True, "the labelled examples; cross-entropy and the teacher's laws"),
    "text": Arm("all", False, "and the teacher's answers to the other prompts; cross-entropy"),
    "taught": Arm("all", True, "and the teacher's answers to the other prompts; cross-entropy and the teacher's laws"),
}


def drawn(recipe: dict, phase: str, root: Path, count: int) -> list[mixture.Document]:
    """``count`` task documents of a phase's mixture, no prompt twice, nothing like a test item."""
    plan = [row for row in recipe["phases"][phase]["mixture"] if row["source"] not in PROSE]
    found: dict[tuple, mixture.Document] = {}
    for document in mixture.documents(plan, root, recipe["seed"], pair.forbid_test_items(root)[0]):
        found.setdefault(document.runs[:-2], document)
        if len(found) == count:
            return list(found.values())
    raise ValueError(f"count: expected at most {len(found)} documents of {phase!r}, got {count}")


def answered(teacher: Llama, tokenizer: Tokenizer, documents: list[mixture.Document]) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """The documents with the teacher's greedy answers in place of the labels, encoded, and how many answers equal the label.

    An answer that does not end is left out. What an assistant said earlier in the conversation weighs as a prompt does.
    """
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    prompts = [[one for text, _ in document.runs[:-2] for one in encode(text)] for document in documents]
    ends = {tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(MESSAGE_END)}
    made, same = [], 0
    for document, prompt, answer in zip(documents, prompts, greedy_all(teacher, prompts, ANSWER_LIMIT, ends), strict=True):
        if not answer.ended:
            continue
        (label, weight), (rest, light) = document.runs[-2:]
        same += answer.written == encode(label)
        after = encode(rest)
        weights = np.array([light] * len(prompt) + [weight] * len(answer.written) + [light] * len(after), np.float32)
        weights[0] = 0.0
        made.append((np.array(prompt + answer.written + after, np.uint16), weights))
    return made, same


def answer_chunk(folder: Path, teacher: Llama, tokenizer: Tokenizer, documents: list[mixture.Document], name: int) -> None:
    """Writes ``answers/<name>.npz``: some documents as the teacher answered them."""
    made, same = answered(teacher, tokenizer, documents)
    path = folder / "answers" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    lengths = np.array([len(ids) for ids, _ in made])
    np.savez(part, ids=np.concatenate([ids for ids, _ in made]), weights=np.concatenate([weights for _, weights in made]), lengths=lengths, same=same)
    part.rename(path)


def read_chunk(path: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """What ``answer_chunk`` wrote."""
    with np.load(path) as stored:
        borders = np.cumsum(stored["lengths"])[:-1]
        return list(zip(np.split(stored["ids"], borders), np.split(stored["weights"], borders), strict=True)), int(stored["same"])


def prepare(recipe: dict, phase: str, folder: Path, root: Path, teacher: Llama, tokenizer: Tokenizer, log) -> dict[str, Any]:
    """Makes ``labelled.npz`` and ``all.npz`` and the teacher's laws on both; returns counts. Finished parts are kept."""
    kept = folder / "prepared.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    documents = drawn(recipe, phase, root, LABELLED + PROMPTS)
    labelled = list(packing.encode(documents[:LABELLED], tokenizer))
    packing.pack(labelled, TIME).save(folder / "labelled.npz")
    taught, same = [], 0
    for name, begin in enumerate(range(LABELLED, LABELLED + PROMPTS, CHUNK)):
        path = folder / "answers" / f"{name}.npz"
        if not path.is_file():
            answer_chunk(folder, teacher, tokenizer, documents[begin : begin + CHUNK], name)
        made, equal = read_chunk(path)
        taught, same = taught + made, same + equal
        log(f"{len(taught)} prompts answered, {same} as the label says")
    order = np.random.default_rng(recipe["seed"]).permutation(LABELLED + len(taught))
    mixed = [(labelled + taught)[at] for at in order]
    packing.pack(mixed, TIME).save(folder / "all.npz")
    counts: dict[str, Any] = {"labelled": LABELLED, "prompts": PROMPTS, "answered": len(taught), "asLabel": same}
    for name in ("labelled", "all"):
        rows = packing.PackedRows.load(folder / f"{name}.npz")
        store_laws(teacher, rows, "top", STORED).save(folder / f"{name}-laws.npz")
        counts[f"{name}Tokens"], counts[f"{name}Rows"] = rows.tokens, len(rows)
        log(f"laws of {name}: {rows.tokens} tokens")
    kept.write_text(json.dumps(counts))
    return counts


def arm_job(recipe: dict, member: str, folder: Path, arm: str, seed: int, steps: int, rows: int) -> Job:
    """One run: the member's shape from scratch, on an arm's rows, with or without the teacher's laws."""
    shape = pair.member_jobs(recipe, member, folder)[-1].shape.to_json()
    name = f"{arm}-{seed}"
    fields = {"name": name, "output": str(folder / "runs" / name), "shape": shape, "rows": str(folder / f"{ARMS[arm].rows}.npz"), "seed": seed, "steps": steps, "batch_rows": rows,
              "warmup_steps": min(30, steps // 10), "checkpoint_every": -(-steps // MARKS[ARMS[arm].rows]), "precision": "f32", "compile": False}
    if ARMS[arm].laws:
        fields |= {"objective": "stored_laws", "laws": str(folder / f"{ARMS[arm].rows}-laws.npz"), "teacher_weight": 0.7}
    return parse_job(fields)


def scored(model: Llama, tokenizer: Tokenizer, items: list[Example]) -> dict[str, Any]:
    """Mean over the tasks, calibration error and the tasks."""
    found = score(tokenizer, items, answers(model, tokenizer, items))
    return {name: found[name] for name in ("mean", "ece", "tasks")}


def run_arm(job: Job, tokenizer: Tokenizer, dev: list[Example], held: list[Example]) -> dict[str, Any]:
    """Trains a job from mark to mark and scores it; a finished or half-finished run goes on where it was.

    ``curve`` has the development mean at each mark; ``heldout`` is the end's, ``best`` that of the mark with the best development
    mean. ``seconds`` is the process's CPU time in training. Ends the experiment when a signal stops a run.
    """
    output = Path(job.output)
    output.mkdir(parents=True, exist_ok=True)
    kept = output / "result.json"
    result = json.loads(kept.read_text()) if kept.is_file() else {"curve": [], "seconds": 0.0}
    for mark in range(job.checkpoint_every, job.steps + job.checkpoint_every, job.checkpoint_every):
        mark = min(mark, job.steps)
        if mark in [row["step"] for row in result["curve"]]:
            continue
        done = read_checkpoint(output / "checkpoint.pt")["step"] if (output / "checkpoint.pt").is_file() else 0
        began = time.process_time()
        if done < mark:
            train(job, lambda event: None, stop_after=mark - done)
        result["seconds"] = round(result["seconds"] + time.process_time() - began, 1)
        stored = read_checkpoint(output / "checkpoint.pt")
        if stored["step"] != mark:
            raise SystemExit("stopped by a signal; started again, it goes on where it was")
        result["curve"].append({"step": mark, "dev": scored(load_model(output), tokenizer, dev)["mean"]})
        if result["curve"][-1] == max(result["curve"], key=lambda row: row["dev"]):
            (output / "best").mkdir(exist_ok=True)
            torch.save({"shape": stored["shape"], "model": stored["model"]}, output / "best" / "checkpoint.pt")
        kept.write_text(json.dumps(result))
    if "heldout" not in result:
        result["heldout"] = scored(load_model(output), tokenizer, held)
        best = max(result["curve"], key=lambda row: row["dev"])
        last = best == result["curve"][-1]
        result["best"] = {"step": best["step"], "mean": result["heldout"]["mean"] if last else scored(load_model(output / "best"), tokenizer, held)["mean"]}
        kept.write_text(json.dumps(result))
    return result


def kept_runs(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The finished runs, by arm and seed."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((folder / "runs").glob("*/result.json")):
        arm, _, seed = path.parent.name.rpartition("-")
        result = json.loads(path.read_text())
        if arm in ARMS and "heldout" in result:
            found.setdefault(arm, {})[seed] = result
    return {arm: found[arm] for arm in ARMS if arm in found}


def gain_over(own: dict[str, dict], control: dict[str, dict]) -> dict[str, Any]:
    """The paired gain in points of held-out mean, over the better of the control's end and its best mark, seed by seed."""
    seeds = sorted(set(own) & set(control))
    gains = [100 * (own[seed]["heldout"]["mean"] - max(control[seed]["heldout"]["mean"], control[seed]["best"]["mean"])) for seed in seeds]
    mean, half = interval(gains)
    return {"gain": mean, "interval": half, "gains": gains, "seeds": seeds}


def report_of(arms: dict[str, dict[str, dict]], setting: dict[str, Any]) -> dict[str, Any]:
    """The report: the runs, and the gain of every other arm over ``plain``, and of ``taught`` over ``text``."""
    gains = {arm: gain_over(arms[arm], arms["plain"]) for arm in arms if arm != "plain" and "plain" in arms}
    laws = gain_over(arms["taught"], arms["text"]) if {"taught", "text"} <= set(arms) else None
    return {**setting, "arms": arms, "gains": gains, "lawsOverText": laws, "torch": torch.__version__, "machine": platform.machine()}


def told(gain: dict[str, Any]) -> str:
    """A gain with its interval, or as of one seed."""
    return f"{number(gain['gain'], 1, True)} (one seed)" if len(gain["seeds"]) < 2 else f"{number(gain['gain'], 1, True)} ± {number(gain['interval'])}"


def markdown(report: dict[str, Any]) -> str:
    """The measured part of the document: the arms, and the tasks of all of them."""
    lines = ["| arm | reads | held-out mean, %, by seed | mean, % | at its best mark, % | development, % | gain, points (95 %) | ECE | CPU seconds a run |", "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for arm, runs in report["arms"].items():
        mean = lambda read: statistics.mean(read(one) for one in runs.values())  # noqa: B023, E731
        by_seed = ", ".join(number(100 * one["heldout"]["mean"]) for _, one in sorted(runs.items()))
        gain = "" if arm == "plain" else told(report["gains"][arm])
        lines.append(f"| {arm} | {ARMS[arm].note} | {by_seed} | {number(100 * mean(lambda one: one['heldout']['mean']))} | {number(100 * mean(lambda one: one['best']['mean']))} | {number(100 * mean(lambda one: one['curve'][-1]['dev']))} | {gain} | "
                     f"{number(mean(lambda one: one['heldout']['ece']), 3)} | {number(mean(lambda one: one['seconds']), 0)} |")
    names = sorted({task for runs in report["arms"].values() for one in runs.values() for task in one["heldout"]["tasks"]})
    lines += ["", f"| task | {' | '.join(report['arms'])} |", f"| --- |{' ---: |' * len(report['arms'])}"]
    for task in names:
        cells = [number(100 * statistics.mean(one["heldout"]["tasks"][task] for one in runs.values())) for runs in report["arms"].values()]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs the experiment and writes the tables."""
    trainer = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(prog="experiment few_labels", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=trainer / "recipes" / "pair.json")
    parser.add_argument("--member", default="small", help="whose shape is trained")
    parser.add_argument("--phase", default="early", help="whose mixture is drawn from")
    parser.add_argument("--teacher", type=Path, default=WEIGHTS / "large" / "model.gguf")
    parser.add_argument("--work", type=Path, default=trainer / "work" / "few-labels", help="folder of the rows, the answers and the runs")
    parser.add_argument("--data", default=None, help="dataset root; default $TANDEM_DATA or ../shared/data beside the repository")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rows", type=int, default=4, help="rows of 256 tokens a step")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--json", type=Path, default=None, help="write the report here")
    parser.add_argument("--document", type=Path, nargs="?", const=DOCUMENT, default=None, help="replace the measured tables in this Markdown file")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    log = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    recipe, root = pair.read_recipe(given.recipe), sources.data_root(given.data)
    tokenizer = load_tokenizer(pair.RECIPES / recipe["tokenizer"])
    held = heldout.read(WEIGHTS / "evaluation" / "heldout.jsonl")
    dev = heldout.build_dev(root, {example.key for example in held})
    counts = prepare(recipe, given.phase, given.work, root, read_model(given.teacher), tokenizer, log)
    for seed in given.seeds:
        for arm in given.arms:
            result = run_arm(arm_job(recipe, given.member, given.work, arm, seed, given.steps, given.rows), tokenizer, dev, held)
            log(f"seed {seed} {arm}: held-out {result['heldout']['mean']:.4f}, curve {result['curve']}, {result['seconds']:.0f} s")
    setting = {"member": given.member, "phase": given.phase, "steps": given.steps, "rows": given.rows, "dev": len(dev), "heldout": len(held), **counts}
    report = report_of(kept_runs(given.work), setting)
    text = markdown(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    if given.document:
        before, _, rest = given.document.read_text().partition(TABLE[0])
        given.document.write_text(f"{before}{TABLE[0]}\n{text}\n{TABLE[1]}{rest.partition(TABLE[1])[2]}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

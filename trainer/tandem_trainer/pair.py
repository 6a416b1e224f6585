"""Rebuilds a pair from a recipe: tokenizer, packed rows, large, small (taught by large), GGUF files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from .data import heldout, mixture, packing, sources
from .data.example import Example
from .data.overlap import OverlapIndex, words_of
from .grow import SIZES, grow
from .job import Job, JobError, parse_job
from .measure import load_rows
from .merge import merge
from .model_folder import save_model
from .prune import SIZES as PRUNED_SIZES
from .prune import prune
from .tokenizer import load_tokenizer, train_tokenizer
from .train import load_model, train

TOKENIZER_DOCUMENTS = 60_000
USER_LEAD = "<|im_start|>user\n"
RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def read_recipe(path: str | Path) -> dict:
    """A pair recipe. Raises ``JobError`` naming the missing field."""
    try:
        recipe = json.loads(Path(path).read_text())
    except FileNotFoundError as cause:
        raise JobError(f"recipe: expected JSON at {path}, found nothing") from cause
    for name in ("seed", "pieces", "phases", "order", "members"):
        if name not in recipe:
            raise JobError(f"recipe.{name}: expected a value, got nothing")
    return recipe


def test_overlap(root: Path) -> OverlapIndex:
    """An index over every utterance of the test and validation splits that evaluation uses."""
    items = sources.clinc150(root, "test") + sources.clinc150(root, "val") + sources.snips(root, "validate")
    return OverlapIndex(example.prompt[-1][1].partition(": ")[2] for example in items)


def forbid_test_items(root: Path) -> tuple[Callable[[Example], bool], set[str]]:
    """A predicate that is true for training utterances like a test utterance, and the set it has met."""
    index = test_overlap(root)
    verdicts: dict[str, bool] = {}
    met: set[str] = set()

    def forbidden(example: Example) -> bool:
        if example.task not in ("intent", "domain", "slots"):
            return False
        text = example.prompt[-1][1].partition(": ")[2]
        if text not in verdicts:
            verdicts[text] = index.kind(text) is not None
            if verdicts[text]:
                met.add(text)
        return verdicts[text]

    return forbidden, met


def prepare(recipe: dict, root: Path, work: Path) -> dict:
    """Makes ``tokenizer.json`` and one ``rows-<phase>.npz`` per phase under ``work``; returns counts.

    The tokenizer is the recipe's own file when it names one (``tokenizer``), else it is trained on the
    first phase's documents. Training utterances that equal or nearly equal a test utterance are left out and counted.
    """
    work.mkdir(parents=True, exist_ok=True)
    forbidden, dropped = forbid_test_items(root)
    report: dict = {"phases": {}}
    tokenizer: Tokenizer | None = None
    if recipe.get("tokenizer"):
        tokenizer = load_tokenizer(RECIPES / recipe["tokenizer"])
        tokenizer.save(str(work / "tokenizer.json"))
    for number, (phase, plan) in enumerate(recipe["phases"].items()):
        documents = mixture.documents(plan["mixture"], root, recipe["seed"] + number, forbidden)
        if tokenizer is None:
            sample = random.Random(recipe["seed"]).sample(documents, min(TOKENIZER_DOCUMENTS, len(documents)))
            tokenizer = train_tokenizer(("".join(text for text, _ in document.runs) for document in sample), recipe["pieces"])
            tokenizer.save(str(work / "tokenizer.json"))
        rows = packing.pack(packing.encode(documents, tokenizer), plan["time"])
        rows.save(work / f"rows-{phase}.npz")
        report["phases"][phase] = {"documents": len(documents), "rows": len(rows), "tokens": rows.tokens, "filled": round(rows.tokens / rows.ids.size, 4)}
    report["droppedAsTestDuplicates"] = len(dropped)
    (work / "prepared.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def member_jobs(recipe: dict, member: str, work: Path) -> list[Job]:
    """The training jobs of a member, one per phase, each starting from the one before.

    A phase that names a ``shape`` starts from the model before it grown to that shape, in the folder that its ``initial``
    names, and the phases after it keep that shape. A phase with ``from`` starts from that phase instead of the one
    before it. A member with ``prunedFrom`` (``member-phase``) starts from that model pruned to its own shape. Raises ``JobError`` naming the member or the field at fault.
    """
    if member not in recipe["members"]:
        raise JobError(f"member: expected one of {sorted(recipe['members'])}, got {member!r}")
    plan = recipe["members"][member]
    shape = plan["shape"]
    jobs: list[Job] = []
    for phase, stated in plan["phases"].items():
        settings = {name: value for name, value in stated.items() if name != "from"}
        grows = bool(jobs) and settings.get("shape", shape) != shape
        shape = settings.get("shape", shape)
        raw = {
            "name": f"{member}-{phase}", "rows": str(work / f"rows-{phase}.npz"),
            "output": str(work / f"{member}-{phase}"), "seed": recipe["seed"], **settings, "shape": shape,
        }
        if not jobs and "prunedFrom" in plan:
            raw["initial"] = str(work / f"{member}-pruned")
        elif jobs:
            before = str(work / f"{member}-{stated['from']}") if "from" in stated else jobs[-1].output
            raw["initial"] = str(work / f"{member}-{phase}-grown") if grows else before
        if raw.get("teacher"):
            teacher = recipe["members"][raw["teacher"]]
            raw["teacher"] = str(work / f"{raw['teacher']}-{list(teacher['phases'])[-1]}")
        jobs.append(parse_job(raw))
    return jobs


def member_folder(recipe: dict, member: str, work: Path) -> Path:
    """The folder of the trained member: of its last phase, or of the average of the phases that ``average`` weighs."""
    return work / f"{member}-average" if "average" in recipe["members"][member] else Path(member_jobs(recipe, member, work)[-1].output)


def train_member(recipe: dict, member: str, work: Path) -> None:
    """Trains a member phase by phase, from the last checkpoint of each. Raises as ``train``, ``grow`` and ``prune`` do."""
    source = recipe["members"].get(member, {}).get("prunedFrom")
    before: Job | None = None
    for job in member_jobs(recipe, member, work):
        missing = job.initial is not None and not (Path(job.initial) / "checkpoint.pt").is_file()
        sizes = job.shape.to_json()
        if before is None and source and missing:
            model, taken = prune(load_model(work / source), {name: sizes[name] for name in PRUNED_SIZES}, load_rows(job.rows), seed=job.seed)
            save_model(job.initial, model, {"tool": "prune", "from": source, "blocksTaken": taken})
        elif before is not None and job.shape != before.shape and missing:
            save_model(job.initial, grow(load_model(before.output), {name: sizes[name] for name in SIZES}, seed=job.seed), {"tool": "grow", "from": before.name})
        train(job)
        before = job
    if weights := recipe["members"][member].get("average"):
        models = [load_model(work / f"{member}-{phase}") for phase in weights]
        save_model(member_folder(recipe, member, work), merge(models, list(weights.values()), "linear"), {"tool": "merge", "weights": weights})


def training_turns(recipe: dict, root: Path) -> set[str]:
    """Every user turn of every training document, in the compared form of ``overlap.words_of``."""
    turns: set[str] = set()
    forbidden = forbid_test_items(root)[0]
    for number, plan in enumerate(recipe["phases"].values()):
        for document in mixture.documents(plan["mixture"], root, recipe["seed"] + number, forbidden):
            for text, _ in document.runs:
                if text.startswith(USER_LEAD):
                    turns.add(text.removeprefix(USER_LEAD).removesuffix("<|im_end|>\n"))
    return turns


def overlap_report(recipe: dict, root: Path, weights: Path) -> dict:
    """How many held-out prompts (last turns) occur exactly or nearly among the user turns of training.

    Near duplicates are counted for the natural utterances (intent, domain, slots); templated synthetic
    prompts resemble each other by design, so for them only equality means anything. Last turns of
    multi-turn examples are fixed questions: there the whole conversation is compared by the split's hash.
    """
    examples = [example for example in heldout.read(weights / "evaluation" / "heldout.jsonl") if example.task != "multi-turn"]
    turns = training_turns(recipe, root)
    compared = {words_of(turn) for turn in turns}
    index = OverlapIndex(turn.partition(": ")[2] for turn in turns if turn.startswith(("Intent: ", "Domain: ", "Slots: ")))
    natural = [example for example in examples if example.task in ("intent", "domain", "slots")]
    kinds = [index.kind(example.prompt[-1][1].partition(": ")[2]) for example in natural]
    return {
        "trainingTurns": len(turns), "heldOut": len(examples),
        "exact": sum(words_of(example.prompt[-1][1]) in compared for example in examples if example.task not in ("arithmetic", "word-problem", "units"))
        + sum(example.prompt[-1][1] in turns for example in examples if example.task in ("arithmetic", "word-problem", "units")),
        "natural": len(natural), "naturalExact": kinds.count("exact"), "naturalNear": kinds.count("near"),
    }


def write_heldout(recipe: dict, root: Path, weights: Path) -> dict:
    """Writes ``evaluation/heldout.jsonl`` without any prompt that occurs among the training turns."""
    turns = training_turns(recipe, root)
    index = OverlapIndex(turn.partition(": ")[2] for turn in turns if turn.startswith(("Intent: ", "Domain: ", "Slots: ")))
    kept = []
    for example in heldout.build(root):
        text = example.prompt[-1][1]
        natural = example.task in ("intent", "domain", "slots")
        if text in turns and example.task != "multi-turn" or natural and index.kind(text.partition(": ")[2]):
            continue
        kept.append(example)
    heldout.write(weights / "evaluation" / "heldout.jsonl", kept, heldout.story_openings(root))
    return {"heldOut": len(kept)}

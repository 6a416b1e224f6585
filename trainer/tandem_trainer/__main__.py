"""``python -m tandem_trainer``: prepare data, train, export, verify, evaluate, rebuild the pair."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

from . import adapter_files, bundle, experiment, grow, import_gguf, job_schema, learned_growth, merge, pack_text, pair, prune, quantize, verify
from .calibrate import fit_temperature, fold_temperature
from .data import heldout, sources
from .embedder import command as embedder
from .errors import TrainerError
from .evaluate import evaluate_family, evaluate_intents, perplexity
from .export_gguf import QUANTIZATIONS, export
from .job import JobError, read_job
from .model import Llama
from .objectives import command as laws
from .preflight import command as check
from .tokenizer import load_tokenizer
from .train import TrainingFailed, load_model, print_event, train

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "pair.json"
WORK = Path(__file__).resolve().parent.parent / "work"
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"

# Commands that stand in their own modules: each has register(commands) and run(given) -> the event to print.
TOOLS = (adapter_files, check, embedder, experiment, grow, import_gguf, job_schema, laws, learned_growth, merge, pack_text, prune, quantize)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tandem_trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, help_: str, *options: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=help_)
        known = {
            "recipe": dict(type=Path, default=RECIPE, help="pair recipe (JSON)"),
            "data": dict(default=None, help="dataset root; default $TANDEM_DATA or ../shared/data beside the repository"),
            "work": dict(type=Path, default=WORK, help="folder for tokenizer, rows and checkpoints"),
            "weights": dict(type=Path, default=WEIGHTS, help="folder that receives the GGUF files and cards"),
            "checkpoint": dict(type=Path, required=True, help="folder holding checkpoint.pt"),
            "tokenizer": dict(type=Path, required=True, help="tokenizer.json"),
            "server": dict(type=Path, default=None, help="llama.cpp's llama-server, instead of Tandem's own engine"),
        }
        for option in options:
            sub.add_argument(f"--{option}", **known[option])
        return sub

    for tool in TOOLS:
        tool.register(commands)
    add("tokenizer", "make the tokenizer and the packed rows of a recipe", "recipe", "data", "work")
    sub = add("train", "run one training job")
    sub.add_argument("job", type=Path, help="job file (JSON)")
    sub.add_argument("--adaptive-threads", action="store_true", help="use one thread when the machine is busy")
    sub.add_argument("--skip-checks", action="store_true", help="start without the checks and the receipt that come before a run")
    sub = add("export", "write a checkpoint as GGUF", "checkpoint", "tokenizer")
    sub.add_argument("--quantization", choices=sorted(QUANTIZATIONS), default="q8_0")
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--name", default="tandem")
    sub = add("verify", "compare token ids and next-token laws of torch and llama.cpp", "checkpoint", "tokenizer", "server", "data")
    sub.add_argument("--positions", type=int, default=1000)
    sub.add_argument("--texts", type=int, default=3000)
    sub.add_argument("--quantization", choices=sorted(QUANTIZATIONS), default="q8_0")
    sub = add("evaluate", "held-out accuracy, calibration and agreement of a pair", "tokenizer", "data", "weights")
    sub.add_argument("--small", type=Path, required=True)
    sub.add_argument("--large", type=Path, required=True)
    sub.add_argument("--quantization", choices=sorted(QUANTIZATIONS), default="q8_0")
    sub.add_argument("--out", type=Path, default=None)
    add("overlap", "count held-out prompts that occur in the training data", "recipe", "data", "weights")
    add("heldout", "write weights/evaluation/heldout.jsonl", "recipe", "data", "weights")
    sub = add("pair", "rebuild the pair: data, large, small, GGUF files, evaluation, cards", "recipe", "data", "work", "weights")
    sub.add_argument("--server", type=Path, default=None, help="llama.cpp's llama-server, to verify the files instead of Tandem's own engine")
    sub.add_argument("--only", choices=("train", "bundle"), default=None, help="stop after training, or only bundle what is trained")
    return parser


def run_verify(model: Llama, tokenizer_path: Path, server: Path | None, root: Path, quantization: str, positions: int, texts: int) -> dict:
    """Exports f32 and ``quantization`` to a temporary folder and compares both with torch, in Tandem's engine or in ``server``."""
    tokenizer = load_tokenizer(tokenizer_path)
    stories = sources.tinystories(root, "held-out")
    chats = [
        "<|im_start|>user\n" + example.prompt[-1][1] + "<|im_end|>\n<|im_start|>assistant\n" + example.expected + "<|im_end|>\n"
        for example in heldout.build(root, 2)
    ]
    sequences = [tokenizer.encode(text).ids[:200] for text in stories[:12] + chats[:60]]
    report: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in dict.fromkeys(("f32", quantization)):
            path = Path(folder) / f"{kind}.gguf"
            export(model, tokenizer, path, kind, "verify")
            with contextlib.nullcontext() if server is None else verify.engine(server, path) as base:
                if kind == "f32":
                    every = verify.hostile_texts(texts - len(stories) - len(chats)) + stories + chats
                    report["texts"] = len(every)
                    report["differentTokenIds"] = len(verify.different_tokens(path, tokenizer, every) if server is None else verify.token_ids(base, tokenizer, every))
                report[kind] = verify.compare_with_tandem(path, model, sequences, positions) if server is None else verify.compare_laws(base, model, sequences, positions)
    report["passed"] = (
        report["differentTokenIds"] == 0
        and report["f32"]["maxAbsLogprob"] < verify.F32_LIMIT
        and report[quantization]["meanKl"] < verify.Q8_KL_LIMIT
    )
    return report


def run_bundle(recipe: dict, root: Path, work: Path, weights: Path, server: Path | None) -> dict:
    """Calibrates, exports, evaluates, verifies and describes the trained members under ``weights``."""
    tokenizer = load_tokenizer(work / "tokenizer.json")
    examples, openings = heldout.read(weights / "evaluation" / "heldout.jsonl"), heldout.story_openings(root)
    dev = heldout.build_dev(root, {example.key for example in examples})
    folders = {member: pair.member_folder(recipe, member, work) for member in recipe["members"]}
    models, fitted = {}, {}
    for member, folder in folders.items():
        model = load_model(folder)
        fitted[member] = fit_temperature(model, tokenizer, dev)
        models[member] = fold_temperature(model, fitted[member]["temperature"])
    kinds = {member: recipe["members"][member].get("quantization", "q8_0") for member in models}
    shipped = {member: bundle.rounded(model, kinds[member]) for member, model in models.items()}
    report = evaluate_family(shipped, tokenizer, examples, openings, dev)
    stories, intents = sources.tinystories(root, "held-out"), sources.clinc150(root, "test")
    for member in models:
        report[member] |= {
            "tinystoriesPerplexity": round(perplexity(shipped[member], tokenizer, stories), 3), "temperature": fitted[member]["temperature"],
            "clinc150": evaluate_intents(shipped[member], tokenizer, intents),
        }
    report["overlap"] = pair.overlap_report(recipe, root, weights)
    (weights / "evaluation").mkdir(parents=True, exist_ok=True)
    (weights / "evaluation" / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    verification = {member: run_verify(models[member], work / "tokenizer.json", server, root, kinds[member], 1000, 3000) for member in models}
    trained_context = max(plan["time"] for plan in recipe["phases"].values())
    entries = []
    for member, model in models.items():
        plan = recipe["members"][member]
        entry = bundle.member_entry(weights, member, model, tokenizer, kinds[member], trained_context, {"training": plan.get("training", "")})
        entries.append(entry)
        card = bundle.card(member, entry, report, verification.get(member, {}), plan.get("limits", ""))
        (weights / member / "README.md").write_text(card)
    bundle.write_manifest(weights, entries, report, verification, bundle.example_rows(shipped, tokenizer))
    return {"report": report, "verification": verification}


def main(arguments: list[str] | None = None) -> int:
    """Runs a command. Returns 0, or 2 with one line on standard error for a job that cannot be run."""
    given = build_parser().parse_args(arguments)
    try:
        if given.command == "train":
            train(read_job(given.job), adaptive_threads=given.adaptive_threads, check=not given.skip_checks)
            return 0
        if hasattr(given, "run"):
            print_event(given.run(given))
            return 0
        root = sources.data_root(getattr(given, "data", None))
        if given.command == "tokenizer":
            print_event(pair.prepare(pair.read_recipe(given.recipe), root, given.work))
        elif given.command == "export":
            size = export(load_model(given.checkpoint), load_tokenizer(given.tokenizer), given.out, given.quantization, given.name, bundle.LICENCE)
            print_event({"file": str(given.out), "bytes": size})
        elif given.command == "verify":
            report = run_verify(load_model(given.checkpoint), given.tokenizer, given.server, root, given.quantization, given.positions, given.texts)
            print_event(report)
            return 0 if report["passed"] else 1
        elif given.command == "evaluate":
            small, large = (bundle.rounded(load_model(folder), given.quantization) for folder in (given.small, given.large))
            examples = heldout.read(given.weights / "evaluation" / "heldout.jsonl")
            report = evaluate_family({"small": small, "large": large}, load_tokenizer(given.tokenizer), examples, heldout.story_openings(root))
            if given.out:
                given.out.write_text(json.dumps(report, indent=2) + "\n")
            print_event(report)
        elif given.command == "heldout":
            print_event(pair.write_heldout(pair.read_recipe(given.recipe), root, given.weights))
        elif given.command == "overlap":
            print_event(pair.overlap_report(pair.read_recipe(given.recipe), root, given.weights))
        else:
            recipe = pair.read_recipe(given.recipe)
            if given.only != "bundle":
                print_event(pair.prepare(recipe, root, given.work))
                for member in recipe["order"]:
                    pair.train_member(recipe, member, given.work)
            if given.only != "train":
                if not (given.weights / "evaluation" / "heldout.jsonl").is_file():
                    pair.write_heldout(recipe, root, given.weights)
                print_event(run_bundle(recipe, root, given.work, given.weights, given.server))
        return 0
    except (JobError, TrainingFailed, FileNotFoundError, verify.EngineFailed, ValueError) as failure:
        if isinstance(failure, TrainerError):
            print_event(failure.to_event())
        sys.stderr.write(f"tandem_trainer: {failure}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())

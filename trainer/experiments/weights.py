"""Small experiments on weights, from synthetic text alone: growth against scratch, pruning with recovery, quantising, adapters.

    python experiments/weights.py growth --work work/weights --seeds 3
    python experiments/weights.py shrink --work work/weights --model <checkpoint of a bundled member> --tokenizer recipes/pair.tokenizer.json

Prints one JSON object a result. Steps and tokens are counted, not seconds: other work on the machine does not change them.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tandem_trainer.adapter_files import export_adapter  # noqa: E402
from tandem_trainer.adapters import load_adapted  # noqa: E402
from tandem_trainer.data import mixture, packing  # noqa: E402
from tandem_trainer.grow import grow  # noqa: E402
from tandem_trainer.job import parse_job  # noqa: E402
from tandem_trainer.learned_growth import learn_growth  # noqa: E402
from tandem_trainer.measure import compare_models, load_rows  # noqa: E402
from tandem_trainer.model_folder import save_model  # noqa: E402
from tandem_trainer.prune import prune  # noqa: E402
from tandem_trainer.quantize import rounded, stored_bytes  # noqa: E402
from tandem_trainer.tokenizer import load_tokenizer, train_tokenizer  # noqa: E402
from tandem_trainer.train import load_model, train  # noqa: E402


def documents(count: int, seed: int) -> list:
    """Synthetic documents of every kind, ``count`` a kind."""
    random_ = random.Random(seed)
    return [mixture.conversation_document(example) for name in mixture.GENERATORS for example in mixture.synthetic(name, count, random_)]


def say(**result: object) -> None:
    """Prints one result."""
    print(json.dumps(result), flush=True)


def make_rows(work: Path, tokenizer, train_count: int, time: int) -> tuple[str, object]:
    """Rows to train on (a path) and held-out rows of other seeds."""
    work.mkdir(parents=True, exist_ok=True)
    packing.pack(packing.encode(documents(train_count, 1), tokenizer), time).save(work / "rows.npz")
    held = packing.pack(packing.encode(documents(max(20, train_count // 20), 2), tokenizer), time)
    held.save(work / "held.npz")
    return str(work / "rows.npz"), load_rows(work / "held.npz")


def curve(job: dict, held, every: int) -> list[tuple[int, float]]:
    """Held-out perplexity each ``every`` steps of a job (its learning-rate plan is that of the whole job)."""
    points = []
    while not points or points[-1][0] < job["steps"]:
        done = (points[-1][0] if points else 0) + every
        train(parse_job({**job, "checkpoint_every": every}), lambda _: None, stop_after=every)
        model = load_model(job["output"])
        points.append((done, compare_models(model, model, held, 4000)["perplexity"]))
    return points


def growth(work: Path, seeds: int, steps: int) -> None:
    """How many steps each start needs to reach what scratch reaches at its end."""
    tokenizer = train_tokenizer(("".join(text for text, _ in one.runs) for one in documents(300, 1)), 512)
    rows, held = make_rows(work, tokenizer, 3000, 96)
    small = {"vocabulary": 512, "width": 64, "layers": 2, "heads": 2, "kv_heads": 2, "ffn_width": 160, "context": 96}
    sizes = {"width": 128, "layers": 4, "heads": 4, "kv_heads": 4, "ffn_width": 352}
    small_steps = steps
    saved: dict[str, list[float]] = {}
    for seed in range(seeds):
        base = {"rows": rows, "seed": seed, "batch_rows": 8, "warmup_steps": 10, "decay_share": 0.5, "compile": False, "precision": "f32", "shape": small, "name": "g"}
        source = work / f"small-{seed}"
        train(parse_job({**base, "steps": small_steps, "output": str(source)}), lambda _: None)
        teacher = load_model(source)
        large = {**base, "shape": {**small, **sizes}, "steps": steps}
        starts = {"scratch": None, "cloned (158)": grow(teacher, sizes, 0.05, seed), "cloned, no noise": grow(teacher, sizes, 0.0, seed),
                  "learned, 50 steps (156)": learn_growth(teacher, sizes, load_rows(rows), 50, 8, 3e-3, seed)[0]}
        target = None
        for name, model in starts.items():
            job = {**large, "output": str(work / f"{name.split(',')[0].split(' ')[0]}-{'n' if 'no' in name else ''}{seed}")}
            first = None
            if model is not None:
                save_model(job["output"] + "-initial", model, {})
                job["initial"] = job["output"] + "-initial"
                first = compare_models(model, model, held, 8000)["perplexity"]
            points = curve(job, held, 20)
            target = points[-1][1] if name == "scratch" else target
            reached = crossing(points, target)
            flops = large_share(small, {**small, **sizes})
            extra = 0 if name == "scratch" else 50 if "learned" in name else 0
            share = None if reached is None else (reached + extra) / steps
            with_small = None if share is None or name == "scratch" else share + flops * small_steps / steps
            saved.setdefault(name, []).append(1.0 if share is None else share)
            say(experiment="growth", seed=seed, start=name, perplexityAtStart=first, curve=points, stepsToScratchEnd=reached, shareOfSteps=share, shareOfComputeWithSmallRun=with_small)
    say(experiment="growth", meanShareOfSteps={name: round(statistics.mean(shares), 3) for name, shares in saved.items()}, seeds=seeds)


def crossing(points: list[tuple[int, float]], target: float) -> float | None:
    """The step at which a curve reaches ``target``, between two points by the logarithm of perplexity; None when it never does."""
    for (before, high), (after, low) in zip(points, points[1:], strict=False):
        if low <= target < high:
            return round(before + (after - before) * math.log(high / target) / math.log(high / low), 1)
    return float(points[0][0]) if points[0][1] <= target else None


def large_share(small: dict, large: dict) -> float:
    """Compute of a step of the small model over that of the large one: parameters, the embedding counted once as the head."""
    size = lambda s: s["vocabulary"] * s["width"] + s["layers"] * (4 * s["width"] ** 2 + 3 * s["width"] * s["ffn_width"])  # noqa: E731
    return size(small) / size(large)


def shrink(work: Path, folder: str, tokenizer_path: str, steps: int) -> None:
    """What quantising, pruning with recovery and an adapter cost and bring, on synthetic held-out text."""
    tokenizer = load_tokenizer(tokenizer_path)
    rows, held = make_rows(work, tokenizer, 4000, 128)
    model = load_model(folder)
    for kind in ("f32", "f16", "q8_0", "q4_K"):
        say(experiment="quantize", kind=kind, tensorBytes=stored_bytes(model, kind), **compare_models(model, rounded(model, kind), held, 6000))
    shape = model.shape
    for name, sizes in {
        "half the units": {"ffn_width": shape.ffn_width // 2}, "one block": {"layers": shape.layers - 1},
        "a third of heads and width": {"width": shape.width * (shape.heads - 1) // shape.heads, "heads": shape.heads - 1, "kv_heads": shape.kv_heads - 1},
    }.items():
        small, taken = prune(model, sizes, load_rows(rows), 24)
        place = work / name.replace(" ", "-")
        save_model(place / "pruned", small, {})
        lost = compare_models(model, small, held, 6000)
        base = {"name": "recover", "shape": small.shape.to_json(), "rows": rows, "steps": steps, "batch_rows": 4, "warmup_steps": 5, "decay_share": 0.7, "compile": False,
                "precision": "bf16", "teacher": folder, "objective": "forward_kl", "teacher_weight": 1.0, "learning_rate": 1.5e-3, "embedding_learning_rate": 1.5e-3}
        results = {}
        for arm, initial in (("recovered", str(place / "pruned")), ("scratch", None)):
            job = {**base, "output": str(place / arm), **({"initial": initial} if initial else {})}
            train(parse_job(job), lambda _: None)
            results[arm] = compare_models(model, load_model(job["output"]), held, 6000)
        say(experiment="prune", what=name, parameters=small.parameter_count(), before=model.parameter_count(), blocksTaken=taken, pruned=lost, steps=steps, **results)
    adapters(work, folder, tokenizer)


def adapters(work: Path, folder: str, tokenizer) -> None:
    """A new task (answers in capitals, to a marked question) learned by an adapter over each kind of base."""
    random_ = random.Random(5)
    words = "red blue green small large old new fox cat dog lake tree house river stone bird".split()

    def shout() -> mixture.Document:
        text = " ".join(random_.choices(words, k=random_.randint(2, 5)))
        return mixture.Document(((f"<|im_start|>user\nShout backwards: {text}<|im_end|>\n<|im_start|>assistant\n", 0.0), (" ".join(reversed(text.upper().split())) + "<|im_end|>", 1.0), ("\n", 0.0)))

    packing.pack(packing.encode([shout() for _ in range(600)], tokenizer), 128).save(work / "task.npz")
    packing.pack(packing.encode([shout() for _ in range(100)], tokenizer), 128).save(work / "task-held.npz")
    held, base = load_rows(work / "task-held.npz"), load_model(folder)
    before = compare_models(base, base, held, 8000)["perplexity"]
    for kind in ("f32", "q8_0", "q4_0"):
        job = {"name": "adapter", "initial": folder, "adapter": {"rank": 8, "alpha": 16, "base": kind}, "rows": str(work / "task.npz"), "output": str(work / f"adapter-{kind}"), "steps": 80,
               "batch_rows": 4, "warmup_steps": 5, "compile": False, "precision": "f32", "learning_rate": 3e-3, "embedding_learning_rate": 3e-3}
        train(parse_job(job), lambda _: None)
        model, settings = load_adapted(job["output"])
        size = export_adapter(model, settings, work / f"adapter-{kind}.gguf", "shout")
        say(experiment="adapter", base=kind, perplexityBefore=before, perplexity=compare_models(base, model, held, 8000)["perplexity"], trained=sum(p.numel() for p in model.parameters() if p.requires_grad), fileBytes=size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("growth", "shrink"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", help="shrink: folder of the model")
    parser.add_argument("--tokenizer", help="shrink: its tokenizer.json")
    parser.add_argument("--steps", type=int, default=120, help="steps of each run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "growth":
        growth(given.work, given.seeds, given.steps)
    else:
        shrink(given.work, given.model, given.tokenizer, given.steps)

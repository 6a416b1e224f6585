"""The little world of the experiments: tasks of the generators, a tiny tokenizer, teachers, and what the arms read."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tandem_trainer.data import arithmetic, editing, mixture, packing
from tandem_trainer.data.example import HELD_OUT, TRAIN, Example, passes, side_of
from tandem_trainer.evaluate import answers, expected_calibration_error
from tandem_trainer.job import parse_job
from tandem_trainer.objectives.stored_laws import LawStore, store_laws
from tandem_trainer.tokenizer import train_tokenizer
from tandem_trainer.train import load_model, train

TIME, TEACHER_TIME = 64, 96
LABELLED, UNLABELLED, AMPLE, HELD = 80, 600, 12_000, 160
ANSWER_LIMIT, WORKED_LIMIT = 8, 60
STUDENT = {"width": 64, "layers": 2, "heads": 2, "kv_heads": 2, "ffn_width": 128, "context": 128}
TEACHER = {"width": 128, "layers": 3, "heads": 4, "kv_heads": 4, "ffn_width": 256, "context": 128}
KINDS = {
    "count": lambda random_: editing.count(random_, random_.choice((1, 2, 3))),
    "last-word": lambda random_: editing.last_word(random_, 1),
    "arithmetic": lambda random_: arithmetic.sum_problem(random_, 1),
}

STUDENT_KINDS = ("count", "last-word")  # a student learns two of the three tasks that the teacher knows


def draw(count: int, seed: str, side: str, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Example]:
    """``count`` different examples of one side of the split, kinds in turn."""
    random_, made, number = random.Random(seed), {}, 0
    while len(made) < count:
        example = KINDS[kinds[number % len(kinds)]](random_)
        if side_of(example.key, 0.2) == side and example.key not in made:
            made[example.key] = example
            number += 1
    return list(made.values())


def worked(example: Example) -> str:
    """The answer with its steps before it: the words with their numbers, then the answer on a line of its own."""
    words = example.prompt[0][1].partition(": ")[2].split()
    steps = " ".join(f"{word} {number}" for number, word in enumerate(words, 1)) if example.task == "count" else " ".join(words[-2:])
    return f"{steps}\n{example.expected}"


@dataclass
class World:
    """Where everything lies. Made once by ``build`` and read by every arm."""

    folder: Path
    tokenizer: Tokenizer
    other: Tokenizer
    held: list[Example]

    def path(self, name: str) -> str:
        """A file or folder of the world, as a job names it."""
        return str(self.folder / name)

    def job(self, name: str, **fields) -> dict:
        """The fields that all jobs of the experiment share."""
        return {
            "name": name, "shape": {**STUDENT, "vocabulary": self.tokenizer.get_vocab_size()}, "rows": self.path("labelled.npz"), "output": self.path(f"runs/{name}"),
            "batch_rows": 8, "warmup_steps": 10, "checkpoint_every": 10_000, "compile": False, "precision": "f32",
            "tokenizer": self.path("tokenizer.json"), "teacher_tokenizer": self.path("tokenizer.json"), **fields,
        }

    def score(self, folder: str, tokenizer: Tokenizer | None = None, worked_too: bool = False) -> dict[str, float]:
        """Accuracy (percent, all and per task) and calibration error of a student on held-out prompts; the last line counts."""
        tokenizer, held = tokenizer or self.tokenizer, self.held
        given = answers(load_model(folder), tokenizer, held, WORKED_LIMIT if worked_too else ANSWER_LIMIT)
        right = [answer.ended and passes(example, tokenizer.decode(answer.ids).split("\n")[-1]) for example, answer in zip(held, given, strict=True)]
        sure = [float(np.exp(sum(answer.log_probabilities))) for answer in given]
        found = {"accuracy": 100 * float(np.mean(right)), "ece": float(expected_calibration_error(sure, right)), "auroc": auroc(sure, right)}
        for task in STUDENT_KINDS:
            part = [ok for ok, example in zip(right, held, strict=True) if example.task == task]
            if part:
                found[task] = 100 * float(np.mean(part))
        return found


def auroc(scores: list[float], right: list[bool]) -> float:
    """The chance that a right answer has a higher score than a wrong one; 0.5 when one kind is missing."""
    good, bad = ([score for score, ok in zip(scores, right, strict=True) if ok is kind] for kind in (True, False))
    if not good or not bad:
        return 0.5
    a, b = np.array(good)[:, None], np.array(bad)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def write_rows(examples: list[Example], tokenizer: Tokenizer, path: str, time: int = TIME) -> packing.PackedRows:
    """Packs examples and saves them."""
    rows = packing.pack(packing.encode([mixture.conversation_document(example) for example in examples], tokenizer), time)
    rows.save(path)
    return rows


def build(folder: Path, log=lambda text: None, teacher_steps: int = 700) -> World:
    """Makes (or finds) tokenizers, rows, teachers, stored laws and pairs under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    ample = draw(AMPLE, "ample", TRAIN)
    own = [example for example in ample if example.task in STUDENT_KINDS]
    labelled, unlabelled = own[:LABELLED], own[LABELLED : LABELLED + UNLABELLED]
    texts = ["".join(text for text, _ in mixture.conversation_document(example).runs) for example in ample[:4000]]
    tokenizer, other = train_tokenizer(texts, 640), train_tokenizer(texts[:2000], 512)
    tokenizer.save(str(folder / "tokenizer.json"))
    other.save(str(folder / "other.json"))
    world = World(folder, tokenizer, other, draw(HELD, "held", HELD_OUT, STUDENT_KINDS))
    rows = write_rows(labelled, tokenizer, world.path("labelled.npz"))
    write_rows(unlabelled, tokenizer, world.path("unlabelled.npz"))
    write_rows(labelled, other, world.path("labelled-other.npz"))
    write_rows(ample, tokenizer, world.path("ample.npz"), TEACHER_TIME)
    # Teachers: one that knows all, one half trained (the reference of "advantage"), two that know a part each.
    wide = {**TEACHER, "vocabulary": tokenizer.get_vocab_size()}
    parts = {"part-a": ("count",), "part-b": ("last-word", "arithmetic")}
    for name, kinds in parts.items():
        write_rows([example for example in ample if example.task in kinds], tokenizer, world.path(f"{name}.npz"), TEACHER_TIME)
    for name, steps, data in (("teacher", teacher_steps, "ample"), ("half", teacher_steps // 4, "ample"), ("part-a", teacher_steps // 2, "part-a"), ("part-b", teacher_steps // 2, "part-b")):
        train(parse_job(world.job(name, shape=wide, rows=world.path(f"{data}.npz"), output=world.path(name), steps=steps, batch_rows=16)), lambda event: None)
        log(f"{name}: {world.score(world.path(name))}")
    teacher = load_model(folder / "teacher")
    top = store_laws(teacher, rows, "top", 8)
    top.save(world.path("top.npz"))
    store_laws(teacher, rows, "sampled", 12).save(world.path("sampled.npz"))
    order = np.random.default_rng(1).permutation(len(top))
    LawStore("top", top.vocabulary, top.row, top.time, top.ids[order], top.probabilities[order], top.made).save(world.path("shuffled.npz"))
    write_pairs(world, labelled)
    return world


def write_pairs(world: World, labelled: list[Example]) -> None:
    """Worked and bare answers, and right answers against another prompt's answer of the same kind."""
    lines, random_ = [], random.Random("pairs")
    by_task = {task: [example for example in labelled if example.task == task] for task in STUDENT_KINDS}
    for example in labelled:
        wrong = next(one.expected for one in random_.sample(by_task[example.task], len(by_task[example.task])) if one.expected != example.expected)
        messages = [{"role": role, "content": content} for role, content in example.prompt]
        lines.append({"prompt": messages, "chosen": example.expected, "rejected": wrong, "short": example.expected, "long": worked(example)})
    Path(world.path("pairs.jsonl")).write_text("\n".join(map(json.dumps, lines)))

"""The held-out set: test splits of the open data and the held-out side of the generators."""

from __future__ import annotations

import json
import random
from pathlib import Path

from . import arithmetic, conversation, copying, editing, sources
from .example import HELD_OUT, Example, side_of

SEED = 77_001


def build(root: Path, per_cell: int = 14, seed: int = SEED) -> list[Example]:
    """Held-out examples, about ``per_cell`` per task and grade (three times that for open data).

    Intent uses CLINC150's own test split, slots SNIPS's validation split; neither is trained on.
    """
    random_ = random.Random(seed)
    examples: list[Example] = []
    for items, share in ((sources.clinc150(root, "test"), 5), (sources.clinc150_domains(root, "test"), 3), (sources.snips(root, "validate"), 2)):
        grades = sorted({item.grade for item in items})
        for grade in grades:
            pool = [item for item in items if item.grade == grade]
            if items[0].task == "domain":
                pool = [item for item in pool if item.expected != "oos"]
            examples += random_.sample(pool, min(len(pool), per_cell * share))
    examples += synthetic(random_, per_cell)
    return examples


def build_dev(root: Path, used: set[str], per_cell: int = 14, seed: int = SEED + 1) -> list[Example]:
    """Items to choose by (mixtures, thresholds, temperatures), so that the held-out set is only reported on.

    CLINC150's validation split, SNIPS validation items and the held-out side of the generators under another seed, none
    of whose keys is in ``used`` (the keys of the held-out set).
    """
    random_ = random.Random(seed)
    examples: list[Example] = []
    for items, share in ((sources.clinc150(root, "val"), 7), (sources.clinc150_domains(root, "val"), 3), (sources.snips(root, "validate"), 2)):
        for grade in sorted({item.grade for item in items}):
            pool = [item for item in items if item.grade == grade and item.key not in used and not (item.task == "domain" and item.expected == "oos")]
            examples += random_.sample(pool, min(len(pool), per_cell * share))
    return examples + [example for example in synthetic(random_, per_cell) if example.key not in used]


def synthetic(random_: random.Random, per_cell: int) -> list[Example]:
    """``per_cell`` held-out examples of every synthetic task and grade, all prompts different."""
    makers = [(lambda n=n: arithmetic.sum_problem(random_, n)) for n in arithmetic.GRADES]
    makers += [(lambda n=n: arithmetic.word_problem(random_, n)) for n in arithmetic.GRADES]
    makers += [(lambda k=k, g=g: k(random_, g)) for k in editing.KINDS for g in (1, 2, 3)]
    makers += [(lambda g=g: copying.repeat(random_, g)) for g in (1, 2, 3)]
    cells: dict[tuple[str, int], dict[str, Example]] = {}

    def offer(example: Example) -> None:
        if side_of(example.key) == HELD_OUT:
            cell = cells.setdefault((example.task, example.grade), {})
            if len(cell) < per_cell:
                cell.setdefault(example.key, example)

    for maker in makers:
        example = maker()
        wanted = (example.task, example.grade)
        for _ in range(60 * per_cell):
            offer(maker())
            if len(cells.get(wanted, ())) >= per_cell:
                break
    for _ in range(120 * per_cell):
        offer(arithmetic.conversion(random_))
        offer(conversation.remember(random_))
        offer(conversation.follow_up(random_))
    return [example for _, cell in sorted(cells.items()) for example in cell.values()]


def story_openings(root: Path, count: int = 100) -> list[str]:
    """The first sentences of held-out TinyStories, as prose prompts."""
    openings = []
    for story in sources.tinystories(root, "held-out")[:count]:
        words = story.replace("\n", " ").split()
        openings.append(" ".join(words[:18]))
    return openings


def write(path: Path, examples: list[Example], openings: list[str]) -> None:
    """Writes one JSON object a line: task, grade, messages, prompt (last user text), expect, check."""
    lines = []
    for number, example in enumerate(examples):
        lines.append(
            json.dumps(
                {
                    "id": f"{example.task}-{example.grade}-{number:04d}", "task": example.task, "grade": example.grade,
                    "messages": [{"role": role, "content": content} for role, content in example.prompt],
                    "prompt": example.prompt[-1][1], "expect": example.expected, "check": example.check,
                },
                ensure_ascii=False,
            )
        )
    for number, text in enumerate(openings):
        lines.append(json.dumps({"id": f"prose-{number:04d}", "task": "prose", "grade": 1, "text": text, "prompt": text, "check": "none"}, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def read(path: Path) -> list[Example]:
    """The checked examples that ``write`` stored, without the prose openings."""
    examples = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["check"] == "none":
            continue
        messages = tuple((message["role"], message["content"]) for message in row["messages"])
        examples.append(Example(row["task"], row["grade"], (*messages, ("assistant", row["expect"])), row["check"]))
    return examples

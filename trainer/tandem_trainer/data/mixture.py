"""Draws the training documents that a recipe's mixture asks for."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import arithmetic, conversation, copying, editing, negatives, sources, stories
from .example import TRAIN, Example, side_of

SYSTEM_PROMPTS = ("You are a helpful assistant.", "You are a small assistant.", "Answer briefly.")
SYSTEM_SHARE = 0.08
PROSE_TOKEN_WEIGHT = 0.7
PROMPT_TOKEN_WEIGHT = 0.1
ANSWER_TOKEN_WEIGHT = {"intent": 4.0, "domain": 2.0, "slots": 1.0, "story": 0.7, "school-maths": 0.5, "count": 2.0}

DRAWS_IN_VAIN = 5_000

GENERATORS: dict[str, Callable[[random.Random], Example]] = {
    "arithmetic": arithmetic.generate,
    "editing": editing.generate,
    "editing-order": editing.generate_order,
    "copying": copying.generate,
    "conversation": conversation.generate,
    "stories": stories.generate,
    "negatives": negatives.generate,
}
DATASETS: dict[str, Callable[[Path], list]] = {
    "clinc150": sources.clinc150,
    "clinc150-domains": sources.clinc150_domains,
    "snips": sources.snips,
    "snips-refilled": sources.snips_refilled,
    "truthful-questions": sources.truthful_questions,
    "gsm8k": sources.gsm8k,
    "tinystories": sources.tinystories,
    "books": sources.books,
}
OPEN_PATTERNS = ("greeting", "story")  # free or fixed text: no held-out side


@dataclass(frozen=True)
class Document:
    """Text runs with the loss weight of each run's tokens."""

    runs: tuple[tuple[str, float], ...]


def prose(text: str) -> Document:
    """Plain prose, ended by ``<|endoftext|>``."""
    return Document(((text + "<|endoftext|>", PROSE_TOKEN_WEIGHT),))


def conversation_document(example: Example) -> Document:
    """A conversation in the chat format; answers weigh by task, prompts lightly."""
    from ..tokenizer import chat_pieces

    weight = ANSWER_TOKEN_WEIGHT.get(example.task, 1.5)
    return Document(
        tuple((text, weight if is_answer else PROMPT_TOKEN_WEIGHT) for text, is_answer in chat_pieces(example.messages))
    )


def perturb(example: Example, random_: random.Random) -> Example:
    """A light variation of an utterance: a word dropped, a polite word or a question mark added."""
    role, content = example.prompt[-1]
    lead, _, text = content.partition(": ")
    words = text.split()
    if len(words) > 4 and random_.random() < 0.25:
        words.pop(random_.randrange(len(words)))
    text = " ".join(words)
    draw = random_.random()
    if draw < 0.08:
        text = "please " + text
    elif draw < 0.18:
        text += "?"
    elif draw < 0.23:
        text = text.capitalize()
    return Example(example.task, example.grade, ((role, f"{lead}: {text}"), example.messages[-1]), example.check)


def with_system_prompt(example: Example, random_: random.Random) -> Example:
    """Sometimes puts a system message before the conversation."""
    if random_.random() >= SYSTEM_SHARE:
        return example
    return Example(example.task, example.grade, (("system", random_.choice(SYSTEM_PROMPTS)), *example.messages), example.check)


def kept(grade: int, shares: dict[str, float], random_: random.Random) -> bool:
    """Whether an example of ``grade`` stays, by the share (0 to 1) that ``shares`` keeps of that grade; a grade not named stays."""
    share = shares.get(str(grade), 1.0)
    return share >= 1 or random_.random() < share


def grade_shares(row: dict, at: int) -> dict[str, float]:
    """The ``grades`` of a mixture row, checked. Raises ``ValueError`` naming the row unless each is a share."""
    shares = row.get("grades", {})
    wrong = [share for share in shares.values() if not isinstance(share, (int, float)) or not 0 <= share <= 1]
    if wrong:
        raise ValueError(f"mixture[{at}].grades: expected shares from 0 to 1, got {shares}")
    return shares


def synthetic(name: str, count: int, random_: random.Random, shares: dict[str, float] | None = None) -> Iterator[Example]:
    """``count`` examples of the training side of a generator, ``shares`` of each grade kept (all, without)."""
    made = drawn = 0
    while made < count:
        if made == 0 and drawn > DRAWS_IN_VAIN:
            raise ValueError(f"grades: expected shares that keep some of what {name!r} makes, got {shares}")
        example = GENERATORS[name](random_)
        drawn += 1
        if (example.task in OPEN_PATTERNS or side_of(example.key) == TRAIN) and kept(example.grade, shares or {}, random_):
            made += 1
            yield example


def documents(mixture: list[dict], root: Path, seed: int, forbidden: Callable[[Example], bool] = lambda example: False) -> list[Document]:
    """All documents of a mixture in a seeded random order.

    ``mixture`` rows are ``{"source": name, "count": n}`` for a generator or ``{"source": name,
    "epochs": n}`` for a dataset (a fraction takes a random part). ``"grades": {"3": 0.2}`` keeps a fifth of
    the examples of grade 3 that are drawn and all of the others: a small member's curriculum. ``forbidden`` drops
    examples that equal a test item. Raises ``ValueError`` naming the row for an unknown source or a share out of range.
    """
    made: list[Document] = []
    for index, row in enumerate(mixture):
        name = row["source"]
        random_ = random.Random(f"{seed}/{name}/{index}")
        shares = grade_shares(row, index)
        if name in GENERATORS:
            made += [conversation_document(with_system_prompt(example, random_)) for example in synthetic(name, row["count"], random_, shares) if not forbidden(example)]
            continue
        if name not in DATASETS:
            raise ValueError(f"mixture[{index}].source: expected one of {sorted(GENERATORS) + sorted(DATASETS)}, got {name!r}")
        items = DATASETS[name](root, seed=row["seed"]) if "seed" in row else DATASETS[name](root)
        whole, part = divmod(float(row.get("epochs", 1)), 1.0)
        for epoch in range(int(whole) + (part > 0)):
            chosen = items if epoch < int(whole) else random_.sample(items, int(part * len(items)))
            for item in chosen:
                if isinstance(item, str):
                    made += prose_documents(item, random_)
                elif not forbidden(item) and kept(item.grade, shares, random_):
                    if epoch and name.startswith("clinc150"):
                        item = perturb(item, random_)
                        if forbidden(item):
                            continue
                    if name.startswith("clinc150") and item.expected == "oos":
                        made += [conversation_document(item)] * int(row.get("oosRepeat", 1))
                        continue
                    made.append(conversation_document(with_system_prompt(item, random_)))
    random.Random(f"{seed}/order").shuffle(made)
    return made


def prose_documents(text: str, random_: random.Random, characters: int = 1600) -> list[Document]:
    """A short text whole, sometimes as the answer to a request for a story; a long text in passages.

    Passages end at a paragraph and are about ``characters`` long.
    """
    if len(text) < 4000:
        if random_.random() < 0.5:
            names = re.findall(r"named ([A-Z][a-z]+)", text)
            request = f"Tell me a story about {names[0]}." if names else "Tell me a story."
            return [conversation_document(Example("story", 1, (("user", request), ("assistant", text)), "none"))]
        return [prose(text)]
    passages, current = [], ""
    for paragraph in text.split("\n\n"):
        current += paragraph + "\n\n"
        if len(current) >= characters:
            passages.append(prose(current.strip()))
            current = ""
    return passages

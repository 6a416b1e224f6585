"""Held-out accuracy per task and grade, calibration, agreement of two members, and what a cascade of them keeps."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from tokenizers import Tokenizer

from .data.example import Example, passes
from .generate import Answer, greedy_all
from .model import Llama
from .tokenizer import END_OF_TEXT, MESSAGE_END, chat_prompt

ANSWER_LIMIT = 110
PROSE_LIMIT = 96


def answers(model: Llama, tokenizer: Tokenizer, examples: list[Example], limit: int = ANSWER_LIMIT) -> list[Answer]:
    """Greedy answers to the prompts of ``examples``."""
    ends = {tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(MESSAGE_END)}
    prompts = [tokenizer.encode(chat_prompt(example.prompt)).ids for example in examples]
    return greedy_all(model, prompts, limit, ends)


def expected_calibration_error(confidences: list[float], right: list[bool], bins: int = 10) -> float:
    """``sum_b n_b/n |accuracy_b - confidence_b|`` over equal-width bins (Guo et al., arXiv:1706.04599).

    Confidences lie in 0..1; returns 0..1, or NaN without data.
    """
    if not confidences:
        return math.nan
    groups: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, correct in zip(confidences, right, strict=True):
        groups[min(bins - 1, int(confidence * bins))].append((confidence, correct))
    return sum(
        abs(sum(correct for _, correct in group) - sum(confidence for confidence, _ in group)) for group in groups.values()
    ) / len(confidences)


def score(tokenizer: Tokenizer, examples: list[Example], given: list[Answer]) -> dict:
    """Accuracy and calibration of answers.

    Returns ``cells`` ({"task/grade": {n, accuracy}}), ``tasks`` (mean over items), ``mean`` (mean over
    tasks) and ``ece`` of the whole answer's probability (the product over its tokens).
    """
    cells: dict[str, list[bool]] = defaultdict(list)
    tasks: dict[str, list[bool]] = defaultdict(list)
    confidences, right = [], []
    for example, answer in zip(examples, given, strict=True):
        correct = answer.ended and passes(example, tokenizer.decode(answer.ids))
        cells[f"{example.task}/{example.grade}"].append(correct)
        tasks[example.task].append(correct)
        confidences.append(math.exp(sum(answer.log_probabilities)))
        right.append(correct)
    mean = {task: sum(values) / len(values) for task, values in tasks.items()}
    return {
        "cells": {cell: {"n": len(values), "accuracy": round(sum(values) / len(values), 4)} for cell, values in sorted(cells.items())},
        "tasks": {task: round(value, 4) for task, value in sorted(mean.items())},
        "mean": round(sum(mean.values()) / len(mean), 4),
        "ece": round(expected_calibration_error(confidences, right), 4),
    }


@torch.no_grad()
def agreement(small: Llama, prompts: list[list[int]], continuations: list[list[int]]) -> tuple[float, int]:
    """Share of the large model's greedy tokens that are also the small model's first choice there.

    ``continuations`` are the large model's greedy outputs; the small one reads them teacher-forced, so
    the share is the chance that a greedily drafted token is accepted. Returns (share, tokens).
    """
    same = total = 0
    for prompt, continuation in zip(prompts, continuations, strict=True):
        if not continuation:
            continue
        choice = small(torch.tensor([prompt + continuation]))[0].argmax(-1)
        for offset, token in enumerate(continuation):
            same += int(choice[len(prompt) + offset - 1]) == token
            total += 1
    return (same / total if total else math.nan), total


@torch.no_grad()
def perplexity(model: Llama, tokenizer: Tokenizer, texts: list[str]) -> float:
    """``exp`` of the mean cross-entropy per token over the texts, each cut at the context."""
    nats = count = 0.0
    for text in texts:
        ids = tokenizer.encode(text).ids[: model.shape.context]
        laws = torch.log_softmax(model(torch.tensor([ids]))[0, :-1].float(), -1)
        nats -= float(laws.gather(1, torch.tensor(ids[1:])[:, None]).sum())
        count += len(ids) - 1
    return math.exp(nats / count)


def grade_gap(better: dict, worse: dict) -> dict:
    """How far two members are apart on the easiest and the hardest grade, from the ``cells`` of ``score``.

    Easiest: the mean over the cells of grade 1; hardest: the mean over each task's highest grade, for tasks of
    three grades or more. Returns accuracies 0..1 of both members and the differences.
    """
    grades: dict[str, list[int]] = defaultdict(list)
    for cell in better["cells"]:
        task, grade = cell.rsplit("/", 1)
        grades[task].append(int(grade))
    easiest = [f"{task}/1" for task, found in grades.items() if 1 in found]
    hardest = [f"{task}/{max(found)}" for task, found in grades.items() if len(found) >= 3]
    result = {}
    for name, cells in (("easiest", easiest), ("hardest", hardest)):
        means = [sum(one["cells"][cell]["accuracy"] for cell in cells) / max(1, len(cells)) for one in (better, worse)]
        result[name] = {"better": round(means[0], 4), "worse": round(means[1], 4), "difference": round(means[0] - means[1], 4), "cells": len(cells)}
    return result


def confidence_of(answer: Answer) -> float:
    """The smallest probability among the tokens of an answer (``min-probability`` of the cascade recipe), 0 when it did not end."""
    return math.exp(min(answer.log_probabilities)) if answer.ended else 0.0


def cascade(small: list[tuple[float, bool]], large: list[bool], threshold: float) -> dict:
    """What a cascade keeps that asks the large member where the small one's confidence is under ``threshold``.

    ``small`` holds (confidence, right) an item, ``large`` whether it is right. Returns ``accuracy`` of the cascade and of
    the large member alone, the share of large accuracy ``kept`` and the ``calls`` of the large member as a share of items.
    """
    asked = [confidence < threshold for confidence, _ in small]
    right = sum(big if ask else little for ask, (_, little), big in zip(asked, small, large, strict=True))
    alone = sum(large)
    return {"threshold": round(threshold, 4), "accuracy": round(right / len(large), 4), "large": round(alone / len(large), 4),
            "kept": round(right / alone, 4) if alone else math.nan, "calls": round(sum(asked) / len(asked), 4)}


def best_threshold(small: list[tuple[float, bool]], large: list[bool], kept: float = 0.99) -> float:
    """The lowest threshold whose cascade keeps at least ``kept`` of the large member's accuracy; over 1 when none does.

    Choose it on one set of items and report it on another.
    """
    for threshold in sorted({0.0, *(confidence + 1e-9 for confidence, _ in small)}):
        if cascade(small, large, threshold)["kept"] >= kept:
            return threshold
    return 1.01


def intent_curve(given: list[tuple[str, str, float]], in_scope_min: float = 0.88) -> dict:
    """In-scope accuracy and out-of-scope recall of ``Intent:`` answers, as answered and at a threshold.

    ``given`` holds (expected label, answer, confidence) a test utterance. An answer under the threshold counts as ``oos``;
    ``atThreshold`` is the highest out-of-scope recall whose in-scope accuracy is at least ``in_scope_min``.
    """
    def at(threshold: float) -> tuple[float, float]:
        inside = [said == wanted and sure >= threshold for wanted, said, sure in given if wanted != "oos"]
        outside = [said == "oos" or sure < threshold for wanted, said, sure in given if wanted == "oos"]
        return sum(inside) / max(1, len(inside)), sum(outside) / max(1, len(outside))

    plain = at(0.0)
    best = max((at(threshold / 100) + (threshold / 100,) for threshold in range(100)), key=lambda row: (row[0] >= in_scope_min, row[1] if row[0] >= in_scope_min else row[0]))
    return {"n": len(given), "inScope": round(plain[0], 4), "outOfScopeRecall": round(plain[1], 4),
            "atThreshold": {"threshold": best[2], "inScope": round(best[0], 4), "outOfScopeRecall": round(best[1], 4)}}


def judged(tokenizer: Tokenizer, examples: list[Example], given: list[Answer]) -> list[tuple[float, bool]]:
    """(confidence, right) of each answer."""
    return [(confidence_of(answer), answer.ended and passes(example, tokenizer.decode(answer.ids))) for example, answer in zip(examples, given, strict=True)]


def answer_agreement(small: Llama, tokenizer: Tokenizer, examples: list[Example], given: list[Answer]) -> dict:
    """Agreement of ``small`` along the large member's answers ``given``, by task and over all tokens."""
    by_task: dict[str, dict] = {}
    for task in sorted({example.task for example in examples}):
        numbers = [n for n, example in enumerate(examples) if example.task == task]
        prompts = [tokenizer.encode(chat_prompt(examples[n].prompt)).ids for n in numbers]
        share, tokens = agreement(small, prompts, [given[n].written for n in numbers])
        by_task[task] = {"share": round(share, 4), "tokens": tokens}
    total = sum(value["tokens"] for value in by_task.values())
    return {"tasks": by_task, "answers": round(sum(value["share"] * value["tokens"] for value in by_task.values()) / total, 4)}


def prose_agreement(models: dict[str, Llama], tokenizer: Tokenizer, openings: list[str]) -> dict:
    """Agreement of every smaller member along the large member's continuations of openings and stories on request."""
    ends = {tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(MESSAGE_END)}
    report: dict = {}
    for name, prompts in (
        ("prose", [tokenizer.encode(text).ids for text in openings]),
        ("story", [tokenizer.encode(chat_prompt((("user", f"Tell me a story about {subject}."),))).ids for subject in STORY_SUBJECTS]),
    ):
        if prompts:
            outputs = greedy_all(models["large"], prompts, PROSE_LIMIT, ends)
            for member in models:
                if member != "large":
                    share, tokens = agreement(models[member], prompts, [output.ids for output in outputs])
                    report.setdefault(member, {})[name] = {"share": round(share, 4), "tokens": tokens}
    return report


def evaluate_family(models: dict[str, Llama], tokenizer: Tokenizer, examples: list[Example], openings: list[str], dev: list[Example] | None = None) -> dict:
    """Everything the model cards state: scores of every member, gaps, agreement with large, the cascade.

    ``models`` maps ``small`` and ``large`` (and perhaps ``nano``) to members. ``agreement`` is that of small with large,
    ``nanoAgreement`` that of nano with large. The cascade's threshold is chosen on ``dev`` when given, else on the same items
    (``chosenOn`` says which).
    """
    given = {name: answers(model, tokenizer, examples) for name, model in models.items()}
    report: dict = {name: score(tokenizer, examples, given[name]) for name in models}
    prose = prose_agreement(models, tokenizer, openings)
    for member in models:
        if member != "large":
            found = answer_agreement(models[member], tokenizer, examples, given["large"]) | prose.get(member, {})
            report["agreement" if member == "small" else f"{member}Agreement"] = found
    report["gaps"] = {"small-large": grade_gap(report["large"], report["small"])}
    if "nano" in models:
        report["gaps"]["nano-small"] = grade_gap(report["small"], report["nano"])
    small, large = (judged(tokenizer, examples, given[name]) for name in ("small", "large"))
    chosen, chosen_on = (small, [right for _, right in large]), "held-out"
    if dev:
        little, big = (judged(tokenizer, dev, answers(models[name], tokenizer, dev)) for name in ("small", "large"))
        chosen, chosen_on = (little, [right for _, right in big]), "dev"
    report["cascade"] = cascade(small, [right for _, right in large], best_threshold(*chosen)) | {"chosenOn": chosen_on, "test": "min-probability"}
    return report


def evaluate_intents(model: Llama, tokenizer: Tokenizer, examples: list[Example]) -> dict:
    """``intent_curve`` of a member over ``Intent:`` examples, such as the whole CLINC150 test split."""
    given = answers(model, tokenizer, examples, 16)
    return intent_curve([(example.expected, tokenizer.decode(answer.ids).strip(), confidence_of(answer)) for example, answer in zip(examples, given, strict=True)])


STORY_SUBJECTS = ("Lily", "Tom and Mia", "a lost ball", "a brave rabbit", "Ben who learns to share", "a broken kite",
                  "Anna and Max", "a brave girl", "a lost book", "Sam", "a broken drum", "Zoe and Finn")

"""Arithmetic with worked steps, one to five operations, as sums, unit conversions and word problems.

Grade = number of operations (1..5). Every intermediate result is a whole number from 0 to 999, so
that a step is one line. Worked steps: Nye et al., arXiv:2112.00114 (scratchpads).
"""

from __future__ import annotations

import random

from .example import Example, single
from .words import NAMES, NOUNS

GRADES = (1, 2, 3, 4, 5)
LARGEST = 999

UNITS = (
    ("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000), ("hours", "minutes", 60),
    ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("l", "ml", 1000),
    ("dollars", "cents", 100), ("dozen", "pieces", 12), ("feet", "inches", 12),
)


def _operand(random_: random.Random, value: int, kind: str) -> int | None:
    """An operand that keeps ``value kind operand`` a whole number in 0..999, or None."""
    if kind == "+":
        top = min(LARGEST - value, random_.choice((9, 20, 99)))
        return random_.randint(1, top) if top >= 1 else None
    if kind == "-":
        top = min(value, random_.choice((9, 20, 99)))
        return random_.randint(1, top) if top >= 1 else None
    if kind == "*":
        top = min(9, LARGEST // value) if value else None
        return random_.randint(2, top) if top and top >= 2 and value <= 60 else None
    divisors = [d for d in range(2, 10) if value % d == 0 and value // d <= 99]
    return random_.choice(divisors) if value and divisors else None


def chain(random_: random.Random, operations: int) -> tuple[int, list[tuple[str, int, int]]]:
    """A start value and ``operations`` steps (sign, operand, result), each result in 0..999."""
    value = start = random_.randint(1, random_.choice((9, 20, 60, 99)))
    steps: list[tuple[str, int, int]] = []
    while len(steps) < operations:
        kind = random_.choice("++--*/")
        operand = _operand(random_, value, kind)
        if operand is None:
            continue
        result = {"+": value + operand, "-": value - operand, "*": value * operand, "/": value // max(operand, 1)}[kind]
        steps.append((kind, operand, result))
        value = result
    return start, steps


def worked(start: int, steps: list[tuple[str, int, int]]) -> str:
    """The answer text: one line a step, then ``Answer: n``."""
    lines, value = [], start
    for kind, operand, result in steps:
        lines.append(f"{value} {kind} {operand} = {result}")
        value = result
    return "\n".join([*lines, f"Answer: {value}"])


def sum_problem(random_: random.Random, operations: int) -> Example:
    """``Compute, left to right: 12 + 7 * 3``."""
    start, steps = chain(random_, operations)
    text = str(start) + "".join(f" {kind} {operand}" for kind, operand, _ in steps)
    return single("arithmetic", operations, f"Compute, left to right: {text}", worked(start, steps), "answer")


PHRASES = {
    "+": ("gets {n} more", "finds {n} more", "buys {n} more"),
    "-": ("gives away {n}", "loses {n}", "sells {n}"),
    "*": ("ends up with {n} times as many",),
    "/": ("shares them equally in {n} parts and keeps one part",),
}


def word_problem(random_: random.Random, operations: int) -> Example:
    """A chain told as a tale of one person and one kind of thing."""
    start, steps = chain(random_, operations)
    name, thing = random_.choice(NAMES), random_.choice(NOUNS[20:])
    tale = [f"{name} has {start} {thing} cards."]
    for index, (kind, operand, _) in enumerate(steps):
        lead = name if index == 0 else f"Then {name}"
        tale.append(f"{lead} {random_.choice(PHRASES[kind]).format(n=operand)}.")
    tale.append(f"How many {thing} cards does {name} have?")
    return single("word-problem", operations, " ".join(tale), worked(start, steps), "answer")


def conversion(random_: random.Random) -> Example:
    """``Convert 3 km to m``: one multiplication (grade 1) or one division (grade 2), in steps that one digit decides."""
    large, small, factor = random_.choice(UNITS)
    count = random_.randint(1, 60 if factor < 100 else 99)
    whole = count * factor
    if random_.random() < 0.6:
        lines, answer, grade = product_lines(count, factor), f"{whole} {small}", 1
        question = f"Convert {count} {large} to {small}."
    else:
        lines, answer, grade = quotient_lines(whole, factor), f"{count} {large}", 2
        question = f"Convert {whole} {small} to {large}."
    return single("units", grade, question, "\n".join([*lines, f"Answer: {answer}"]), "answer")


def product_lines(count: int, factor: int) -> list[str]:
    """``count * factor`` as worked lines, a factor of two digits in parts."""
    whole = f"{count} * {factor} = {count * factor}"
    tens, ones = factor // 10 * 10, factor % 10
    if factor < 10 or factor in (10, 100, 1000):
        return [whole]
    if not ones:
        return [f"{count} * {factor // 10} = {count * factor // 10}", whole]
    return [f"{count} * {tens} = {count * tens}", f"{count} * {ones} = {count * ones}", f"{count * tens} + {count * ones} = {count * factor}"]


def quotient_lines(whole: int, factor: int) -> list[str]:
    """``whole / factor`` as worked lines, a factor of two digits in two divisions by one digit (or by ten)."""
    first = {60: 10, 24: 4, 12: 2}.get(factor)
    if first is None:
        return [f"{whole} / {factor} = {whole // factor}"]
    second = factor // first
    return [f"{whole} / {first} = {whole // first}", f"{whole // first} / {second} = {whole // factor}"]


def generate(random_: random.Random) -> Example:
    """One example of any kind; fewer operations are somewhat more frequent."""
    draw = random_.random()
    if draw < 0.15:
        return conversion(random_)
    operations = random_.choices(GRADES, (5, 5, 4, 3, 3))[0]
    return sum_problem(random_, operations) if draw < 0.6 else word_problem(random_, operations)

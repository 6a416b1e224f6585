"""Rewriting and extraction over short texts, each answer computed from the prompt.

Grade 1: three to five words or one sentence; grade 2: six to nine words or two sentences; grade 3: ten
to fourteen words or three sentences.
"""

from __future__ import annotations

import random

from .example import Example, single
from .words import ADJECTIVES, CITIES, MONTHS, NAMES, NOUNS, VERBS_PAST

SPAN = {1: (3, 5), 2: (6, 9), 3: (10, 14)}


def words(random_: random.Random, grade: int) -> list[str]:
    """As many plain words as the grade asks for, without repeats."""
    low, high = SPAN[grade]
    return random_.sample(NOUNS + ADJECTIVES, random_.randint(low, high))


def sentence(random_: random.Random) -> str:
    """One plain sentence."""
    name, other = random_.sample(NAMES, 2)
    thing, place = random_.sample(NOUNS, 2)
    adjective, verb = random_.choice(ADJECTIVES), random_.choice(VERBS_PAST)
    return random_.choice(
        (
            f"{name} {verb} a {adjective} {thing}.",
            f"{name} and {other} {verb} the {thing} near the {place}.",
            f"The {adjective} {thing} was in the {place}.",
            f"{name} {verb} the {thing}.",
            f"There was a {adjective} {thing} by the {place}.",
            f"In {random_.choice(CITIES)}, {name} {verb} a {thing}.",
        )
    )


def fact(random_: random.Random) -> tuple[str, dict[str, str]]:
    """A sentence that holds exactly one name, one whole number, one date and one city, and those."""
    name, city, thing = random_.choice(NAMES), random_.choice(CITIES), random_.choice(NOUNS)
    number = str(random_.randint(2, 999))
    date = f"{random_.choice(MONTHS)} {random_.choice(('first', 'second', 'third', 'fourth', 'fifth', 'tenth', 'last'))}"
    text = random_.choice(
        (
            f"On {date}, {name} bought {number} {thing} cards in {city}.",
            f"{name} sent {number} letters from {city} on {date}.",
            f"In {city}, {name} counted {number} {thing} toys on {date}.",
            f"{name} will meet {number} people in {city} on {date}.",
            f"The {number} boxes of {name} came to {city} on {date}.",
        )
    )
    return text, {"name": name, "number": number, "date": date, "city": city}


def uppercase(random_: random.Random, grade: int) -> Example:
    """``Uppercase: red fox`` gives ``RED FOX``."""
    text = " ".join(words(random_, grade))
    return single("uppercase", grade, f"Uppercase: {text}", text.upper())


def reverse(random_: random.Random, grade: int) -> Example:
    """``Reverse the words: a b c`` gives ``c b a``."""
    chosen = words(random_, grade)
    return single("reverse", grade, f"Reverse the words: {' '.join(chosen)}", " ".join(reversed(chosen)))


def sort(random_: random.Random, grade: int) -> Example:
    """``Sort: pear apple`` gives alphabetical order."""
    chosen = words(random_, grade)
    return single("sort", grade, f"Sort: {' '.join(chosen)}", " ".join(sorted(chosen)))


def count(random_: random.Random, grade: int) -> Example:
    """``Count the words: a b c`` gives ``3``."""
    chosen = words(random_, grade)
    return single("count", grade, f"Count the words: {' '.join(chosen)}", str(len(chosen)))


def last_word(random_: random.Random, grade: int) -> Example:
    """``Last word: a b c`` gives ``c``."""
    chosen = words(random_, grade)
    return single("last-word", grade, f"Last word: {' '.join(chosen)}", chosen[-1])


def extract(random_: random.Random, grade: int) -> Example:
    """``Extract the name: …`` from a fact hidden among ``grade - 1`` other sentences."""
    text, parts = fact(random_)
    kind = random_.choice(tuple(parts))
    sentences = [text]
    while len(sentences) < grade:
        thing, adjective = random_.choice(NOUNS), random_.choice(ADJECTIVES)
        sentences.insert(
            random_.randint(0, len(sentences)),
            random_.choice((f"The {thing} was {adjective}.", f"A {adjective} {thing} stood there.")),
        )
    return single("extract", grade, f"Extract the {kind}: {' '.join(sentences)}", parts[kind])


def first_sentence(random_: random.Random, grade: int) -> Example:
    """``First sentence: …`` gives the first of ``grade + 1`` sentences."""
    sentences = [sentence(random_) for _ in range(grade + 1)]
    return single("first-sentence", grade, f"First sentence: {' '.join(sentences)}", sentences[0])


KINDS = (uppercase, reverse, sort, count, last_word, extract, first_sentence)


def generate(random_: random.Random) -> Example:
    """One example of any kind and grade."""
    kind = random_.choices(KINDS, (3, 3, 3, 2, 1, 4, 2))[0]
    return kind(random_, random_.choices((1, 2, 3), (4, 3, 3))[0])


def generate_order(random_: random.Random) -> Example:
    """One example of the kinds that are learned last (upper case, reversing, sorting), longer texts more often."""
    kind = random_.choices((uppercase, reverse, sort), (3, 4, 5))[0]
    return kind(random_, random_.choices((1, 2, 3), (3, 4, 4))[0])

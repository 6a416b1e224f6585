"""Prompts and answers cut out of packed rows, for the objectives in which a model writes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..data.packing import PackedRows

ANSWER_WEIGHT = 0.25
END_SHARE = 0.05


@dataclass
class Prompts:
    """(prompt ids, answer ids) of each document, the last answer of it, and the tokens that end an answer."""

    items: list[tuple[list[int], list[int]]]
    ends: set[int]

    def __len__(self) -> int:
        return len(self.items)


def prompts_of(rows: PackedRows, tokens_max: int, context: int) -> Prompts:
    """Prompts of every document whose last run of weighty tokens follows at least one lighter token.

    Weighty is ``weight > 0.25 * the document's greatest``: prompts are trained on lightly. An answer ends with the
    token that ends at least one answer in twenty. Prompts that leave no room for ``tokens_max`` are left out.
    """
    items: list[tuple[list[int], list[int]]] = []
    last: Counter[int] = Counter()
    for ids, document, weight in zip(rows.ids, rows.document, rows.weight, strict=True):
        for number in range(1, int(document.max()) + 1):
            own = document == number
            words, loads = ids[own].tolist(), weight[own]
            heavy = loads > ANSWER_WEIGHT * loads.max()
            if not heavy.any():
                continue
            end = int(np.flatnonzero(heavy)[-1]) + 1
            light = np.flatnonzero(~heavy[:end])
            begin = int(light[-1]) + 1 if len(light) else 0
            if begin < 1 or begin + tokens_max > context:
                continue
            items.append((words[:begin], words[begin:end]))
            last[words[end - 1]] += 1
    ends = {token for token, count in last.items() if count >= END_SHARE * max(1, len(items))}
    return Prompts(items, ends)

"""Scores of a family: gaps by grade, the cascade, out-of-scope recall, temperature."""

import math

import pytest
import torch

from tandem_trainer.calibrate import answer_confidences, fold_temperature
from tandem_trainer.evaluate import best_threshold, cascade, grade_gap, intent_curve
from tandem_trainer.model import Llama, ModelShape

SMALL = [(0.9, True), (0.8, True), (0.6, False), (0.3, False), (0.2, True)]
LARGE = [True, True, True, False, True]


def test_cascade_by_hand():
    assert cascade(SMALL, LARGE, 0.7) == {"threshold": 0.7, "accuracy": 0.8, "large": 0.8, "kept": 1.0, "calls": 0.6}
    assert cascade(SMALL, LARGE, 0.0)["kept"] == 0.75 and cascade(SMALL, LARGE, 0.0)["calls"] == 0.0


def test_best_threshold_is_the_cheapest_that_keeps_enough():
    threshold = best_threshold(SMALL, LARGE)
    assert 0.6 < threshold < 0.8 and cascade(SMALL, LARGE, threshold)["kept"] >= 0.99
    assert best_threshold([(0.9, False)], [True]) > 0.9


def test_grade_gap_by_hand():
    def cells(a, b, c, d):
        return {"cells": {name: {"n": 1, "accuracy": value} for name, value in {"sort/1": a, "sort/2": 0.5, "sort/3": b, "domain/1": c, "units/2": d}.items()}}

    gap = grade_gap(cells(1.0, 0.8, 0.9, 0.1), cells(0.9, 0.2, 0.9, 0.9))
    assert gap["easiest"] == {"better": 0.95, "worse": 0.9, "difference": 0.05, "cells": 2}
    assert gap["hardest"] == {"better": 0.8, "worse": 0.2, "difference": 0.6, "cells": 1}


def test_intent_curve_trades_in_scope_accuracy_for_recall():
    given = [("balance", "balance", 0.9)] * 9 + [("balance", "pay", 0.4)] + [("oos", "oos", 0.5), ("oos", "pay", 0.3), ("oos", "pay", 0.95), ("oos", "pay", 0.2)]
    curve = intent_curve(given)
    assert curve["inScope"] == 0.9 and curve["outOfScopeRecall"] == 0.25
    assert curve["atThreshold"]["inScope"] == 0.9 and curve["atThreshold"]["outOfScopeRecall"] == 0.75


def test_a_folded_temperature_divides_the_logits_and_keeps_the_choice():
    torch.manual_seed(1)
    model = Llama(ModelShape(vocabulary=64, width=64, layers=1, heads=1, kv_heads=1, ffn_width=64, context=32)).eval()
    ids = torch.randint(0, 64, (2, 9))
    with torch.no_grad():
        before = model(ids)
        sure = answer_confidences(model, [1, 2], [3, 4], (1.0, 2.0))
        after = fold_temperature(model, 2.0)(ids)
    assert torch.allclose(after * 2, before, atol=1e-5) and (after.argmax(-1) == before.argmax(-1)).all()
    assert math.isclose(answer_confidences(model, [1, 2], [3, 4], (1.0,))[0], sure[1], rel_tol=1e-4)
    with pytest.raises(ValueError, match="temperature: expected"):
        fold_temperature(model, 0.0)

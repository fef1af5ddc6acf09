"""Metrics by the rules of published protocols, against numbers of their own code."""

import json
from pathlib import Path

import numpy as np
import pytest

from oodbench import InputError
from oodbench.metrics.conventions import Rules
from oodbench.metrics.ranking import aupr_in, auroc, fpr_at_tpr

RULES = {
    "openood": Rules("out", "corner", "trapezoid"),
    "outlier-exposure": Rules("out", "nearest", "average"),
    "energy": Rules("in", "nearest", "average"),
    "dice": Rules("in", "above", "trapezoid-from-0"),
    "pytorch-ood": Rules("out", "first", "trapezoid"),
}
CASES = json.loads(Path(__file__).with_name("conventions.json").read_text("utf-8"))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("case", CASES["cases"])
def test_each_protocol_gives_the_numbers_of_its_own_code(name, case):
    found = RULES[name].figures(case["inside"], case["outside"])
    close = 1e-6 if name == "pytorch-ood" else 1e-9  # it computes in float32
    assert found == pytest.approx(case["expected"][name], abs=close)


def test_points_on_a_line_are_no_corner():
    # Twenty ties of one image of each class: one straight line from (0, 0) to (1, 1).
    scores = np.arange(20)
    assert Rules("in", "first", "average").figures(scores, scores)["fpr95"] == 0.95
    assert Rules("in", "corner", "average").figures(scores, scores)["fpr95"] == 1


def test_the_nearest_rate_may_lie_below():
    # 94 of 100 positives lie above the negatives, and the other six tie below them.
    inside, outside = [2] * 94 + [0] * 6, [0]
    assert Rules("in", "nearest", "average").figures(inside, outside)["fpr95"] == 0
    assert Rules("in", "first", "average").figures(inside, outside)["fpr95"] == 1


def test_of_two_equally_near_rates_the_one_with_more_false_positives_counts():
    inside, outside = [*range(1, 21)], [1.5, 0]  # TPR 19/20 before and after 1.5
    assert Rules("in", "nearest", "average").figures(inside, outside)["fpr95"] == 0.5


def test_images_at_the_threshold_are_not_above_it():
    inside = [*range(20)]  # round(0.05 · 20) = 1: the threshold is 1
    assert Rules("in", "above", "average").figures(inside, [1, 1.5])["fpr95"] == 0.5


@pytest.mark.parametrize(
    ("area", "expected"),
    [("average", 5 / 6), ("trapezoid", 19 / 24), ("trapezoid-from-0", 13 / 24)],
)
def test_area_below_a_curve_of_four_points(area, expected):
    # Recall and precision: (0, start), (1/2, 1), (1/2, 1/2), (1, 2/3).
    found = Rules("in", "first", area).figures([3, 1], [2])
    assert found["aupr_in"] == pytest.approx(expected)


def test_classes_of_one_size_give_the_metrics_of_tables():
    inside, outside = np.random.default_rng(0).normal([[1], [0]], 1, (2, 50))
    found = Rules("out", "first", "average").figures(inside, outside)
    assert found["auroc"] == auroc(inside, outside)
    assert found["fpr95"] == fpr_at_tpr(inside, outside, convention="openood")
    assert found["aupr_in"] == pytest.approx(aupr_in(inside, outside))


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match="did you mean 'nearest'"):
        Rules("in", "nearst", "average")

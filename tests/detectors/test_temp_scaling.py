"""The maximum softmax probability at a fitted temperature."""

import numpy as np
import pytest
from made_outputs import batch_of, fitted, scores_of

from oodbench.metrics.temperature import fit_temperature


def scores(logits, fitted_logits, labels):
    detector = fitted("temp_scaling", batch_of(None, fitted_logits, labels))
    return scores_of(detector, batch_of(None, logits))


def test_a_temperature_by_hand():
    # Three of four are right: exp(a / T) = 3, and a = 2 ln 3 gives T = 2.
    found = scores([[0, np.log(3)]], [[2 * np.log(3), 0]] * 4, [0, 0, 0, 1])
    assert 1 / (1 + np.exp(-found)) == pytest.approx([0.63397], rel=1e-4)


@pytest.mark.parametrize("scale", [1, 7, 1e-3])
def test_it_is_msp_at_the_temperature_of_the_metrics(scale):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    logits = scale * (3 * rng.normal(size=(300, 5)) + 2 * np.eye(5)[labels])
    logits = logits.astype(np.float32)
    cooled = logits.astype(float) / fit_temperature(logits, labels)
    p = np.exp(cooled - cooled.max(1, keepdims=True))
    p = np.sort(p / p.sum(1, keepdims=True), axis=1)
    expected = np.log(p[:, -1]) - np.log(p[:, :-1].sum(1))
    assert scores(logits, logits, labels) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("label", "reason"), [(0, "are right"), (1, "chance")])
def test_labels_without_a_best_temperature_are_refused(label, reason):
    with pytest.raises(ValueError, match=reason):
        scores([[1.0, 0]], [[1.0, 0]], [label])

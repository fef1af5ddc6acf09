"""Scores of probabilities against 200-digit arithmetic, and their laws."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oodbench.scoring.predictions import predict
from oodbench.scoring.probabilities import CERTAIN, log_odds, neg_log_entropy

INF = float("inf")
ROWS = [
    [0.0, 1.0],
    [2.0, 2.0],
    [0.5, 1.0, 2.0],
    [3.0, 3.0, 3.0, 3.0],
    [20.0, 0.0],
    [700.0, 0.0, 1.0],
    [90000.0, -3.0, 2.5],
    [3e38, 0.0, -3e38],
    [-INF, 1.0, 2.0],
    [-INF, -INF, 5.0, 700.0],
    [1e-6, 0.0, -1e-6],
    [41.0, 0.0, 0.0, 0.0],
    [39.0, 0.0, 0.0, 0.0],
]


def exact(row):
    """Returns log odds and −log H of a row by arithmetic of 200 digits."""
    with localcontext() as context:
        context.prec, context.Emin = 200, -(10**17)
        logits = [Decimal(x) for x in row if x > -INF]
        top = max(logits)
        others = list(logits)
        others.remove(top)
        weights = [(x - top).exp() for x in others]
        rest = sum(weights)
        total = 1 + rest
        # 200 digits do not hold 1 + exp(-700); there the series does.
        log_total = total.ln() if rest > Decimal("1e-60") else rest - rest * rest / 2
        odds = -rest.ln()
        entropy = sum(
            w / total * (log_total - (x - top))
            for w, x in zip([Decimal(1), *weights], [top, *others], strict=True)
        )
        return float(odds), float(-entropy.ln())


@pytest.mark.parametrize("row", [row for row in ROWS if max(row) < 1e20])
def test_both_are_exact_for_all_logits(row):
    odds, negative = exact(row)
    logits = torch.tensor([row], dtype=torch.float64)
    assert log_odds(logits).item() == pytest.approx(odds, rel=1e-12, abs=1e-15)
    found = neg_log_entropy(logits).item()
    assert found == pytest.approx(negative, rel=1e-12, abs=1e-15)


def test_logits_at_the_end_of_float32_stay_finite():
    logits = torch.tensor([[3.4e38, -3.4e38], [3.4e38, 0.0]])
    for score in (log_odds, neg_log_entropy):
        far, near = score(logits)
        assert near < far < CERTAIN


@pytest.mark.parametrize("score", [log_odds, neg_log_entropy])
def test_certain_images_tie_above_all_others(score):
    alone = score(torch.tensor([[3.0], [4.0]]))
    masked = score(torch.tensor([[3.0, -INF, -INF]]))
    assert alone.tolist() == [CERTAIN] * 2
    assert masked.tolist() == [CERTAIN]


def test_two_classes_are_ordered_by_their_difference_alone():
    logits = torch.tensor([[5.0, 5.0], [9.0, 8.0], [1.0, -200.0], [-1.0, 1e4]])
    for score in (log_odds, neg_log_entropy):
        found = score(logits)
        assert (found.diff() > 0).all()
    assert log_odds(logits).tolist() == [0.0, 1.0, 201.0, 10001.0]


rows = st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=7)


@given(rows)
def test_the_order_is_that_of_the_published_scores(row):
    logits = torch.tensor([row, list(reversed([x / 2 for x in row]))]).double()
    log_p = logits.log_softmax(1)
    msp = log_p.exp().amax(1)
    entropy = (log_p.exp() * log_p).sum(1)
    for score, usual in ((log_odds, msp), (neg_log_entropy, entropy)):
        difference = usual.diff().item()
        if abs(difference) > 1e-12:
            assert np.sign(score(logits).diff().item()) == np.sign(difference)


@given(rows, st.integers(-1000, 1000), st.randoms(use_true_random=False))
def test_shift_and_permutation_change_nothing(row, shift, random):
    moved = [round(x * 1024) / 1024 for x in row]  # so that the sum is exact
    shuffled = random.sample(moved, len(moved))
    for score in (log_odds, neg_log_entropy):
        plain = score(torch.tensor([moved]))
        assert torch.equal(score(torch.tensor([moved]).double() + shift), plain)
        assert score(torch.tensor([shuffled])).item() == pytest.approx(
            plain.item(), rel=1e-12, abs=1e-14
        )


@pytest.mark.parametrize("row", ROWS)
def test_gradients_are_finite(row):
    for score in (log_odds, neg_log_entropy):
        logits = torch.tensor([row], requires_grad=True)
        score(logits).sum().backward()
        assert logits.grad.isfinite().all()


def test_a_masked_class_is_no_missing_number_in_predictions():
    logits = torch.tensor([[0.0, 0.0, -INF], [0.0, -INF, 1.0]])
    found = predict(logits, torch.tensor([1, 1]))
    assert found["confidences"][0] == 0.5
    assert found["nll"].tolist() == [pytest.approx(np.log(2)), np.inf]
    p = 1 / (1 + np.exp(-1))
    expected = [0.5, (1 - p) ** 2 + 1 + p**2]
    assert found["brier"].tolist() == pytest.approx(expected)


def test_a_network_without_labels_has_no_losses():
    assert set(predict(torch.zeros(2, 3))) == {"predictions", "confidences"}

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from oodbench import InputError
from oodbench.metrics.ranking import (
    aupr_in,
    aupr_out,
    auroc,
    fpr_at_tpr,
    roc_curve,
    threshold_at_tpr,
    tie_share,
)

finite_floats = st.floats(allow_nan=False, allow_infinity=False)
levels = st.lists(st.integers(0, 9), min_size=1, max_size=30)  # so that many are tied
rates = st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0])


def normal(n, mean):
    return np.random.default_rng(n).normal(mean, 1, n)


PAIRS = {
    "random": (normal(300, 1), normal(500, 0)),
    "tied": (normal(300, 1).round(1), normal(500, 0).round(1)),
    "all tied": (np.ones(7), np.ones(4)),
    "separated": (normal(50, 100), normal(60, 0)),
    "inverted": (normal(50, 0), normal(60, 100)),
    "shifted up": (normal(300, 1001), normal(500, 1000)),
    "shifted down": (normal(300, -999), normal(500, -1000)),
    "scaled up": (1e6 * normal(300, 1), 1e6 * normal(500, 0)),
    "scaled down": (1e-6 * normal(300, 1), 1e-6 * normal(500, 0)),
    "saturated": (np.minimum(normal(300, 1), 1), np.minimum(normal(500, 0.5), 1)),
    "unequal": (normal(3, 1), normal(2000, 0)),
    **{f"{n} against {6 - n}": (normal(n, 1), normal(6 - n, 0)) for n in range(1, 6)},
}
pairs = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def all_metrics(id_scores, ood_scores):
    found = (metric(id_scores, ood_scores) for metric in (auroc, aupr_in, aupr_out))
    conventions = ("id", "openood")
    fprs = (fpr_at_tpr(id_scores, ood_scores, convention=c) for c in conventions)
    return [*found, *fprs]


def labelled(pair):
    """Returns labels, scores and the weights that make both classes equally heavy."""
    sizes = [scores.size for scores in pair]
    labels = np.repeat([1, 0], sizes)
    return labels, np.concatenate(pair), np.repeat(1 / np.array(sizes), sizes)


def naive_auroc(id_scores, ood_scores):
    pairs = [(i > o) + (i == o) / 2 for i in id_scores for o in ood_scores]
    return sum(pairs) / len(pairs)


@pairs
def test_auroc_equals_that_of_scikit_learn(pair):
    labels, scores, _ = labelled(pair)
    expected = sklearn_metrics.roc_auc_score(labels, scores)
    assert auroc(*pair) == pytest.approx(expected, abs=1e-12)


@pairs
def test_aupr_equals_that_of_scikit_learn(pair):
    labels, scores, weights = labelled(pair)
    precision = sklearn_metrics.average_precision_score
    assert aupr_in(*pair) == pytest.approx(
        precision(labels, scores, sample_weight=weights), abs=1e-12
    )
    assert aupr_out(*pair) == pytest.approx(
        precision(1 - labels, -scores, sample_weight=weights), abs=1e-12
    )


@pairs
def test_roc_curve_equals_that_of_scikit_learn(pair):
    labels, scores, _ = labelled(pair)
    expected = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    for ours, theirs in zip(roc_curve(*pair), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pairs
@pytest.mark.parametrize("tpr", [0.5, 0.8, 0.95, 1.0])
def test_fpr_is_that_of_the_first_point_of_scikit_learns_curve(pair, tpr):
    labels, scores, _ = labelled(pair)
    for convention, sign in (("id", 1), ("openood", -1)):
        fprs, tprs, _ = sklearn_metrics.roc_curve(
            labels == (sign > 0), sign * scores, drop_intermediate=False
        )
        expected = fprs[np.flatnonzero(tprs >= tpr)[0]]
        assert fpr_at_tpr(*pair, tpr=tpr, convention=convention) == pytest.approx(
            expected, abs=1e-12
        )


@given(levels, levels)
def test_auroc_counts_pairs_and_tied_ones_half(id_scores, ood_scores):
    expected = naive_auroc(id_scores, ood_scores)
    assert auroc(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)


@given(levels, levels, st.lists(finite_floats, min_size=10, max_size=10, unique=True))
def test_no_increasing_map_changes_a_bit(id_scores, ood_scores, images):
    images = np.sort(images)
    assume(np.all(images[:-1] < images[1:]))
    mapped = images[id_scores], images[ood_scores]
    assert all_metrics(*mapped) == all_metrics(id_scores, ood_scores)


@given(st.lists(finite_floats, min_size=1), st.lists(finite_floats, min_size=1))
def test_negated_scores_have_one_minus_the_auroc(id_scores, ood_scores):
    negated = auroc(np.negative(id_scores), np.negative(ood_scores))
    assert negated == pytest.approx(1 - auroc(id_scores, ood_scores), abs=1e-15)


@given(levels, levels, rates)
def test_the_fpr_conventions_mirror_each_other(id_scores, ood_scores, tpr):
    openood = fpr_at_tpr(id_scores, ood_scores, tpr=tpr, convention="openood")
    assert openood == fpr_at_tpr(
        np.negative(ood_scores), np.negative(id_scores), tpr=tpr
    )


@given(levels, levels)
def test_aupr_out_mirrors_aupr_in(id_scores, ood_scores):
    mirrored = np.negative(ood_scores), np.negative(id_scores)
    assert aupr_out(id_scores, ood_scores) == aupr_in(*mirrored)


@given(levels, levels, rates)
def test_the_threshold_at_tpr_is_the_operating_point_of_the_fpr(
    id_scores, ood_scores, tpr
):
    threshold = threshold_at_tpr(id_scores, tpr)
    assert np.mean(np.array(id_scores) >= threshold) >= tpr
    assert np.mean(np.array(id_scores) > threshold) < tpr
    accepted = np.mean(np.array(ood_scores) >= threshold)
    assert fpr_at_tpr(id_scores, ood_scores, tpr=tpr) == accepted


def test_both_fpr_conventions_on_an_example_by_hand():
    id_scores, ood_scores = [9, 8, 7, 3], [6, 5, 4, 1]
    # All ID images are accepted from 3 on, with three of the OOD images.
    assert fpr_at_tpr(id_scores, ood_scores) == 0.75
    # All OOD images are rejected up to 6, with one of the ID images.
    assert fpr_at_tpr(id_scores, ood_scores, convention="openood") == 0.25


def test_aupr_by_hand():
    id_scores, ood_scores = [3, 1], [2, 2, 2, 0]
    # Precision at recall 1/2 is 1. At recall 1 all ID images stand against three
    # quarters of the OOD ones.
    assert aupr_in(id_scores, ood_scores) == pytest.approx((1 + 4 / 7) / 2)


def test_all_tied_scores_are_chance():
    assert all_metrics([1] * 5, [1] * 8) == [0.5, 0.5, 0.5, 1, 1]


def test_perfect_separation_has_no_error():
    assert all_metrics([2, 3], [0, 1]) == [1, 1, 1, 0, 0]


def test_scores_far_below_zero_keep_their_auroc():
    # Log-densities: a float32 sigmoid, as in torchmetrics, ties them all: AUROC 0.5.
    quantiles = [NormalDist().inv_cdf((k + 0.5) / 100) for k in range(100)]
    id_scores, ood_scores = np.add(quantiles, -100), np.add(quantiles, -101)
    assert auroc(id_scores, ood_scores) == pytest.approx(0.76, abs=0.001)
    assert auroc(id_scores, ood_scores) == naive_auroc(id_scores, ood_scores)


@pytest.mark.parametrize("n", [20, 40, 100, 1000, 12_345, 1_000_000])
@pytest.mark.parametrize("percent", [1, 7, 55, 70, 90, 95, 99, 100])
def test_the_threshold_accepts_no_image_too_many(n, percent):
    accepted = n - threshold_at_tpr(np.arange(n), percent / 100)
    assert accepted == -(-n * percent // 100)


def test_a_rate_that_was_rounded_up_is_still_reached():
    assert 1 - 0.7 > 0.3
    assert threshold_at_tpr(range(10), 1 - 0.7) == 7


def test_float32_integers_and_lists_are_taken():
    expected = auroc([3.0, 2.0], [1.0, 2.0])
    assert auroc(np.float32([3, 2]), np.int64([1, 2])) == expected


def test_inputs_stay_as_they_are():
    id_scores, ood_scores = np.array([1.0, 3.0, 2.0]), np.array([2.0, 0.0])
    all_metrics(id_scores, ood_scores)
    assert id_scores.tolist() == [1, 3, 2]
    assert ood_scores.tolist() == [2, 0]


def test_tie_share_counts_the_images_that_share_a_score():
    assert tie_share([1, 2, 3]) == 0
    assert tie_share([1, 1, 2, 2, 2, 3]) == 5 / 6
    assert tie_share([0.0, -0.0]) == 1


@pytest.mark.parametrize("metric", [auroc, aupr_in, aupr_out, fpr_at_tpr])
def test_an_unusable_score_is_named_by_its_place(metric):
    with pytest.raises(InputError, match=r"ood_scores .* 2 of 4 places.* at index 1"):
        metric([1, 2], [0, np.nan, 3, -np.inf])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "id_scores is empty"),
        ([[1, 2]], r"id_scores has the shape \[1, 2\]"),
        (1.0, r"id_scores has the shape \[\]"),
        ([np.inf], "1 of 1 places, first at index 0"),
    ],
)
def test_scores_must_be_a_row_of_finite_numbers(scores, message):
    with pytest.raises(InputError, match=message):
        auroc(scores, [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tpr": 0}, "rate of 0 "),
        ({"tpr": 95}, "rate of 95 "),
        ({"tpr": np.nan}, "rate of nan "),
        ({"convention": "ood"}, "No convention 'ood'"),
    ],
)
def test_an_unknown_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        fpr_at_tpr([1, 2], [0, 1], **options)

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from oodbench import InputError
from oodbench.metrics.bootstrap import fpr_interval, resampled_fprs
from oodbench.metrics.ranking import fpr_at_tpr
from oodbench.metrics.spreads import INDEPENDENT, Clusters

levels = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def normal(seed, n, mean):
    return np.random.default_rng(seed).normal(mean, 1, n)


def naive(statistic, inside, outside, clusters=INDEPENDENT, resamples=2000):
    """Resamples by copying scores, cluster by cluster."""
    rng = np.random.default_rng(7)
    parts = []
    for scores, labels in zip((inside, outside), clusters, strict=True):
        kinds = np.arange(len(scores)) if labels is None else np.asarray(labels)
        parts.append([scores[kinds == kind] for kind in np.unique(kinds)])
    return np.array(
        [
            statistic(
                *(
                    np.concatenate([p[i] for i in rng.integers(len(p), size=len(p))])
                    for p in parts
                )
            )
            for _ in range(resamples)
        ]
    )


INSIDE, OUTSIDE = normal(0, 60, 1.5), normal(1, 90, 0)
CLUSTERS = Clusters(np.arange(60) // 4, np.arange(90) % 20)


def openood(inside, outside):
    return fpr_at_tpr(inside, outside, convention="openood")


@pytest.mark.parametrize(
    ("ours", "statistic"),
    [
        (resampled_fprs, fpr_at_tpr),
        (lambda *a, **k: resampled_fprs(*a, convention="openood", **k), openood),
    ],
)
def test_clusters_are_drawn_as_if_scores_were_copied(ours, statistic):
    drawn = ours(INSIDE, OUTSIDE, CLUSTERS, resamples=4000)
    copied = naive(statistic, INSIDE, OUTSIDE, CLUSTERS)
    deviation = copied.std()
    # Both differ from the truth by chance alone: four standard errors or so.
    assert drawn.mean() == pytest.approx(copied.mean(), abs=0.11 * deviation)
    assert drawn.std() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize("sizes", [(2000, 100), (100, 2000), (60, 60)])
@pytest.mark.parametrize("convention", ["id", "openood"])
def test_the_interval_holds_its_level_with_few_images(sizes, convention):
    rng, held = np.random.default_rng(0), 0
    shift = 2**0.5 * NormalDist().inv_cdf(0.9)
    truth = 1 - NormalDist().cdf(shift + NormalDist().inv_cdf(0.05))
    for _ in range(300):
        scores = rng.normal(shift, 1, sizes[0]), rng.normal(0, 1, sizes[1])
        low, high = fpr_interval(*scores, convention=convention, resamples=400)
        held += low <= truth <= high
    assert held / 300 > 0.95 - 3 * (0.05 * 0.95 / 300) ** 0.5


def test_a_known_threshold_leaves_the_bounds_of_clopper_and_pearson():
    inside = np.ones(100_000)
    outside = np.where(np.arange(50) < 10, 2, 0)
    low, high = fpr_interval(inside, outside, resamples=100_000)
    exact = stats.binomtest(10, 50).proportion_ci(0.95, "exact")
    narrow = stats.beta.ppf([0.025, 0.975], 10.5, 40.5)
    assert (low, high) == pytest.approx(tuple(narrow), abs=0.01)
    assert exact.low < low < high < exact.high


def test_the_seed_alone_decides():
    first = fpr_interval(INSIDE, OUTSIDE)
    assert fpr_interval(INSIDE, OUTSIDE) == first
    assert fpr_interval(INSIDE, OUTSIDE, seed=1) != first
    assert fpr_interval(np.exp(INSIDE), np.exp(OUTSIDE)) == first


def test_copies_of_images_in_clusters_do_not_narrow_the_interval():
    inside, outside = np.repeat(INSIDE, 5), np.repeat(OUTSIDE, 5)
    clusters = Clusters(np.arange(300) // 5, np.arange(450) // 5)
    wide, narrow = (
        fpr_interval(inside, outside, labels) for labels in (clusters, INDEPENDENT)
    )
    assert np.ptp(wide) > 1.5 * np.ptp(narrow)
    once = fpr_interval(INSIDE, OUTSIDE, Clusters(np.arange(60), np.arange(90)))
    assert np.ptp(wide) == pytest.approx(np.ptp(once), rel=0.2)


@given(levels, levels, st.sampled_from(["id", "openood"]))
def test_the_interval_contains_the_rate(id_scores, ood_scores, convention):
    low, high = fpr_interval(id_scores, ood_scores, convention=convention, resamples=50)
    rate = fpr_at_tpr(id_scores, ood_scores, convention=convention)
    assert 0 <= low <= rate <= high <= 1
    assert high > low


def test_no_accepted_image_of_m_bounds_the_rate_as_clopper_and_pearson():
    ones, zeros = np.ones(50), np.zeros(80)
    assert fpr_interval(ones, zeros) == pytest.approx((0, 1 - 0.025 ** (1 / 80)))
    found = fpr_interval(ones, zeros, convention="openood")
    assert found == pytest.approx((0, 1 - 0.025 ** (1 / 50)))


def test_a_single_image_or_cluster_says_nothing():
    assert fpr_interval([1], [0, 2]) == (0, 1)
    assert fpr_interval([1, 2], [0]) == (0, 1)
    assert fpr_interval(INSIDE, OUTSIDE, Clusters(None, np.zeros(90))) == (0, 1)


def test_unusable_input_is_refused():
    with pytest.raises(InputError, match="one number for each of 60 images"):
        fpr_interval(INSIDE, OUTSIDE, Clusters(np.arange(3), None))
    with pytest.raises(InputError, match="level of 95"):
        fpr_interval(INSIDE, OUTSIDE, level=95)
    with pytest.raises(InputError, match="id_scores is empty"):
        fpr_interval([], OUTSIDE)

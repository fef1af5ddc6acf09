import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.bootstrap import fpr_interval, resampled_fprs
from oodbench.metrics.intervals import INDEPENDENT, Clusters
from oodbench.metrics.ranking import fpr_at_tpr

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
    "clusters", [INDEPENDENT, CLUSTERS, CLUSTERS._replace(inside=None)]
)
@pytest.mark.parametrize(
    ("ours", "statistic"),
    [
        (resampled_fprs, fpr_at_tpr),
        (lambda *a, **k: resampled_fprs(*a, convention="openood", **k), openood),
    ],
)
def test_samples_are_distributed_as_if_scores_were_copied(ours, statistic, clusters):
    drawn = ours(INSIDE, OUTSIDE, clusters, resamples=4000)
    copied = naive(statistic, INSIDE, OUTSIDE, clusters)
    deviation = copied.std()
    # Both differ from the truth by chance alone: four standard errors or so.
    assert drawn.mean() == pytest.approx(copied.mean(), abs=0.11 * deviation)
    assert drawn.std() == pytest.approx(deviation, rel=0.1)


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
    assert np.ptp(wide) == pytest.approx(np.ptp(fpr_interval(INSIDE, OUTSIDE)), rel=0.2)


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

import numpy as np
import pytest

from oodbench import InputError
from oodbench.metrics import ranking, selective
from oodbench.metrics.spreads import INDEPENDENT, Clusters
from oodbench.metrics.table import METRICS, Sample, numbers


def sample(n=300, m=200):
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, n).round(2), rng.normal(0, 1, m).round(2)
    return Sample(inside, outside, correct=rng.random(n) < 0.9)


def test_every_entry_has_the_value_of_its_function():
    drawn = sample()
    pair = drawn.inside, drawn.outside
    expected = {
        "auroc": ranking.auroc(*pair),
        "fpr95": ranking.fpr_at_tpr(*pair),
        "fpr95_openood": ranking.fpr_at_tpr(*pair, convention="openood"),
        "aupr_in": ranking.aupr_in(*pair),
        "aupr_out": ranking.aupr_out(*pair),
        "aurc": selective.aurc(*pair, drawn.correct),
        "augrc": selective.augrc(*pair, drawn.correct),
    }
    assert {name: METRICS[name].value(drawn) for name in expected} == expected


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_title_states_the_direction(metric):
    direction = "higher" if metric.higher_is_better else "lower"
    assert f"{direction} is better" in metric.title
    assert METRICS[metric.name] is metric


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_an_interval_contains_its_value_and_stays_within_0_and_1(metric):
    if metric.interval is not None:
        for drawn in (sample(), sample(5, 4), sample(2, 300)):
            low, high = metric.interval(drawn)
            assert 0 <= low <= metric.value(drawn) <= high <= 1


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_better_score_is_better_by_the_direction(metric):
    drawn = sample()
    worse = Sample(-drawn.inside, -drawn.outside, correct=drawn.correct)
    better = metric.value(drawn) > metric.value(worse)
    assert better == metric.higher_is_better


def test_a_metric_that_needs_labels_asks_for_them():
    drawn = sample()
    unlabelled = Sample(drawn.inside, drawn.outside)
    for metric in METRICS.values():
        if metric.needs_correct:
            with pytest.raises(InputError, match="give `correct`"):
                metric.value(unlabelled)
        else:
            metric.value(unlabelled)


def several(n, m, decimals):
    """Draws the scores of six detectors, two of which separate or tie all images."""
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, (6, n)), rng.normal(0, 1, (6, m))
    inside[0], outside[0] = 2, 1
    inside[1], outside[1] = 0, 0
    inside[2], outside[2] = -1, 1
    return inside.round(decimals), outside.round(decimals), rng.random(n) < 0.8


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (3, 2), (40, 30), (301, 500)])
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("divisor", [None, 3])
def test_several_detectors_have_the_numbers_of_each_alone(sizes, decimals, divisor):
    inside, outside, correct = several(*sizes, decimals)
    clusters = INDEPENDENT
    if divisor:
        clusters = Clusters(*(np.arange(size) // divisor for size in sizes))
    together = numbers(Sample(inside, outside, clusters, correct))
    for row, found in enumerate(together):
        part = inside[row : row + 1], outside[row : row + 1]
        assert numbers(Sample(*part, clusters, correct)) == [found]
        alone = Sample(inside[row], outside[row], clusters, correct)
        for name, metric in METRICS.items():
            assert metric.value(alone) == found[name]
            ends = found[f"{name}_low"], found[f"{name}_high"]
            assert metric.interval(alone) == ends


def test_without_labels_the_numbers_lack_selective_prediction():
    inside, outside, _ = several(20, 30, 1)
    known = set(numbers(Sample(inside, outside))[0])
    assert known & {"aurc", "augrc_low"} == set()
    assert known >= {"auroc", "aupr_out_high", "tied", "deciding"}

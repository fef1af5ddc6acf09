import numpy as np
import pytest

from oodbench import InputError
from oodbench.metrics import ranking, selective
from oodbench.metrics.table import METRICS, Sample


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

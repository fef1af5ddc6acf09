import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench.metrics.influence import lowest_precision
from oodbench.metrics.ranking import aupr_in
from oodbench.metrics.spreads import Clusters
from oodbench.metrics.table import METRICS, Sample

NAMES = ("aupr_in", "aupr_out", "aurc", "augrc")
names = pytest.mark.parametrize("name", NAMES)
levels = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def sample(seed, n, m, shift=1.5, decimals=9):
    rng = np.random.default_rng(seed)
    return Sample(
        rng.normal(shift, 1, n).round(decimals),
        rng.normal(0, 1, m).round(decimals),
        correct=rng.random(n) < 0.9,
    )


def jackknifed(name, drawn):
    """The variance of a metric from leaving out one image at a time."""
    variance = 0.0
    for part in ("inside", "outside"):
        count = getattr(drawn, part).size
        values = []
        for left_out in range(count):
            kept = np.arange(count) != left_out
            columns = {"inside": drawn.inside, "outside": drawn.outside}
            columns[part] = columns[part][kept]
            correct = drawn.correct[kept] if part == "inside" else drawn.correct
            values.append(METRICS[name].value(Sample(**columns, correct=correct)))
        variance += (count - 1) * np.var(values)
    return variance


@names
@pytest.mark.parametrize("decimals", [9, 1])
def test_the_width_is_that_of_leaving_out_one_image_at_a_time(name, decimals):
    drawn = sample(0, 400, 300, decimals=decimals)
    value = METRICS[name].value(drawn)
    low, high = METRICS[name].interval(drawn)
    logits = [math.log(end / (1 - end)) for end in (low, high)]
    error = math.sqrt(jackknifed(name, drawn)) / (value * (1 - value))
    assert 1 < (logits[1] - logits[0]) / (2 * 1.96 * error) < 1.2


@names
@pytest.mark.parametrize("sizes", [(300, 200), (1000, 40)])
def test_the_interval_holds_its_level(name, sizes):
    truth = METRICS[name].value(sample(0, 1000 * sizes[0], 1000 * sizes[1]))
    held = 0
    for seed in range(1, 201):
        low, high = METRICS[name].interval(sample(seed, *sizes))
        held += low <= truth <= high
    assert held / 200 > 0.95 - 3 * (0.05 * 0.95 / 200) ** 0.5


@names
@given(levels, levels, st.integers(0, 1000))
def test_the_interval_contains_its_value(name, inside, outside, seed):
    correct = np.random.default_rng(seed).random(len(inside)) < 0.8
    drawn = Sample(np.array(inside, float), np.array(outside, float), correct=correct)
    low, high = METRICS[name].interval(drawn)
    assert 0 <= low <= METRICS[name].value(drawn) <= high <= 1
    assert high > low


@names
def test_images_that_are_clusters_of_one_are_images(name):
    drawn = sample(0, 60, 50)
    single = Clusters(np.arange(60), np.arange(50))
    found = METRICS[name].interval(
        Sample(drawn.inside, drawn.outside, single, drawn.correct)
    )
    assert found == pytest.approx(METRICS[name].interval(drawn))


@names
def test_copies_of_images_in_clusters_do_not_narrow_the_interval(name):
    drawn = sample(0, 100, 80)
    copied = Sample(
        np.repeat(drawn.inside, 5),
        np.repeat(drawn.outside, 5),
        Clusters(np.arange(500) // 5, np.arange(400) // 5),
        np.repeat(drawn.correct, 5),
    )
    found = METRICS[name].interval(copied)
    assert np.ptp(found) == pytest.approx(
        np.ptp(METRICS[name].interval(drawn)), rel=0.1
    )


@names
def test_a_single_image_has_no_spread(name):
    drawn = Sample(np.array([1.0]), np.array([0.0, 2.0]), correct=np.array([True]))
    assert METRICS[name].interval(drawn) == (0, 1)


@names
def test_perfect_scores_are_bounded_by_the_number_of_images(name):
    few, many = (
        METRICS[name].interval(
            Sample(np.ones(n), np.zeros(n), correct=np.ones(n, dtype=bool))
        )
        for n in (50, 5000)
    )
    assert 0 < np.ptp(many) < 0.02 < np.ptp(few)


@pytest.mark.parametrize("count", [10, 1000])
def test_the_lowest_precision_is_reached_by_ood_images_above_all(count):
    share = 1 - 0.025 ** (1 / count)
    outside = np.where(np.arange(100_000) < share * 100_000, 2, 0)
    worst = aupr_in(np.linspace(0.5, 1, 20_000), outside)
    assert lowest_precision(1.0, count, 0.025) == pytest.approx(worst, abs=2e-3)


@given(st.floats(0, 1), st.integers(2, 1000))
def test_the_lowest_precision_is_below_the_value(value, count):
    assert 0 <= lowest_precision(value, count, 0.025) <= max(value, 0.31)

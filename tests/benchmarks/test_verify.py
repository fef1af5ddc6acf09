"""Verdicts on published figures, with numbers that can be worked out by hand."""

from dataclasses import replace

import pytest

from oodbench.benchmarks import benchmark
from oodbench.benchmarks.figures import Figure, Place
from oodbench.benchmarks.published import Published
from oodbench.benchmarks.stored import Entry, Outcome
from oodbench.benchmarks.verify import check

FASHION = Place("fashionmnist", "auroc")


def verdict(own, published, place=FASHION, **outcome):
    found = Outcome(benchmark.read("oe-mnist"), images={place.set: 10_000}, **outcome)
    entry = Entry("net", "msp", False, {} if own is None else {place: own})
    return check(
        found, entry, Published("baseline", "msp", place, published, 0)
    ).verdict


def test_a_figure_that_rounds_to_the_published_one_is_reached():
    assert verdict(Figure(0.90004, None, 1), Figure(0.9, None, 1)) == "reached"
    assert verdict(Figure(0.90006, None, 1), Figure(0.9, None, 1)) == "not reached"


def test_noise_is_two_standard_errors_of_the_difference():
    # Ten draws with a deviation of 0.3 %: s²/9 on each side, so the error is 0.1414 %;
    # the published deviation may be 0.305 %, so it is 0.1426 %, twice 0.2852 %.
    published = Figure(0.9, 0.003, 10)
    assert verdict(Figure(0.90285, 0.003, 10), published) == "within noise"
    assert verdict(Figure(0.89715, 0.003, 10), published) == "within noise"
    assert verdict(Figure(0.90295, 0.003, 10), published) == "not reached"


def test_one_network_is_as_noisy_as_one_of_the_published():
    # v = 0.00305² · 3/2, and v/3 + v under the root: twice 0.4313 %.
    published = Figure(0.9, 0.003, 3)
    assert verdict(Figure(0.9086, None, 1), published) == "within noise"
    assert verdict(Figure(0.9088, None, 1), published) == "not reached"


def test_a_published_mean_without_deviation_has_that_of_the_run():
    published = Figure(0.9, None, 10)
    assert verdict(Figure(0.9028, 0.003, 10), published) == "within noise"
    assert verdict(Figure(0.9029, 0.003, 10), published) == "not reached"


def test_other_images_add_the_error_of_the_pool():
    # 2,000 of 10,000: each side v/10 + v/5, three times the squared error.
    published, own = Figure(0.9, 0.003, 10), Figure(0.9045, 0.003, 10)
    assert verdict(own, published) == "not reached"
    assert verdict(own, published, substitutes={"fashionmnist": "x"}) == "within noise"
    assert verdict(own, published, Place("gaussian", "auroc")) == "within noise"


def test_other_sizes_are_not_compared():
    same = Figure(0.9, None, 1)
    for label in ("mnist", "fashionmnist"):
        doubts = {label: "10 images, and 10,000 in the benchmark"}
        assert verdict(same, same, doubts=doubts) == "not comparable"
    assert verdict(same, same, doubts={"icons50": "few"}) == "reached"
    mean = Place("all", "auroc")
    assert verdict(same, same, mean, doubts={"icons50": "few"}) == "not comparable"


def test_what_is_not_stored_is_not_attempted():
    assert verdict(None, Figure(0.9, None, 1), missing=["fashionmnist"]) == (
        "not attempted"
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_better_figure_is_no_more_reached_than_a_worse_one(sign):
    published = replace(Figure(0.9, 0.001, 10))
    assert verdict(Figure(0.9 + sign * 0.02, 0.001, 10), published) == "not reached"

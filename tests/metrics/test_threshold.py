"""Thresholds: what they accept, what is written of them, and images scored by them."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset
from oodbench.metrics.threshold import threshold
from oodbench.results import thresholds
from oodbench.results.store import Store

levels = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(levels, st.floats(0.05, 1))
def test_it_accepts_at_least_the_rate_and_the_next_score_does_not(scores, rate):
    found = threshold(scores, rate)
    accepted = np.mean(np.array(scores) >= found.value)
    assert found.share == accepted >= rate - 1e-12
    assert np.mean(np.array(scores) > found.value) < rate
    assert found.true_share.low <= found.share <= found.true_share.high
    assert found.likely.low <= found.value <= found.likely.high


def test_intervals_are_those_of_beta_and_binomial():
    scores = np.arange(100.0)
    found = threshold(scores, 0.9)
    assert (found.value, found.share) == (10, 0.9)
    exact = stats.binomtest(90, 100).proportion_ci(method="exact")
    assert found.true_share.low == pytest.approx(exact.low)
    assert found.true_share.high == pytest.approx(exact.high)
    # The r-th highest is 100 - r: no end leaves out more than a tail.
    most, least = 100 - found.likely.low, 100 - found.likely.high
    assert stats.binom.cdf(least - 1, 100, 0.9) <= 0.025
    assert stats.binom.cdf(least, 100, 0.9) > 0.025
    assert stats.binom.sf(most - 1, 100, 0.9) <= 0.025
    assert stats.binom.sf(most - 2, 100, 0.9) > 0.025


@pytest.mark.parametrize("n", [30, 200])
def test_intervals_hold_the_truth_in_95_percent_of_samples(n):
    rng = np.random.default_rng(0)
    held = np.zeros(2)
    for _ in range(1000):
        found = threshold(rng.normal(size=n), 0.9)
        held += [
            found.likely.low <= stats.norm.isf(0.9) <= found.likely.high,
            found.true_share.low <= stats.norm.sf(found.value) <= found.true_share.high,
        ]
    assert np.all(held / 1000 >= 0.93)


def test_ties_accept_more_and_the_interval_holds_it():
    found = threshold([1.0] * 8 + [0.0] * 2, 0.5)
    assert found.share == 0.8
    assert found.true_share.high == pytest.approx(stats.beta.isf(0.025, 9, 2))
    assert found.true_share.low == pytest.approx(stats.beta.ppf(0.025, 5, 6))


def test_a_small_sample_leaves_the_score_unbounded():
    found = threshold([1, 2, 3], 0.95)
    assert found.value == 1
    assert found.likely.low == -np.inf
    assert found.true_share.high == 1


@given(levels, st.floats(0.05, 0.9))
def test_a_certified_rate_asks_for_more_images(scores, rate):
    plain = threshold(scores, rate).value
    for certified in ("mean", "delta"):
        with suppress(InputError):  # too few images
            value = threshold(scores, rate, certified=certified).value
            assert value <= plain
            if certified == "mean":
                reached = np.count_nonzero(np.array(scores) >= value)
                assert reached >= rate * (len(scores) + 1) - 1e-9


@pytest.mark.parametrize("n", [60, 600])
def test_certified_rates_hold_for_new_images(n):
    samples = np.random.default_rng(0).random((1000, n))
    # Of scores that are uniform in [0, 1], a threshold t accepts the share 1 - t.
    on_average, mostly = (
        np.array([1 - threshold(s, 0.9, certified=c, delta=0.1).value for s in samples])
        for c in ("mean", "delta")
    )
    error = on_average.std() / np.sqrt(1000)
    assert 0.9 - 3 * error < on_average.mean() < 0.9 + 1 / n + 3 * error
    assert np.mean(mostly < 0.9) <= 0.1 + 3 * np.sqrt(0.09 / 1000)


def test_certified_ranks_are_those_of_the_theorems():
    scores = np.arange(100.0)  # the K-th highest is 100 - K
    assert threshold(scores, 0.9, certified="mean").value == 100 - 91
    rank = 100 - threshold(scores, 0.9, certified="delta", delta=0.05).value
    below = [stats.beta.cdf(0.9, k, 101 - k) for k in (rank - 1, rank)]
    assert below[0] > 0.05 >= below[1]
    assert threshold(np.arange(19.0), 0.95, certified="mean").value == 0
    with pytest.raises(InputError, match="18 images are too few"):
        threshold(np.arange(18.0), 0.95, certified="mean")


def test_unusable_input_is_refused():
    with pytest.raises(InputError, match="delta must be between 0 and 1"):
        threshold([1, 2], 0.5, certified="delta", delta=1)
    with pytest.raises(InputError, match="rate of 95"):
        threshold([1, 2], 95)
    with pytest.raises(InputError, match="id_scores is empty"):
        threshold([])


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"kind": "oodbench threshold", "schema": 1}', "\xff"]
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="holds no threshold"):
        thresholds.read(path)
    with pytest.raises(InputError, match="Cannot read"):
        thresholds.read(tmp_path / "missing.json")


@pytest.fixture
def results(oodbench):
    """Results of one model and two detectors, one of them fitted."""
    code, _, errors = oodbench(
        "run", "--model", "ce-digits", "--detectors", "energy,pixel_knn", "--out",
        "digits:8-9", "--limit", "60", "--no-plots",
    )  # fmt: skip
    assert code == 0, errors


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("detector", ["energy", "pixel_knn"])
def test_files_have_the_scores_of_the_run(oodbench, tmp_path, detector):
    code, out, errors = oodbench(
        "threshold", "--model", "ce-digits", "--detector", detector, "--to", "t.json"
    )
    assert code == 0, errors
    assert f"{detector} of ce-digits on digits:0-7, 60 test images" in out
    stored = json.loads((tmp_path / "t.json").read_text())
    assert stored["accepted"] >= stored["rate"] == 0.95
    assert stored["detector"]["label"] == detector
    images = (
        open_dataset("digits:0-7").load("test", Shape(1, 8, 8)).spread(60).images[:]
    )
    for index in range(60):
        pixels = np.asarray(images[index])[..., 0] * 65535  # as deep as PNG goes
        Image.fromarray(pixels.round().astype(np.uint16)).save(f"{index}.png")
    names = [f"{index}.png" for index in range(60)]
    code, out, errors = oodbench(
        "score", *names, "--model", "ce-digits", "--threshold", "t.json"
    )
    assert code == 0, errors
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == names
    (cell,) = tmp_path.glob(f"results/runs/*/*/digits_0-7-*/{detector}-*.npy")
    expected = np.load(cell)
    assert [float(line[1]) for line in lines] == pytest.approx(expected, abs=1e-3)
    accepted = np.mean([line[2] == "accepted" for line in lines])
    assert accepted == pytest.approx(stored["accepted"], abs=1 / 60)


@pytest.mark.usefixtures("results")
def test_another_network_or_changed_detector_is_refused(oodbench, tmp_path):
    oodbench(
        "threshold", "--model", "ce-digits", "--detector", "energy", "--to", "t.json"
    )
    Image.new("L", (8, 8)).save("a.png")
    score = ("score", "a.png", "--threshold", "t.json", "--model")
    code, _, errors = oodbench(*score, "jem-digits")
    assert code == 3
    assert "made for another network, ce-digits" in errors
    stored = json.loads((tmp_path / "t.json").read_text())
    stored["detector"]["key"] = "0" * 64
    (tmp_path / "t.json").write_text(json.dumps(stored))
    code, _, errors = oodbench(*score, "ce-digits")
    assert code == 3
    assert "has changed since" in errors


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["threshold", "--model", "ce", "--detector", "energy"], "no model in these"),
        (["threshold", "--model", "ce-digits", "--detector", "enrgy"], "'energy'"),
        (
            ["threshold", "--model", "ce-digits", "--detector", "energy", "--in", "x"],
            "no in-distribution set",
        ),
    ],
)
def test_unknown_names_are_a_sentence(oodbench, arguments, message):
    code, _, errors = oodbench(*arguments)
    assert code == 3
    assert message in errors


@pytest.mark.usefixtures("results")
def test_other_fitting_images_are_refused(oodbench, tmp_path):
    oodbench(
        "threshold", "--model", "ce-digits", "--detector", "pixel_knn", "--to", "t.json"
    )
    stored = json.loads((tmp_path / "t.json").read_text())
    stored["detector"]["fitted_on"]["limit"] = 50
    (tmp_path / "t.json").write_text(json.dumps(stored))
    Image.new("L", (8, 8)).save("a.png")
    code, _, errors = oodbench(
        "score", "a.png", "--threshold", "t.json", "--model", "ce-digits"
    )
    assert code == 3
    assert "are not those that pixel_knn was fitted on" in errors


def test_the_store_is_left_as_it_was(results, oodbench, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    oodbench("threshold", "--model", "ce-digits", "--detector", "energy")
    assert sorted(tmp_path.rglob("*")) == before
    assert list(Store(tmp_path / "results/runs").sets())


def test_a_record_without_what_scoring_needs_is_refused(tmp_path):
    cell = {
        "model": {
            "name": "net", "key": "k", "shape": [1, 4, 4], "mean": [0.5], "std": [0.5],
            "precision": "fp32",
        },
        "set": {}, "run": {},
        "detector": {"label": "energy", "key": "d", "fitted_on": None},
    }  # fmt: skip
    path = tmp_path / "t.json"
    whole = thresholds.accepting(cell, threshold([1, 2, 3]), 0.95, None, 0.05)
    thresholds.write(path, whole)
    assert thresholds.read(path) == whole
    assert whole["threshold_interval"][0] is None  # JSON has no infinity
    for part, name in (("model", "shape"), ("model", "mean"), ("detector", "key")):
        torn = {**whole, part: {k: v for k, v in whole[part].items() if k != name}}
        thresholds.write(path, torn)
        with pytest.raises(InputError, match="holds no threshold"):
            thresholds.read(path)

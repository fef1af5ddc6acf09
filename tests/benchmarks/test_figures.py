"""The figures of a benchmark, from scores: draws, means, deviations."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmarks import benchmark
from oodbench.benchmarks.figures import Place, Scores, figures
from oodbench.benchmarks.published import collection
from oodbench.metrics.ranking import auroc

SHARED = Path(
    os.environ.get("OODBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared")
)
PER_IMAGE = SHARED / "data/published/openood-scale-scores"
OPENOOD = benchmark.read("openood-cifar10")
NEAR, FAR = ("cifar100", "tin"), ("mnist", "svhn", "texture", "places365")


def scores(seed, labels=NEAR + FAR, count=30):
    rng = np.random.default_rng(seed)
    outside = {label: rng.normal(0, 1, count + i) for i, label in enumerate(labels)}
    return Scores(rng.normal(1, 1, 40), outside, rng.random(40) < 0.9)


def test_means_are_over_sets_and_deviations_over_networks():
    networks = [scores(seed) for seed in range(3)]
    found = figures(OPENOOD, networks)
    each = [[auroc(n.inside, n.outside[label]) for label in NEAR] for n in networks]
    near = found[Place("near", "auroc")]
    assert near.value == pytest.approx(np.mean(each))
    assert near.deviation == pytest.approx(np.mean(each, axis=1).std())
    assert near.runs == 3
    accuracy = found[Place("in", "accuracy")]
    assert accuracy.value == pytest.approx(np.mean([n.correct for n in networks]))


def test_a_mean_needs_every_set_of_its_group():
    found = figures(OPENOOD, [scores(0, ("cifar100", *FAR))])
    assert Place("cifar100", "auroc") in found
    assert Place("far", "auroc") in found
    assert Place("near", "auroc") not in found


def test_a_figure_needs_every_network():
    found = figures(OPENOOD, [scores(0), scores(1, NEAR)])
    assert Place("near", "auroc") in found
    assert Place("svhn", "auroc") not in found


def test_draws_are_without_replacement_and_the_same_each_time():
    drawn = replace(OPENOOD, draws=4, images_per_draw=7)
    one = scores(0)
    found = figures(drawn, [one])
    assert found == figures(drawn, [one])
    figure = found[Place("svhn", "auroc")]
    assert figure.runs == 4
    assert figure.deviation > 0
    # A draw of all images is the set, in any order.
    all_drawn = figures(replace(drawn, images_per_draw=10_000), [one])
    whole = figures(OPENOOD, [one])[Place("svhn", "auroc")]
    assert all_drawn[Place("svhn", "auroc")].value == whole.value
    assert all_drawn[Place("svhn", "auroc")].deviation == 0


def test_errors_are_found_among_the_images_of_the_in_set():
    rules = replace(OPENOOD, errors=True, draws=3, images_per_draw=2)
    one = scores(0)
    assert np.count_nonzero(~one.correct) > 2  # all of them count, undrawn
    found = figures(rules, [one])[Place("errors", "auroc")]
    right = one.correct
    assert found.value == auroc(one.inside[right], one.inside[~right])
    assert Place("errors", "auroc") not in figures(
        rules, [replace(one, correct=np.ones(40, bool))]
    )


def test_shifted_images_count_as_in_distribution_in_the_full_spectrum():
    imagenet = benchmark.read("openood-imagenet200")
    labels = [each.label for each in imagenet.outside]
    one = scores(0, labels)
    found = figures(imagenet, [one])
    shifted = [one.outside[each.label] for each in imagenet.shifted]
    assert len(shifted) == 3
    inside = np.concatenate([one.inside, *shifted])
    assert found[Place("ninco (full spectrum)", "auroc")].value == auroc(
        inside, one.outside["ninco"]
    )
    assert found[Place("ninco", "auroc")].value == auroc(
        one.inside, one.outside["ninco"]
    )
    assert Place("imagenet_r", "auroc") not in found
    del one.outside["imagenet_r"]
    fewer = figures(imagenet, [one])
    assert Place("near (full spectrum)", "auroc") not in fewer


def test_the_accuracy_of_the_full_spectrum_is_over_all_images_together():
    imagenet = benchmark.read("openood-imagenet200")
    v2, c, r = (each.label for each in imagenet.shifted)
    right = {v2: [True], c: [True, False], r: [False] * 5}
    one = replace(
        scores(0, [each.label for each in imagenet.outside]),
        correct=np.array([True, True, False, True]),
        inside=np.arange(4.0),
        correct_outside={label: np.array(each) for label, each in right.items()},
    )
    found = figures(imagenet, [one])
    assert found[Place("in", "accuracy")].value == 3 / 4
    assert found[Place("in (full spectrum)", "accuracy")].value == 5 / 12
    del one.correct_outside[c]
    assert Place("in (full spectrum)", "accuracy") not in figures(imagenet, [one])


@pytest.mark.skipif(not PER_IMAGE.is_dir(), reason="the shared scores are not here")
def test_the_published_scores_of_openood_give_its_published_figures():
    networks = []
    for seed in range(3):
        with np.load(PER_IMAGE / f"cifar10_seed{seed}.npz") as file:
            outside = {
                name.split(".")[1]: file[name].astype(float)
                for name in file.files
                if name.endswith(".scores") and not name.startswith("in")
            }
            correct = file["in.predictions"] == file["in.labels"]
            networks.append(Scores(file["in.scores"].astype(float), outside, correct))
    found = figures(OPENOOD, networks)
    published = [
        each
        for each in collection("openood-cifar10").figures
        if (each.model, each.detector) == ("CrossEntropy ResNet18", "scale")
    ]
    assert len(published) == 8 * 4 + 1
    for each in published:
        own = found[each.place]
        if each.place.metric == "accuracy":  # of another pass: 95.06, not 95.05
            assert own.value == pytest.approx(each.figure.value, abs=1.5e-4)
            continue
        assert f"{100 * own.value:.2f}" == f"{100 * each.figure.value:.2f}"
        assert f"{100 * own.deviation:.2f}" == f"{100 * each.figure.deviation:.2f}"

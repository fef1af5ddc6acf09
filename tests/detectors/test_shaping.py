"""Shaping detectors: values by hand, and settings that change nothing."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from made_outputs import batch_of, fitted, scores_of

from oodbench import Detector, InputError, Known, Need, Outputs
from oodbench.scoring.batch import Batch
from oodbench.scoring.chain import Chain
from oodbench.scoring.fitting.statistics import feature_mean
from oodbench.scoring.spec import open_detector


def shaped(spec, features, known=None, weight=((1.0, 0, 0, 0), (0, 1.0, 0, 0))):
    """Returns the shaped outputs of features, after a fit on others."""
    detector = fitted(spec, None if known is None else batch_of(known, weight=weight))
    return detector.shape(Outputs(batch_of(features, weight=weight), detector))


def random_batch(rng=None):
    rng = rng or np.random.default_rng(0)
    weight = rng.normal(size=(3, 20)).tolist()
    features, labels = rng.exponential(size=(40, 20)), np.arange(40) % 3
    return batch_of(features, None, labels, weight=weight, bias=[0.5, -1.0, 2.0])


D = [[1.0, 2, 3, 4]]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ash:variant=P:percentile=50", [0, 0, 3, 4]),
        ("ash:variant=B:percentile=50", [0, 0, 5, 5]),
        ("ash:variant=S:percentile=50", [0, 0, 12.5182, 16.6909]),
        ("scale:percentile=50", [4.17273, 8.34547, 12.5182, 16.6909]),
    ],
)
def test_features_by_hand(spec, expected):
    assert shaped(spec, D).features[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_lts_scales_the_finished_logits():
    one = batch_of(D, weight=[[1.0, 0, 0, 0], [0, 1, 0, 0]], bias=[1.0, 1.0])
    detector = open_detector("lts:percentile=50").detector
    found = detector.shape(Outputs(one, detector)).logits[0]
    assert found.tolist() == pytest.approx([2 * 2.040816, 3 * 2.040816], rel=1e-6)


def test_percentiles_are_rounded_half_to_even():
    found = shaped(
        "ash:variant=P:percentile=50", [[1.0, 2, 3, 4, 5]], weight=[[1.0] * 5]
    )
    assert found.features[0].tolist() == [0, 0, 3, 4, 5]  # 5 - round(2.5) = 3 are kept


def test_of_equal_features_the_first_are_kept():
    found = shaped("ash:variant=P:percentile=75", [[2.0, 2, 2, 2]])
    assert found.features[0].tolist() == [2, 0, 0, 0]


def test_react_clips_at_the_percentile_of_all_features():
    found = shaped("react:percentile=50", D, known=D)
    assert found.features[0].tolist() == [1, 2, 2.5, 2.5]


def test_vra_removes_small_features_and_clips_large_ones():
    known = np.linspace(0, 10, 101)[:, None].repeat(4, 1)
    for variant, first in (("zero", 0), ("clamp", 2)):
        found = shaped(f"vra:low=0.2:high=0.3:variant={variant}", D, known).features[0]
        assert found.tolist() == pytest.approx([first, 2, 3, 3])


def test_ras_replaces_a_feature_by_the_mean_of_its_rank():
    found = shaped("ras", [[5.0, 1, 3]], [[0.0, 2, 1], [1, 0, 2]], [[1.0, 0, 0]])
    assert found.features[0].tolist() == [2, 0, 1]


def test_ras_depends_on_the_order_of_the_features_alone():
    one = random_batch()
    detector = open_detector("ras").detector
    detector.fit(Known(one, detector))
    moved = Batch(
        one.inputs, one.logits, one.log_px, one.features**3 + 1, head=one.head
    )
    found = [detector.score(Outputs(each, detector)) for each in (one, moved)]
    assert torch.equal(*found)


def test_dice_keeps_weights_above_the_percentile():
    weight = [[1.0, 2], [3, 4]]
    found = shaped("dice:percentile=50", [[1.0, 1]], [[1.0, 1]], weight)
    assert found.head.weight.tolist() == [[0, 0], [3, 4]]
    assert found.logits[0].tolist() == [0, 7]


@pytest.mark.parametrize(("weights", "features"), [(90, 90), (10, 10), (50, 0)])
def test_line_against_numpy(weights, features):
    known, images = random_batch(), random_batch(np.random.default_rng(1))
    images = batch_of(images.features, weight=known.head.weight, bias=[0.5, -1, 2])
    weight, bias = (each.double().numpy() for each in known.head.parameters())
    train, z = (each.features.double().numpy() for each in (known, images))
    means = [train[known.labels.numpy() == k].mean(0) for k in range(3)]
    gains = weight * np.array(means)
    expected = []
    for row in np.minimum(z, 1.2):
        of_top = gains[(weight @ row + bias).argmax()]
        products = np.abs(of_top) * weight
        kept = weight * (products > np.percentile(products, weights))
        stays = (of_top > np.percentile(of_top, features)) | (features == 0)
        expected.append(np.logaddexp.reduce(kept @ (row * stays) + bias))
    spec = f"line:weight_percentile={weights}:feature_percentile={features}:clip=1.2"
    found = scores_of(fitted(spec, known), images)
    assert found == pytest.approx(expected, rel=1e-9)


def test_line_of_a_class_without_images_takes_the_mean_of_all():
    one = random_batch()
    few = batch_of(one.features[:20], None, [0, 1] * 10, weight=one.head.weight)
    assert np.isfinite(scores_of(fitted("line", few), one)).all()


def test_bats_clips_at_mean_and_deviation():
    known = [[0.0, 0, 0, 0], [2, 2, 2, 2]]  # mean 1, deviation 1
    found = shaped("bats:width=2", [[-5.0, 0, 3, 9]], known)
    assert found.features[0].tolist() == [-1, 0, 3, 3]


@pytest.mark.parametrize(
    "spec",
    [
        "react:percentile=100",
        "ash:variant=P:percentile=0",
        "lts:percentile=0",
        "bats:width=1e9",
        "vra:low=0:high=1",
        "dice:percentile=0",
        "line:weight_percentile=0:feature_percentile=0:clip=inf",
    ],
)
def test_settings_that_change_nothing_give_the_energy(spec):
    one = random_batch()
    detector = open_detector(spec).detector
    if detector.fitted_on:
        detector.fit(Known(one, detector))
    z, head = one.features.double(), one.head
    energy = (z @ head.weight.double().T + head.bias.double()).logsumexp(1)
    found = detector.score(Outputs(one, detector))
    assert found.numpy() == pytest.approx(energy.numpy(), abs=1e-5)


def test_nothing_is_written_into_features_or_head():
    one = random_batch()
    before = one.features.clone(), one.head.weight.clone()
    for spec in ("ash", "scale", "lts", "react", "vra", "ras", "bats", "dice", "line"):
        detector = open_detector(spec).detector
        if detector.fitted_on:
            detector.fit(Known(one, detector))
        view = Outputs(one, detector)
        detector.score(view)
        view.check_untouched()
    assert torch.equal(before[0], one.features)
    assert torch.equal(before[1], one.head.weight)


@pytest.mark.parametrize("spec", ["scale", "lts", "ash:percentile=50"])
def test_an_image_without_positive_features_has_a_finite_score(spec):
    assert shaped(spec, [[0.0, 0, 0, 0]]).log_px.isfinite().all()


@pytest.mark.parametrize(
    "spec",
    [
        "ash:percentile=100",
        "ash:variant=T",
        "react:percentile=101",
        "scale:percentile=-1",
        "vra:low=0.9:high=0.1",
        "vra:variant=lift",
        "bats:width=-1",
        "dice:percentile=nan",
        "line:weight_percentile=101",
        "line:feature_percentile=-1",
        "line:clip=0",
    ],
)
def test_impossible_parameters_are_refused(spec):
    with pytest.raises(InputError, match="must"):
        open_detector(spec)


def test_a_shaping_before_the_energy_is_the_shaping_alone():
    one = random_batch()
    for spec in ("react", "ash", "dice", "lts"):
        alone, chain = open_detector(spec).detector, open_detector(f"{spec}+energy")
        for detector in (alone, chain.detector):
            if detector.fitted_on:
                detector.fit(Known(one, detector))
        found = chain.detector.score(Outputs(one, chain.detector))
        assert torch.equal(found, alone.score(Outputs(one, alone)))


def test_shapings_work_from_left_to_right():
    one = batch_of(D, weight=[[1.0, 1, 1, 1], [0, 0, 0, 0]])
    found = {}
    for spec in ("react:percentile=50+ash:variant=P:percentile=50", "ash+react"):
        spec = spec.replace(
            "ash+react", "ash:variant=P:percentile=50+react:percentile=50"
        )
        detector = open_detector(f"{spec}+max_logit").detector
        detector.fit(Known(one, detector))
        found[spec] = detector.score(Outputs(one, detector)).item()
    # (1, 2, 2.5, 2.5) keeps 5; (0, 0, 3, 4) has the median 1.5, which clips to 3.
    assert list(found.values()) == [5, 3]


def test_the_name_of_a_chain_opens_it_again():
    entry = open_detector("react:percentile=95+ash:percentile=80+energy:temperature=2")
    assert (
        entry.label
        == "react:percentile=95.0+ash:percentile=80.0+energy:temperature=2.0"
    )
    assert open_detector(entry.label).parameters == entry.parameters
    assert entry.parameters["ash.percentile"] == 80


def test_a_number_may_have_a_plus():
    assert open_detector("bats:width=1e+9").parameters == {"width": 1e9}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("energy+msp", "Energy is no shaping; it must come last"),
        ("react+pixel_knn", "PixelKNN reads pixels"),
        ("react+jem_grad_norm", "JEMGradNorm reads gradients"),
        ("react+react", "names a detector twice"),
        ("react+nothing", "There is no detector"),
    ],
)
def test_chains_that_cannot_work_are_refused(spec, reason):
    with pytest.raises(InputError, match=reason):
        open_detector(spec)


@dataclass
class Writer(Detector):
    """Writes into a statistic that all detectors share, or into the features."""

    needs = Need.FEATURES
    fitted_on = "train"
    when: str = "fit"

    def fit(self, known):
        mean = known.shared(feature_mean)
        if self.when == "fit":
            mean.zero_()

    def score(self, batch):
        return batch.features.zero_().sum(1)


@pytest.mark.parametrize("spec", ["scale", "dice"])
def test_a_detector_behind_a_shaping_must_not_write_either(spec):
    one = random_batch()
    chain = Chain((open_detector(spec).detector,), Writer())
    with pytest.raises(RuntimeError, match="Writer changes a shared statistic"):
        chain.fit(Known(one, chain))
    chain = Chain((open_detector(spec).detector,), Writer(when="score"))
    chain.fit(Known(one, chain))
    with pytest.raises(RuntimeError, match="Writer writes into its inputs"):
        chain.score(Outputs(one, chain))

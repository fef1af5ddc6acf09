"""Detectors with bins: OptFS, WeiPer and NAC, by hand and against NumPy in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from made_outputs import batch_of, fitted, scores_of
from scipy.special import logsumexp, softmax

from oodbench import InputError, Known, Outputs
from oodbench.scoring.spec import open_detector

SPECS = ["optfs", "optfs:variant=energy", "weiper:repeats=7", "nac:alpha=3"]
SMALL_HEAD = np.array([[1.0, -1, 0.5, 2], [0.5, 1, -2, 0]])


class Sample:
    """Training and test features after a ReLU, exact in float32, and a head."""

    def __init__(self):
        rng = np.random.default_rng(0)
        weight, bias = rng.normal(size=(3, 20)), rng.normal(size=3)
        head = {"weight": weight, "bias": bias}
        self.known = batch_of(np.maximum(rng.normal(1, 1, (90, 20)), 0), **head)
        self.images = batch_of(np.maximum(rng.normal(1.5, 2, (30, 20)), 0), **head)
        self.w, self.b = weight.astype(np.float32), bias.astype(np.float32)
        self.w, self.b = self.w.astype(float), self.b.astype(float)
        self.train = self.known.features.double().numpy()
        self.z = self.images.features.double().numpy()


@pytest.fixture
def sample():
    return Sample()


def shares(values, low, high):
    """Returns the histogram of each row, over 100 bins; values outside count."""
    rows = [np.histogram(row, 100, (low, high))[0] for row in values]
    return np.array(rows) / values.shape[1]


def test_optfs_against_numpy(sample):
    edges = np.linspace(*np.quantile(sample.train, [0.001, 0.999]), 101)
    top = (sample.train @ sample.w.T + sample.b).argmax(1)
    gains = sample.train * sample.w[top]
    within = [
        (sample.train >= low) & (sample.train < high) for low, high in pairwise(edges)
    ]
    factors = np.array([gains[inside].sum() for inside in within])
    factors *= 1000 / np.linalg.norm(factors)
    shaped = np.zeros_like(sample.z)
    for factor, (low, high) in zip(factors, pairwise(edges), strict=True):
        inside = (sample.z >= low) & (sample.z < high)
        shaped[inside] = factor * sample.z[inside]
    assert (shaped == 0).any()
    logits = sample.z @ sample.w.T + sample.b
    vanilla = (shaped * sample.w[logits.argmax(1)]).sum(1)
    for variant, expected in {
        "vanilla": vanilla,
        "energy": logsumexp(shaped @ sample.w.T + sample.b, 1),
    }.items():
        detector = fitted(f"optfs:variant={variant}", sample.known)
        found = scores_of(detector, sample.images)
        assert found == pytest.approx(expected, rel=1e-9)


def test_optfs_of_equal_gains_in_all_bins_is_the_logit_without_its_bias():
    # One class with w = 1: each bin gains the sum of its features. Bin j has features
    # about j + 1/2; as many as make the gain the same everywhere.
    values = np.arange(100) + 0.5
    counts = np.round(1e5 / values).astype(int)
    known = batch_of(np.repeat(values, counts)[:, None], weight=[[1.0]], bias=[7.0])
    detector = fitted("optfs", known)
    images = np.array([[2.5], [40.5], [90.5], [500.0]])
    found = scores_of(detector, batch_of(images, weight=[[1.0]], bias=[7.0]))
    # The quantiles cut off the ends, and the bins do not lie on whole numbers.
    assert found[:3] / images[:3, 0] == pytest.approx(100, rel=0.2)
    assert found[3] == 0


def test_optfs_before_another_detector_reads_its_features(sample):
    chain = fitted("optfs+feature_norm", sample.known)
    alone = fitted("optfs", sample.known)
    shaped = alone.shape(Outputs(sample.images, alone)).features
    assert scores_of(chain, sample.images) == pytest.approx(shaped.norm(dim=1).numpy())


def perturbed(sample, features, repeats, delta):
    """Returns the weights that a seed of 0 gives, and the logits `[N, r, K]`."""
    noise = np.random.default_rng(0).normal(size=(repeats, *sample.w.shape))
    noise /= np.linalg.norm(noise, axis=2, keepdims=True)
    noise *= np.linalg.norm(sample.w, axis=1, keepdims=True)
    weight = sample.w + delta * noise
    return np.einsum("nd,rkd->nrk", features, weight) + sample.b


def divergence(train, test, window, floor):
    low, high = train.min(), train.max()
    p = shares(train, low, high).mean(0) + floor
    p /= p.sum()
    before = (window - 1) // 2
    found = []
    for row in shares(test, low, high):
        padded = np.pad(row, (before, window // 2), mode="edge")
        q = np.array([padded[j : j + window].mean() for j in range(100)]) + floor
        q /= q.sum()
        found.append((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    return np.array(found)


@pytest.mark.parametrize("delta", [0, 1.8])
def test_weiper_against_numpy(sample, delta):
    train = perturbed(sample, sample.train, 7, delta)
    test = perturbed(sample, sample.z, 7, delta)
    of_features = divergence(sample.train, sample.z, 4, 0.01)
    of_logits = divergence(train.reshape(90, -1), test.reshape(30, -1), 15, 0.025)
    p = softmax(test, 2).max(2).mean(1)
    detector = fitted(f"weiper:repeats=7:delta={delta}", sample.known)
    found = scores_of(detector, sample.images)
    expected = -(of_features + 2.5 * of_logits - 0.1 * p)
    assert found == pytest.approx(expected, rel=1e-9)


def test_weiper_without_logits_ignores_the_order_of_features(sample):
    detector = fitted("weiper:repeats=1:lambda1=0:lambda2=0", sample.known)
    found = scores_of(detector, sample.images)
    turned = batch_of(sample.z[:, ::-1].copy(), weight=sample.w, bias=sample.b)
    assert scores_of(detector, turned) == pytest.approx(found, rel=1e-12)


def test_weiper_loses_values_outside_the_bins():
    weight = [[1.0, 0]]
    known = batch_of([[0.0, 1], [1, 0]], weight=weight)
    detector = fitted("weiper:repeats=1:lambda1=0:lambda2=0:delta=0", known)
    images = batch_of([[-1.0, 2], [5, 9], [0, 1]], weight=weight)
    outside, also, same = scores_of(detector, images)
    assert outside == also < same < 0  # below 0, since q alone is averaged over bins


def states(sample, features, alpha):
    p = softmax(features @ sample.w.T + sample.b, 1)
    return 1 / (1 + np.exp(-alpha * features * ((p - 1 / 3) @ sample.w)))


def nac_edges(bins):
    half = np.emath.logn(1000, np.linspace(1, 1000**0.5, bins // 2))
    return np.concatenate([half[:-1], (1 - half)[::-1]])


@pytest.mark.parametrize("bins", [4, 50])
def test_nac_against_numpy(sample, bins):
    edges = nac_edges(bins)
    assert len(edges) == bins - 1
    edges[-1] = 1.01
    coverage = []
    for train, test in zip(
        states(sample, sample.train, 3).T, states(sample, sample.z, 3).T, strict=True
    ):
        counts = np.histogram(train, edges)[0]
        coverage.append(np.minimum(counts / 5, 1)[np.digitize(test, edges) - 1])
    found = scores_of(
        fitted(f"nac:alpha=3:enough=5:bins={bins}", sample.known), sample.images
    )
    assert found == pytest.approx(np.mean(coverage, 0), rel=1e-12)
    assert len(set(found)) > 3


def test_the_gradient_of_nac_is_that_of_the_divergence_from_uniform(sample):
    z = torch.from_numpy(sample.z).requires_grad_(True)
    logits = z @ torch.from_numpy(sample.w).T + torch.from_numpy(sample.b)
    (-logits.log_softmax(1).mean(1)).sum().backward()
    expected = 1 / (1 + np.exp(-3 * sample.z * z.grad.numpy()))
    assert states(sample, sample.z, 3) == pytest.approx(expected, rel=1e-9)


def test_the_first_bin_of_nac_is_wide_and_the_middle_ones_are_narrow():
    widths = np.diff(nac_edges(50))
    assert widths[0] == pytest.approx(0.119, abs=1e-3)
    assert widths.min() == pytest.approx(0.006, abs=1e-3)


def test_nac_covers_its_own_images_in_full(sample):
    detector = fitted("nac:enough=1", sample.known)
    assert (scores_of(detector, sample.known) == 1).all()
    few = fitted("nac:enough=1:images=20", sample.known)
    assert (scores_of(few, sample.known) == 1).sum() >= 20
    assert (scores_of(few, sample.images) < scores_of(detector, sample.images)).any()


@pytest.mark.parametrize("spec", SPECS)
def test_an_image_alone_has_the_score_that_it_has_among_others(sample, spec):
    state = torch.get_rng_state()
    detector = fitted(spec, sample.known)
    together = scores_of(detector, sample.images)
    assert (scores_of(fitted(spec, sample.known), sample.images) == together).all()
    assert torch.equal(torch.get_rng_state(), state)
    for place, z in enumerate(sample.z[:5]):
        one = batch_of(z[None], weight=sample.w, bias=sample.b)
        assert scores_of(detector, one) == pytest.approx(together[[place]], rel=1e-9)


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        ("weiper", "repeats=3"),
        ("weiper", "delta=1"),
        ("weiper", "lambda1=1"),
        ("weiper", "lambda2=1"),
        ("weiper", "seed=1"),
        ("nac", "alpha=1"),
        ("nac", "enough=9"),
        ("nac", "bins=20"),
        ("nac", "images=30"),
        ("nac:images=30", "seed=1"),
        ("optfs", "variant=energy"),
    ],
)
def test_each_parameter_changes_the_score(sample, spec, other):
    one, two = fitted(spec, sample.known), fitted(f"{spec}:{other}", sample.known)
    assert (scores_of(one, sample.images) != scores_of(two, sample.images)).any()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("optfs", "nearly all training features are 2"),
        ("weiper", "all values of the training images are 2"),
    ],
)
def test_equal_features_are_refused(spec, reason):
    detector = open_detector(spec).detector
    with pytest.raises(ValueError, match=reason):
        detector.fit(Known(batch_of([[2.0] * 4] * 9, weight=SMALL_HEAD), detector))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("optfs:variant=max", "variant must be vanilla or energy"),
        ("weiper:repeats=0", "repeats must be at least 1, got 0"),
        ("weiper:delta=-1", "delta must be at least 0, got -1"),
        ("weiper:delta=nan", "delta must be at least 0, got nan"),
        ("weiper:seed=-1", "seed must be at least 0, got -1"),
        ("nac:alpha=0", "alpha must be positive and finite, got 0"),
        ("nac:bins=5", "bins must be even and at least 4, got 5"),
        ("nac:enough=0", "enough must be at least 1, got 0"),
        ("nac:images=0", "images must be at least 1, got 0"),
    ],
)
def test_parameters_out_of_range(spec, message):
    with pytest.raises(InputError, match=message):
        open_detector(spec)

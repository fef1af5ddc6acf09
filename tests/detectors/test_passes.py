"""Detectors that run the network or its head again: against NumPy, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_outputs import batch_of, fitted, scores_of
from scipy.special import logsumexp, softmax, xlogy

from oodbench import InputError, Split
from oodbench.detectors._uniform_noise import OnNoise
from oodbench.scoring.batch import Made, Passes
from oodbench.scoring.engine import Engine
from oodbench.scoring.outputs import shared_key
from oodbench.scoring.spec import open_detector

ADASCALE = ":k1=25:k2=50:pixels=25:low=20:high=90:weight=3"


def scores(spec, network, known, split=None, batch_size=16):
    detector = open_detector(spec).detector
    engine = Engine(network, {spec: detector}, batch_size)
    stage = detector.fitted_on
    assert not stage or engine.fit(stage, known, tell=lambda done: None) == {}
    found = engine.score(split or known, has_labels=False, tell=lambda done: None)
    assert found.failures == {}
    return found.scores[spec]


class Sample:
    """Training and test images, with what a network makes of them."""

    def __init__(self, network):
        rng = np.random.default_rng(3)
        self.network = network
        self.head = network.head.weight.double(), network.head.bias.double()
        known, images = (
            rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8) for n in (60, 25)
        )
        labels = self.of(known)[0].argmax(1).numpy()
        labels[::5] = (labels[::5] + 1) % 6
        self.known, self.images = Split(known, labels), Split(images)

    def of(self, images, step=None):
        """Returns logits and features of images, after a step on the pixels."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        result = self.network(pixels if step is None else pixels + step)
        return result.logits.double(), result.features.double()

    def step(self, images, objective):
        """Returns the sign of the gradient of an objective."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        pixels.requires_grad_(True)
        objective(self.network(pixels)).sum().backward()
        return pixels.grad


@pytest.fixture
def sample(tiny):
    return Sample(tiny)


# AdaSCALE.


def shift(sample, images):
    gradient = sample.step(images, lambda result: result.logits.amax(1)).flatten(1)
    order = gradient.abs().argsort(1)
    step = torch.zeros_like(gradient)
    for row, places in enumerate(order[:, :4]):  # 25 % of 16 pixels
        step[row, places] = 0.125 * gradient[row, places].sign()
    (_, z), (_, moved) = (
        sample.of(images),
        sample.of(images, step.view(-1, 1, 4, 4)),
    )
    found = []
    for before, after in zip(z.numpy(), moved.numpy(), strict=True):
        order = np.argsort(-before, kind="stable")
        q = np.abs(before - after)[order[:2]].sum()  # 25 % and 50 % of 8 features
        found.append(3 * q + np.maximum(after, 0)[order[:4]].sum())
    return np.array(found)


def ratios(z, percentiles):
    z = np.maximum(z, 0)
    kept = [8 - round(8 * p / 100) for p in percentiles]
    largest = [np.sort(row)[::-1][:k].sum() for row, k in zip(z, kept, strict=True)]
    return z.sum(1) / np.array(largest)


def test_adascale_against_numpy(sample):
    known, images = sample.known.images, sample.images.images
    reached = shift(sample, known)[None] <= shift(sample, images)[:, None]
    percentiles = 20 + (1 - reached.mean(1)) * 70
    logits, z = (each.numpy() for each in sample.of(images))
    r = ratios(z, percentiles)[:, None]
    assert len(np.unique(np.round(8 * percentiles / 100))) > 3
    weight, bias = (each.numpy() for each in sample.head)
    for name, expected in {
        "adascale_a": logsumexp(z * np.exp(r) @ weight.T + bias, 1),
        "adascale_l": logsumexp(r**2 * logits, 1),
    }.items():
        found = scores(name + ADASCALE, sample.network, sample.known, sample.images)
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "plain"), [("adascale_a", "scale"), ("adascale_l", "lts")]
)
def test_adascale_of_one_percentile_is_the_plain_shaping(sample, name, plain):
    found = scores(f"{name}:low=60:high=60", sample.network, sample.known)
    expected = scores(f"{plain}:percentile=60", sample.network, sample.known)
    assert (found == expected).all()


def test_adascale_stands_first_before_another_detector(sample):
    found = scores("adascale_a:low=60:high=60+knn", sample.network, sample.known)
    expected = scores("scale:percentile=60+knn", sample.network, sample.known)
    assert found == pytest.approx(expected, abs=1e-9)
    varied = scores(f"adascale_a{ADASCALE}+feature_norm", sample.network, sample.known)
    assert (varied != scores("scale+feature_norm", sample.network, sample.known)).any()


def test_adascale_cannot_stand_behind_a_shaping():
    for chain in ("react+adascale_a", "react+adascale_l+energy"):
        with pytest.raises(InputError, match="reads gradients or maps"):
            open_detector(chain)


@pytest.mark.parametrize("other", ["low=0", "high=99", "k1=50", "k2=99", "weight=0"])
def test_each_parameter_of_adascale_changes_the_score(sample, other):
    plain, changed = (
        scores(spec, sample.network, sample.known)
        for spec in ("adascale_l:low=50", f"adascale_l:low=50:{other}")
    )
    assert (plain != changed).any()


# Mahalanobis.


def test_mahalanobis_odin_without_a_step_is_mahalanobis(sample):
    plain = scores("mahalanobis", sample.network, sample.known, sample.images)
    found = scores(
        "mahalanobis_odin:epsilon=0", sample.network, sample.known, sample.images
    )
    assert (found == plain).all()


def test_mahalanobis_odin_against_torch(sample):
    _, train = sample.of(sample.known.images)
    labels = torch.from_numpy(sample.known.labels)
    means = torch.stack([train[labels == k].mean(0) for k in labels.unique()])
    centred = train - means[torch.searchsorted(labels.unique(), labels)]
    precision = torch.linalg.inv(centred.T @ centred / len(train))

    def nearness(result):
        away = result.features.double()[:, None] - means
        return -torch.einsum("nki,ij,nkj->nk", away, precision, away).amin(1)

    images = sample.images.images
    step = 0.05 * sample.step(images, nearness).sign()
    away = sample.of(images, step)[1][:, None] - means
    expected = -torch.einsum("nki,ij,nkj->nk", away, precision, away).amin(1)
    found = scores(
        "mahalanobis_odin:epsilon=0.05", sample.network, sample.known, sample.images
    )
    assert found == pytest.approx(expected.numpy(), rel=1e-4)
    plain = scores("mahalanobis", sample.network, sample.known, sample.images)
    assert (found > plain).mean() > 0.9  # the step brings images closer


# GROOD.


def test_grood_by_hand():
    # One class with the mean (3, 0), and noise at 0.
    detector = open_detector("grood").detector
    noise = torch.zeros(1, 2)
    made = {shared_key(OnNoise(0, 1000), detector): Made(noise, Passes())}
    fitted(detector, replace(batch_of([[3.0, 0]], [[1.0, 0]], [0]), summaries=made))
    found = scores_of(detector, batch_of([[3.0, 4], [3, 0], [0, 0]]))
    # π of the noise is e⁻⁵ / (e⁻⁴ + e⁻⁵) for (3, 4), and e⁻³ / (1 + e⁻³) in training.
    train = 1 / (1 + np.exp(3))
    expected = [-((0.16137 - train) ** 2) - 0.21515**2, 0, -(train**2)]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("images", [1000, 20])
def test_grood_against_numpy(sample, images):
    count = min(images, 60)
    noise = [
        np.random.default_rng([0, n]).random((4, 4, 1), np.float32).reshape(4, 4, 1)
        for n in range(count)
    ]
    pixels = torch.from_numpy(np.stack(noise)).permute(0, 3, 1, 2)
    unknown = sample.network(pixels).features.double().mean(0).numpy()
    logits, train = (each.numpy() for each in sample.of(sample.known.images))
    right, labels = logits.argmax(1) == sample.known.labels, sample.known.labels
    classes = [train[right & (labels == k)].mean(0) for k in np.unique(labels[right])]

    def gradients(z):
        away = [np.linalg.norm(z - each, axis=1) for each in (*classes, unknown)]
        share = softmax(-np.array(away), 0)[-1]
        return (share / away[-1])[:, None] * (z - unknown)

    bank = gradients(train[right])
    mine = gradients(sample.of(sample.images.images)[1].numpy())
    expected = -(((mine[:, None] - bank) ** 2).sum(2)).min(1)
    spec = f"grood:images={images}"
    found = scores(spec, sample.network, sample.known, sample.images)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_grood_without_a_correct_image_is_refused():
    known = batch_of([[3.0, 0]], [[1.0, 0]], [1])
    with pytest.raises(ValueError, match="classifies none of 1 training images"):
        fitted("grood", known)


# Dropout.


@pytest.fixture
def outputs():
    rng = np.random.default_rng(0)
    return batch_of(
        rng.exponential(size=(12, 30)),
        weight=rng.normal(size=(4, 30)),
        bias=[1, 2, 3, 4],
    )


def test_dropout_of_nothing_is_the_plain_score(outputs):
    for score_of, plain in {"confidence": "msp", "entropy": "entropy"}.items():
        detector = fitted(f"mc_dropout:rate=0:score_of={score_of}", outputs)
        expected = scores_of(fitted(plain, outputs), outputs)
        assert scores_of(detector, outputs) == pytest.approx(expected, rel=1e-5)
    for score_of, expected in {"agreement": 0, "votes": 1}.items():
        detector = fitted(f"mc_dropout:rate=0:score_of={score_of}", outputs)
        assert scores_of(detector, outputs) == pytest.approx([expected] * 12, abs=1e-12)


def dropped(outputs, rate, passes):
    """Returns the probabilities of all passes, `[passes, N, K]`."""
    keys = [np.array([0, n], np.uint64) for n in range(len(outputs.inputs))]
    streams = [np.random.Philox(key=key) for key in keys]
    z = outputs.features.double().numpy() / (1 - rate)
    weight, bias = (each.double().numpy() for each in outputs.head.parameters())
    found = []
    for _ in range(passes):
        # Blocks have four words, and a word makes two numbers of 24 bits.
        words = np.array([each.random_raw(16)[:15] for each in streams])
        halves = np.concatenate([(words & (2**32 - 1)) >> 8, words >> 40], 1)
        kept = (halves + 0.5) / 2**24 >= rate
        found.append(softmax(z * kept @ weight.T + bias, 1))
    return np.array(found)


def test_dropout_against_numpy(outputs):
    p = dropped(outputs, 0.3, 9)
    mean = p.mean(0)
    entropy = -xlogy(mean, mean).sum(1)
    votes = [np.bincount(row).max() / 9 for row in p.argmax(2).T]
    for score_of, expected in {
        "confidence": np.log(mean.max(1) / (1 - mean.max(1))),
        "entropy": -np.log(entropy),
        "agreement": -entropy - xlogy(p, p).sum(2).mean(0),
        "votes": votes,
    }.items():
        spec = f"mc_dropout:rate=0.3:passes=9:score_of={score_of}"
        found = scores_of(fitted(spec, outputs), outputs)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_certain_passes_that_disagree_have_the_entropy_of_their_votes():
    # A kept feature makes class 0 certain, a dropped one class 1.
    one = batch_of([[1.0]] * 8, weight=[[1000], [-1000]], bias=[-500, 500])
    votes = scores_of(fitted("mc_dropout:score_of=votes", one), one)
    found = scores_of(fitted("mc_dropout:score_of=agreement", one), one)
    assert found == pytest.approx(xlogy(votes, votes) + xlogy(1 - votes, 1 - votes))
    assert (votes < 0.9).any()


def test_dropout_depends_on_the_seed_and_the_number_of_the_image_alone(outputs):
    detector = fitted("mc_dropout", outputs)
    whole = scores_of(detector, outputs)
    part = {
        name: getattr(outputs, name)[7:] for name in ("inputs", "logits", "features")
    }
    later = replace(outputs, **part, numbers=torch.arange(7, 12))
    assert scores_of(detector, later) == pytest.approx(whole[7:], rel=1e-12)
    other = fitted("mc_dropout:seed=1", outputs)
    assert (scores_of(other, outputs) != whole).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adascale_a:low=90:high=80", "0 ≤ low ≤ high ≤ 100 must hold, got 90"),
        ("adascale_l:k1=0", "k1 must be above 0 and at most 100, got 0"),
        ("adascale_l:epsilon=-1", "epsilon must be at least 0, got -1"),
        ("mahalanobis_odin:epsilon=nan", "epsilon must be at least 0, got nan"),
        ("mahalanobis_odin:cutoff=1", "cutoff must be at least 0 and below 1"),
        ("grood:images=0", "images must be at least 1, got 0"),
        ("mc_dropout:rate=1", "rate must be at least 0 and below 1, got 1"),
        ("mc_dropout:passes=0", "passes must be at least 1, got 0"),
        ("mc_dropout:score_of=mean", "score_of must be one of confidence, entropy"),
    ],
)
def test_parameters_out_of_range(spec, message):
    with pytest.raises(InputError, match=message):
        open_detector(spec)

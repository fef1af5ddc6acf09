"""The detectors on logits: values worked out by hand, and naive NumPy versions."""

import numpy as np
import pytest
from made_outputs import batch_of, fitted, scores_of
from scipy.special import log_softmax, logsumexp, softmax

from oodbench.scoring.spec import open_detector

A = [[0.0, float(np.log(3))]]  # p = 1/4, 3/4
WITHOUT_FIT = [
    "gen",
    "gen:gamma=1:top=2",
    "doctor",
    "doctor:variant=beta",
    "xent_to_uniform",
    "joint_energy",
    "logit_margin",
    "logit_margin:variant=prob",
]
FITTED = ["kl_matching", "igeood", "openmax:tail=5"]
SHIFT_CHANGES = ["joint_energy", "openmax:tail=5"]


def opened(spec, logits=None, labels=None):
    return fitted(spec, None if logits is None else batch_of(None, logits, labels))


def scored(detector, logits):
    return scores_of(detector, batch_of(None, logits))


@pytest.fixture
def sample():
    """Returns logits of 200 images, exact in float32, and labels, mostly right."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    logits = 2 * rng.normal(size=(200, 5)) + 4 * np.eye(5)[labels]
    return logits.astype(np.float32).astype(float), labels


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gen", -1.69173),
        ("gen:gamma=0.5", -np.sqrt(3) / 2),
        ("gen:gamma=1", -0.375),
        ("gen:gamma=1:top=1", -0.1875),
        ("doctor", -np.log(0.6)),
        ("doctor:variant=beta", np.log(3)),
        ("doctor:variant=beta:temperature=2", np.log(3) / 2),
        ("xent_to_uniform", 0.83699),
        ("joint_energy", np.log(8)),
        ("logit_margin", np.log(3)),
        ("logit_margin:variant=prob", -np.log(0.5)),
    ],
)
def test_values_by_hand(spec, expected):
    assert scored(opened(spec), A) == pytest.approx([expected], rel=1e-5)


def naive_gen(f, gamma=0.1, top=100):
    p = -np.sort(-softmax(f, 1))[:, :top]
    return -((p * (1 - p)) ** gamma).sum(1)


def naive_margin(f):
    p = np.sort(softmax(f, 1))
    return -np.log(1 - p[:, -1] + p[:, -2])


@pytest.mark.parametrize(
    ("spec", "naive"),
    [
        ("gen", naive_gen),
        ("gen:top=3", lambda f: naive_gen(f, top=3)),
        ("doctor", lambda f: -np.log(1 / (softmax(f, 1) ** 2).sum(1) - 1)),
        ("doctor:variant=beta", lambda f: -np.log(1 / softmax(f, 1).max(1) - 1)),
        ("xent_to_uniform", lambda f: logsumexp(f, axis=1) - f.mean(1)),
        ("joint_energy", lambda f: np.log1p(np.exp(f)).sum(1)),
        ("logit_margin", lambda f: np.diff(np.sort(f)[:, -2:])[:, 0]),
        ("logit_margin:variant=prob", naive_margin),
    ],
)
def test_naive_versions(spec, naive, sample):
    assert scored(opened(spec), sample[0]) == pytest.approx(naive(sample[0]), rel=1e-9)


@pytest.mark.parametrize("spec", WITHOUT_FIT + FITTED)
def test_shift_order_of_classes_and_company(spec, sample):
    logits, labels = sample
    detector = opened(spec, logits, labels)
    usual = scored(detector, logits)
    if spec not in SHIFT_CHANGES:
        assert scored(detector, logits + 8) == pytest.approx(usual, rel=1e-4, abs=1e-6)
    order = np.array([3, 0, 4, 1, 2])
    moved = opened(spec, logits[:, order], order.argsort()[labels])
    assert scored(moved, logits[:, order]) == pytest.approx(usual, rel=1e-9, abs=1e-12)
    assert scored(detector, logits[:1]) == pytest.approx(usual[:1], rel=1e-12)


@pytest.mark.parametrize("spec", WITHOUT_FIT)
@pytest.mark.parametrize("scale", [0.01, 20])
def test_confident_and_vague_images_do_not_tie(spec, scale, sample):
    found = scored(opened(spec), scale * sample[0])
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == len(found)


@pytest.mark.parametrize("spec", WITHOUT_FIT + FITTED)
def test_scores_are_finite_at_any_scale_and_with_masked_classes(spec, sample):
    logits, labels = sample
    detector = opened(spec, logits, labels)
    for scale in (1e-3, 1e3, 1e30):
        assert np.isfinite(scored(detector, scale * logits)).all()
    if spec not in FITTED:
        masked = np.where(np.arange(5) < 3, logits, -np.inf)
        assert np.isfinite(scored(detector, masked)).all()


@pytest.mark.parametrize("spec", WITHOUT_FIT[:6])
def test_one_class_gives_a_constant(spec):
    found = scored(opened(spec), [[2.0], [2.0]])
    assert np.isfinite(found).all()
    assert found[0] == found[1]


def test_a_margin_of_one_class_is_refused():
    with pytest.raises(ValueError, match="needs two classes"):
        scored(opened("logit_margin"), [[2.0]])


def test_bounds_at_equal_logits():
    equal = np.zeros((1, 4))
    assert scored(opened("doctor"), equal) == pytest.approx([-np.log(3)])
    assert scored(opened("xent_to_uniform"), equal) == pytest.approx([np.log(4)])
    assert scored(opened("logit_margin"), equal).tolist() == [0]


def test_kl_matching_by_hand():
    both = opened("kl_matching", [[0.0, 0], *A], [0, 0])
    assert scored(both, A) == pytest.approx([0], abs=1e-7)
    first = opened("kl_matching", [[0.0, 0]], [0])
    assert scored(first, A) == pytest.approx([-0.13081], rel=1e-4)


def test_kl_matching_naive_without_a_class_that_is_never_predicted(sample):
    logits = sample[0][sample[0].argmax(1) != 2]
    p, predicted = softmax(logits, 1), logits.argmax(1)
    templates = np.stack([p[predicted == k].mean(0) for k in (0, 1, 3, 4)])
    others = sample[0]
    terms = softmax(others, 1)[:, None] * (
        log_softmax(others, 1)[:, None] - np.log(templates)
    )
    found = scored(opened("kl_matching", logits, predicted), others)
    assert found == pytest.approx(-terms.sum(2).min(1), rel=1e-9)
    assert (found <= 0).all()


def test_a_template_that_excludes_a_class_is_infinitely_far():
    detector = opened("kl_matching", [[5000.0, 0, 0], [-1, 1, 0]], [0, 1])
    p, template = softmax([0.0, -50, -50]), softmax([-1.0, 1, 0])
    expected = -(p * np.log(p / template)).sum()
    assert scored(detector, [[0.0, -50, -50]]) == pytest.approx([expected])
    only = opened("kl_matching", [[5000.0, 0, 0]], [0])
    assert np.isfinite(scored(only, [[0.0, 1, 0]])).all()


def test_igeood_by_hand():
    # q = (1, 0) and (1/2, 1/2); p = (1, 0) is 0 and π/2 away.
    detector = opened("igeood", [[5000.0, 0], [0, 0]], [0, 1])
    assert scored(detector, [[5000.0, 0]]) == pytest.approx([np.pi / 2])
    assert scored(detector, [[0.0, 5000]]) == pytest.approx([np.pi * 1.5])


@pytest.mark.parametrize("temperature", [1, 4])
def test_igeood_naive_without_a_class_that_has_no_images(temperature, sample):
    logits, labels = sample[0][sample[1] != 2], sample[1][sample[1] != 2]
    detector = opened(f"igeood:temperature={temperature}", logits, labels)
    centres = np.stack([logits[labels == k].mean(0) for k in (0, 1, 3, 4)])
    p, q = (np.sqrt(softmax(f / temperature, 1)) for f in (sample[0], centres))
    expected = 2 * np.arccos(np.minimum(p @ q.T, 1)).sum(1)
    assert scored(detector, sample[0]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("spec", "logits", "labels", "reason"),
    [
        ("kl_matching", [[1.0]], [0], "needs two classes"),
        ("igeood", [[1.0]], [0], "images of two classes, and there are 1"),
        ("igeood", [[1.0, 0]], [0], "images of two classes, and there are 1"),
        ("igeood", [[1.0, 0]], [2], "labels go from 2 to 2"),
        ("openmax", [[1.0, 0]], [1], "no training image is classified right"),
    ],
)
def test_what_cannot_be_fitted_is_refused(spec, logits, labels, reason):
    with pytest.raises(ValueError, match=reason):
        opened(spec, logits, labels)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("gen:gamma=0", "gamma must be above 0 and at most 1, got 0"),
        ("gen:top=0", "top must be at least 1, got 0"),
        ("doctor:variant=gamma", "variant must be alpha or beta, got 'gamma'"),
        ("logit_margin:variant=x", "variant must be logit or prob, got 'x'"),
        ("openmax:tail=1", "tail must be at least 2, got 1"),
        ("openmax:alpha=0", "alpha must be at least 1, got 0"),
    ],
)
def test_wrong_parameters_are_refused(spec, reason):
    with pytest.raises(Exception, match=reason):
        open_detector(spec)


def test_openmax_without_spread_is_the_energy():
    detector = opened("openmax", np.eye(3)[[0, 0, 1, 2]] * 5, [0, 0, 1, 2])
    expected = logsumexp([1.0, 2, -1])
    assert scored(detector, [[1.0, 2, -1]]) == pytest.approx([expected])


def test_openmax_far_from_all_means_gives_the_logit_away(sample):
    detector = opened("openmax:alpha=1", *sample)
    far = [[1000.0, 1, 2, 3, 4]]  # w = 1, so that the known ones keep 0, 1, 2, 3, 4
    expected = logsumexp([0.0, 1, 2, 3, 4]) - 1000
    assert scored(detector, far) == pytest.approx([expected])


@pytest.mark.parametrize("alpha", [3, 10])
def test_openmax_naive(alpha, sample):
    from scipy.optimize import brentq

    logits, labels = sample
    right = logits.argmax(1) == labels
    w = np.empty_like(logits)
    for k in range(5):
        own = logits[right & (labels == k)]
        largest = np.sort(np.linalg.norm(own - own.mean(0), axis=1))[-8:]
        x = np.log(largest - largest[0] + 1e4)

        def slope(shape, x=x):
            return softmax(shape * x) @ x - x.mean() - 1 / shape

        shape = brentq(slope, 100, 1e6, xtol=1e-9)
        place = (logsumexp(shape * x) - np.log(8)) / shape
        away = np.linalg.norm(logits - own.mean(0), axis=1) - largest[0]
        w[:, k] = 1 - np.exp(-np.exp(shape * (np.log(away + 1e4) - place)))
    ranks = np.argsort(np.argsort(-logits))
    count = min(alpha, 5)
    given = logits * w * np.maximum(1 - ranks / count, 0)
    expected = logsumexp(logits - given, axis=1) - given.sum(1)
    found = scored(opened(f"openmax:tail=8:alpha={alpha}", logits, labels), logits)
    assert found == pytest.approx(expected, rel=1e-5)

"""Detectors on features and the head, against the formulas in plain NumPy."""

import numpy as np
import pytest
from made_outputs import batch_of, fitted, scores_of

from oodbench import Known
from oodbench.detectors.cadref import CADRef
from oodbench.detectors.caref import CARef
from oodbench.detectors.fdbd import FDBD
from oodbench.detectors.kpca import KPCA
from oodbench.detectors.nci import NCI
from oodbench.detectors.neco import NECO
from oodbench.detectors.ora import ORA
from oodbench.detectors.pnml import PNML
from oodbench.detectors.residual import Residual
from oodbench.detectors.vim import ViM

ALL = [FDBD, NCI, ORA, ViM, Residual, NECO, KPCA, PNML, CADRef, CARef]
SQUARE = [[1, 0], [-1, 0], [0, 1], [0, -1]]  # mean 0
PLANE = np.eye(3)[:2]


def batch(features, weight, bias=None, labels=None, logits=None):
    labels = np.zeros(len(features)) if labels is None else labels
    return batch_of(features, logits, labels, weight=weight, bias=bias)


def scores(detector, known, images):
    return scores_of(fitted(detector, known), images)


def refuses(detector, known, match):
    with pytest.raises(ValueError, match=match):
        detector.fit(Known(known, detector))


class Sample:
    """Random features, a head and labels, as float64 of the float32 values."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 4, 200)
        scales = np.array([3, 2, 1.5, 1, 0.5, 0.2])
        self.weight, self.bias = rng.normal(size=(4, 6)), rng.normal(size=4)
        self.known = batch(
            rng.normal(size=(200, 6)) * scales + 1 + self.labels[:, None],
            self.weight,
            self.bias,
            self.labels,
        )
        self.images = batch(rng.normal(size=(30, 6)) * 3, self.weight, self.bias)
        self.train, self.z = (
            one.features.double().numpy() for one in (self.known, self.images)
        )
        self.f = self.images.logits.double().numpy()
        self.train_f = self.known.logits.double().numpy()
        head = self.known.head
        self.w = head.weight.detach().double().numpy()
        self.b = head.bias.detach().double().numpy()
        self.top = self.f.argmax(1)


@pytest.fixture
def sample():
    return Sample()


def lse(logits):
    largest = logits.max(1)
    return largest + np.log(np.exp(logits - largest[:, None]).sum(1))


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def norm(vectors):
    return np.sqrt((vectors**2).sum(-1))


def projected(variances, vectors, ratio):
    """Returns the components, largest first, that explain a share of the variance."""
    order = variances.argsort()[::-1]
    shares = variances[order].cumsum() / variances.sum()
    return vectors[:, order[: (shares < ratio).sum() + 1]]


# fDBD


def test_fdbd_by_hand():
    found = scores(FDBD(), batch(SQUARE, np.eye(2)), batch([[3, 1]], np.eye(2)))
    assert found == pytest.approx([2 / 2**0.5 / 10**0.5])


def test_fdbd_against_numpy(sample):
    mean, expected = sample.train.mean(0), []
    for z, f, top in zip(sample.z, sample.f, sample.top, strict=True):
        terms = [
            (f[top] - f[c]) / norm(sample.w[top] - sample.w[c])
            for c in range(4)
            if c != top
        ]
        expected.append(np.mean(terms) / norm(z - mean))
    assert scores(FDBD(), sample.known, sample.images) == pytest.approx(expected)


def test_fdbd_leaves_out_a_class_of_equal_weights():
    weight = [[1, 0], [0, 1], [1, 0]]
    found = scores(FDBD(), batch(SQUARE, weight), batch([[3, 1]], weight))
    assert found == pytest.approx([0.2**0.5])
    alike = np.ones((2, 2))
    assert scores(FDBD(), batch(SQUARE, alike), batch([[3, 1]], alike)) == [0]


def test_fdbd_is_finite_at_the_mean():
    found = scores(FDBD(), batch([[3, 1]], np.eye(2)), batch([[3, 1]], np.eye(2)))
    assert np.isfinite(found).all()
    assert found > 1e6


@pytest.mark.parametrize("detector", [FDBD, ORA])
def test_boundary_scores_do_not_depend_on_the_head_s_scale(sample, detector):
    usual = scores(detector(), sample.known, sample.images)
    head = 4 * sample.weight, 4 * sample.bias
    larger = scores(
        detector(),
        batch(sample.train, *head, sample.labels),
        batch(sample.z, *head),
    )
    assert larger == pytest.approx(usual, rel=1e-5, abs=1e-7)


# NCI


def test_nci_by_hand():
    known, images = batch(SQUARE, np.eye(2)), batch([[3, 4]], np.eye(2))
    assert scores(NCI(alpha=0), known, images) == pytest.approx([0.8])
    assert scores(NCI(alpha=0.5), known, images) == pytest.approx([0.8 + 3.5])
    at_mean = batch([[0, 0]], np.eye(2))
    assert scores(NCI(), known, at_mean) == [0]


def test_nci_against_numpy(sample):
    away = sample.z - sample.train.mean(0)
    expected = (sample.w[sample.top] * away).sum(1) / norm(away)
    expected += 1e-4 * np.abs(sample.z).sum(1)
    assert scores(NCI(), sample.known, sample.images) == pytest.approx(expected)


# ORA


def test_ora_by_hand_and_its_relation_to_fdbd():
    known = batch(SQUARE, np.eye(2), labels=[0, 0, 1, 1])
    images = batch([[3, 1], [2, -7]], np.eye(2))
    found = scores(ORA(), known, images)
    assert found[0] == pytest.approx(0.147584, abs=1e-6)
    # The mean lies on the boundary.
    assert np.sin(np.pi * found) == pytest.approx(scores(FDBD(), known, images))


def test_ora_against_numpy(sample):
    mean = np.mean([sample.train[sample.labels == k].mean(0) for k in range(4)], 0)
    expected = []
    for z, f, top in zip(sample.z, sample.f, sample.top, strict=True):
        angles = []
        for c in range(4):
            normal = sample.w[top] - sample.w[c]
            if c != top:
                other = z - (f[top] - f[c]) / norm(normal) ** 2 * normal
                a, b = z - mean, other - mean
                angles.append(np.arccos(a @ b / norm(a) / norm(b)) / np.pi)
        expected.append(max(angles))
    found = scores(ORA(), sample.known, sample.images)
    assert found == pytest.approx(expected, abs=1e-7)


def test_ora_weighs_classes_equally_and_is_0_at_the_mean():
    features = [[2, 0], [4, 0], [0, 3], [0, 3], [0, 3]]  # class means (3, 0), (0, 3)
    weight = [[1, 0], [0, 1], [5, 5]]  # the third class has no images
    known = batch(features, weight, labels=[0, 0, 1, 1, 1])
    assert scores(ORA(), known, batch([[1.5, 1.5]], weight)) == [0]


# ViM and Residual


def flat(height=0.1):
    """Returns features with the least second moment on the third axis."""
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    return signs * [3, 2, height]


def test_residual_is_the_part_outside_the_principal_space():
    known = batch(flat(), PLANE)
    images = batch([[5, 1, 0.5], [-20, 3, 0.5], [0, 0, -2]], PLANE)
    found = scores(Residual(dim=2), known, images)
    assert found == pytest.approx([-0.5, -0.5, -2])
    # Mean largest logit: (3, 2), (3, -2), (-3, 2) and (-3, -2) give 3, 3, 2, -2.
    found = scores(ViM(dim=2), known, images)
    length = -scores(Residual(dim=2), known, images)
    logits = images.logits.double().numpy()
    assert found == pytest.approx(lse(logits) - 1.5 / np.float32(0.1) * length)


def test_vim_against_numpy(sample):
    known = sample.known
    origin = -np.linalg.pinv(sample.w) @ sample.b
    away = sample.train - origin
    rest = np.linalg.eigh(away.T @ away / 200)[1][:, :3]
    alpha = sample.train_f.max(1).mean() / norm(away @ rest).mean()
    length = norm((sample.z - origin) @ rest)
    found = scores(Residual(), known, sample.images)
    assert found == pytest.approx(-length, rel=1e-8)
    assert alpha > 0
    expected = lse(sample.f) - alpha * length
    assert scores(ViM(), known, sample.images) == pytest.approx(expected, rel=1e-8)


def test_residual_moves_with_the_origin_within_the_rows_of_the_head(sample):
    step = np.array([1, -2, 0.5, 3]) @ sample.weight
    bias = sample.bias + sample.weight @ step
    moved = scores(
        Residual(),
        batch(sample.train - step, sample.weight, bias),
        batch(sample.z - step, sample.weight, bias),
    )
    usual = scores(Residual(), sample.known, sample.images)
    assert moved == pytest.approx(usual, rel=1e-4)


def test_vim_refuses_what_leaves_nothing():
    refuses(ViM(dim=3), batch(flat(), PLANE), "dim is 3, the features have 3 dim")
    refuses(ViM(dim=2), batch(flat(0), PLANE), "span 2 dimensions, so nothing is left")
    refuses(Residual(dim=2), batch(flat() * [1, 0, 0], PLANE), "span 1 dimensions")
    negative = batch(flat(), PLANE, logits=np.full((8, 2), -1.0, np.float32))
    refuses(ViM(dim=2), negative, "are -1 on average")


# NECO


@pytest.mark.parametrize("times_max_logit", [True, False])
def test_neco_against_numpy(sample, times_max_logit):
    train = (sample.train - sample.train.mean(0)) / sample.train.std(0)
    z = (sample.z - sample.train.mean(0)) / sample.train.std(0)
    basis = projected(*np.linalg.eigh(train.T @ train / 200), 0.9)
    assert 0 < basis.shape[1] < 6
    share = norm(z @ basis) / norm(z)
    found = scores(NECO(times_max_logit=times_max_logit), sample.known, sample.images)
    expected = share * sample.f.max(1) if times_max_logit else share
    assert found == pytest.approx(expected, rel=1e-8)


def test_neco_drops_constant_features(sample):
    wide = np.hstack([sample.weight, np.zeros((4, 1))])
    known = batch(np.hstack([sample.train, np.full((200, 1), 0.1)]), wide, sample.bias)
    images = batch(np.hstack([sample.z, np.full((30, 1), 9)]), wide, sample.bias)
    found = scores(NECO(), known, images)
    usual = scores(NECO(), sample.known, sample.images)
    assert found == pytest.approx(usual, rel=1e-5)


def test_neco_refuses_what_leaves_nothing(sample):
    refuses(NECO(ratio=1, times_max_logit=False), sample.known, "keeps all 6")
    refuses(NECO(), batch(np.ones((5, 2)), np.eye(2)), "all features are constant")


# KPCA


def test_kpca_without_a_kernel_against_numpy(sample):
    train = sample.train / norm(sample.train)[:, None]
    away = sample.z / norm(sample.z)[:, None] - train.mean(0)
    basis = projected(*np.linalg.eigh(np.cov(train.T, bias=True)), 0.85)
    assert basis.shape[1] < 6
    expected = -norm(away - away @ basis @ basis.T)
    found = scores(KPCA(), sample.known, sample.images)
    assert found == pytest.approx(expected, rel=1e-8)
    scaled = batch(sample.z * 8, sample.weight, sample.bias)
    assert scores(KPCA(), sample.known, scaled) == pytest.approx(found, rel=1e-6)


def test_kpca_with_all_components_is_0(sample):
    found = scores(KPCA(ratio=1), sample.known, sample.images)
    assert found == pytest.approx(np.zeros(30))


def test_kpca_with_a_kernel_comes_near_exact_kernel_pca(sample):
    def kernel(a, b):
        return np.exp(-0.5 * ((a[:, None] - b) ** 2).sum(2))

    train, z = (one / norm(one)[:, None] for one in (sample.train, sample.z))
    k, cross, n = kernel(train, train), kernel(z, train), 200
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(centre @ k @ centre / n)
    basis = projected(values.clip(0), vectors, 0.9)
    kept = values[::-1][: basis.shape[1]]
    away = (cross - k.mean(0)) @ centre
    whole = 1 - 2 * cross.mean(1) + k.mean()
    expected = -np.sqrt(whole - ((away @ basis) ** 2 / kept / n).sum(1))
    found = scores(
        KPCA(ratio=0.9, gamma=0.5, components_random=1000),
        sample.known,
        sample.images,
    )
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert found == pytest.approx(expected, abs=0.1)


def test_kpca_refuses_equal_features():
    refuses(KPCA(), batch([[1, 1], [2, 2]], np.eye(2)), "same normalised features")


# pNML


def test_pnml_by_hand():
    # ẐᵀẐ = I, so r = 1; softmax of (1, 0) W + b is (.25, .75).
    known = batch(np.eye(2), np.eye(2))
    weight, bias = [[-1, 0], [0, 0]], [1, np.log(3)]
    found = scores(PNML(), known, batch([[2, 0]], weight, bias))
    assert found == pytest.approx([-0.23388], abs=1e-5)


def test_pnml_against_numpy(sample):
    train = sample.train / norm(sample.train)[:, None]
    z = sample.z / norm(sample.z)[:, None]
    inverse = np.linalg.inv(train.T @ train)
    r = ((z @ inverse) * z).sum(1)
    p = softmax(z @ sample.w.T + sample.b)
    q = p / (p + (1 - p) * p ** (r / (1 + r))[:, None])
    expected = -np.log(q.sum(1)) / np.log(4)
    found = scores(PNML(), sample.known, sample.images)
    assert found == pytest.approx(expected, rel=1e-7)


def test_pnml_does_not_saturate():
    known = batch(np.eye(2), np.eye(2))
    weight = 200 * np.array([[1, 0], [0, 1]])
    found = scores(PNML(), known, batch([[3, 1], [3, 0.9], [3, 0.5]], weight))
    assert (np.diff(found) > 0).all()
    assert (found < 0).all()
    far = scores(PNML(), known, batch([[3, 1]], 1e4 * weight))
    assert np.isfinite(far).all()


def test_pnml_without_regret_where_no_training_image_points():
    known = batch([[1, 0], [3, 0]], np.eye(2))
    assert scores(PNML(), known, batch([[0, 1]], np.eye(2))) == pytest.approx([0])
    refuses(PNML(), batch([[0, 0]], np.eye(2)), "are 0")


# CARef and CADRef


def test_caref_and_cadref_by_hand():
    weight = [[1, -1], [-9, -9]]
    known, images = batch([[1, 1]], weight, [5, 0]), batch([[3, 1]], weight, [5, 0])
    assert scores(CARef(), known, images) == pytest.approx([-0.5])
    g = lse(images.logits.double().numpy())
    assert scores(CADRef(), known, images) == pytest.approx(-0.5 / g)


def gen(logits):
    p = softmax(logits)
    others = p @ (1 - np.eye(p.shape[1]))  # 1 − p rounds to 0
    return 1 / (p**0.1 * others**0.1).sum(1)


SCORES = {
    "energy": lse,
    "max_logit": lambda logits: logits.max(1),
    "msp": lambda logits: softmax(logits).max(1),
    "gen": gen,
}


@pytest.mark.parametrize("name", SCORES)
def test_cadref_against_numpy(sample, name):
    bias = sample.bias + 20  # energy and the largest logit stay positive
    known = batch(sample.train, sample.weight, bias, sample.labels)
    images = batch(sample.z, sample.weight, bias)
    train_f, f = known.logits.double().numpy(), images.logits.double().numpy()
    predicted, top = train_f.argmax(1), f.argmax(1)
    means = np.zeros((4, 6))
    for k in range(4):
        chosen = predicted == k if (predicted == k).any() else sample.labels == k
        means[k] = sample.train[chosen].mean(0)
    away, size = sample.z - means[top], np.abs(sample.z).sum(1)
    signed = away * np.sign(sample.w[top])
    plus, minus = signed.clip(0).sum(1) / size, (-signed).clip(0).sum(1) / size
    usual = SCORES[name](train_f).mean()
    g = np.maximum(SCORES[name](f), 1e-6 * usual)
    expected = -(plus / g + minus / usual)
    found = scores(CADRef(logit_score=name), known, images)
    assert found == pytest.approx(expected, rel=1e-6)
    whole = np.abs(away).sum(1) / size
    assert scores(CARef(), known, images) == pytest.approx(-whole)
    assert plus + minus == pytest.approx(whole)


def test_caref_of_a_class_that_is_never_predicted():
    weight, logits = np.eye(3)[:, :2], np.array([[1, 0, 0]] * 3, np.float32)
    known = batch([[2, 0], [0, 4], [1, 5]], weight, None, [0, 1, 1], logits)
    last = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    images = batch([[1, 0], [1, 0]], weight, logits=last)
    # Class 1 has the mean (.5, 4.5) of its images, class 2 that of all, (1, 3).
    assert scores(CARef(), known, images) == pytest.approx([-5, -3])


def test_cadref_refuses_a_negative_mean_and_floors_a_negative_score():
    low = batch([[1, 1], [1, 2]], np.eye(2), [-9, -9])
    refuses(CADRef(), low, "mean energy of .* is -6.*take msp or gen")
    assert np.isfinite(scores(CADRef(logit_score="msp"), low, low)).all()
    usual = batch([[1, 1], [2, 3]], np.eye(2))
    assert np.isfinite(scores(CADRef(), usual, low)).all()
    assert (scores(CADRef(), usual, low) <= 0).all()


# All of them


@pytest.mark.parametrize("detector", ALL)
def test_features_of_zero_and_of_any_size_give_finite_scores(sample, detector):
    features = np.vstack([np.zeros(6), sample.z * 1e3, sample.z * 1e-3])
    images = batch(features, sample.weight, sample.bias)
    known = batch(sample.train, sample.weight, sample.bias + 20, sample.labels)
    assert np.isfinite(scores(detector(), known, images)).all()


@pytest.mark.parametrize("detector", [FDBD, ORA, PNML])
def test_one_class_is_refused(detector):
    refuses(detector(), batch(SQUARE, [[1, 0]]), "one class")


@pytest.mark.parametrize(
    ("detector", "parameters", "match"),
    [
        (NCI, {"alpha": -1.0}, "alpha must be .* got -1"),
        (ViM, {"dim": -1}, "dim must be .* got -1"),
        (Residual, {"dim": -1}, "dim must be .* got -1"),
        (NECO, {"ratio": 0.0}, "ratio must be .* got 0"),
        (KPCA, {"ratio": 1.5}, "ratio must be .* got 1.5"),
        (KPCA, {"gamma": -1.0}, "gamma must be .* got -1"),
        (KPCA, {"components_random": 0}, "components_random must be .* got 0"),
        (CADRef, {"logit_score": "odin"}, "logit_score must be .* got 'odin'"),
    ],
)
def test_parameters_are_checked(detector, parameters, match):
    with pytest.raises(ValueError, match=match):
        detector(**parameters)

"""Detectors on moments of features: values by hand, NumPy in float64, and laws."""

import logging

import numpy as np
import pytest
from made_outputs import batch_of, fitted, scores_of
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from oodbench import InputError
from oodbench.detectors import _class_covariances
from oodbench.scoring.spec import open_detector

B = [[1.0, 0], [3, 0], [0, 1], [0, 3]], [0, 0, 1, 1]
"""Means (2, 0) and (0, 2), and the covariance I / 2 within the classes."""
LABELLED = ["mahalanobis", "relative_mahalanobis", "gmm", "gmm:covariance=tied"]
UNIT = ["mahalanobis_pp", "relative_mahalanobis_pp", "max_cosine", "ctm", "ssd"]
FITTED = [*LABELLED, *UNIT, "she", "ssd:clusters=3"]


def outputs(features, labels=None, logits=None):
    if logits is None:
        some = np.zeros(len(features), int) if labels is None else np.asarray(labels)
        logits = np.eye(max(3, some.max() + 1))[some]
    return batch_of(features, logits, labels)


def fit(spec, features, labels, logits=None):
    return fitted(spec, outputs(features, labels, logits))


def scores(detector, features, logits=None):
    return scores_of(detector, outputs(features, logits=logits))


@pytest.fixture
def sample():
    """Three classes of features, of covariances that differ, with logits; and tests."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    mixing = rng.normal(size=(3, 4, 4))
    features = rng.normal(size=(120, 4)) + rng.normal(size=(3, 4))[labels]
    features = np.einsum("nij,nj->ni", mixing[labels], features) + 2
    logits = rng.normal(size=(120, 3)) + 2 * np.eye(3)[labels]
    tests = rng.normal(size=(20, 4)) * 3, rng.normal(size=(20, 3))
    return (
        features.astype(np.float32),
        labels,
        logits.astype(np.float32),
        *(each.astype(np.float32) for each in tests),
    )


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def squared(features, mean, covariance):
    away = features - mean
    return np.einsum("ni,ij,nj->n", away, np.linalg.pinv(covariance), away)


def to_classes(train, labels, test):
    means = [train[labels == k].mean(0) for k in range(3)]
    away = train - np.array(means)[labels]
    covariance = away.T @ away / len(train)
    return np.array([squared(test, mean, covariance) for mean in means])


def to_all(train, test):
    return squared(test, train.mean(0), np.cov(train.T, bias=True))


def naive(name, sample):
    train, labels, logits, test, test_logits = sample
    train, test = train.astype(float), test.astype(float)
    predicted = test_logits.argmax(1)
    if name.endswith("_pp") or name == "ssd":
        train, test = unit(train), unit(test)
    means = np.array([train[labels == k].mean(0) for k in range(3)])
    if name == "ssd":
        return -to_all(train, test)
    if name == "gmm":
        parts = [
            multivariate_normal.logpdf(
                test, mean, np.cov(train[labels == k].T, bias=True) + 1e-6 * np.eye(4)
            )
            for k, mean in enumerate(means)
        ]
        return logsumexp(parts, 0) + np.log(1 / 3)
    if name in ("max_cosine", "ctm"):
        cosines = unit(test) @ unit(means).T
        return cosines.max(1) if name == "max_cosine" else cosines[range(20), predicted]
    if name == "she":
        right = logits.argmax(1) == labels
        means = np.array([train[right & (labels == k)].mean(0) for k in range(3)])
        return (test * means[predicted]).sum(1)
    nearest = to_classes(train, labels, test).min(0)
    return -nearest if "relative" not in name else to_all(train, test) - nearest


@pytest.mark.parametrize(
    "name",
    [
        "mahalanobis",
        "relative_mahalanobis",
        "mahalanobis_pp",
        "relative_mahalanobis_pp",
        "max_cosine",
        "ctm",
        "she",
        "ssd",
        "gmm",
    ],
)
def test_scores_equal_numpy(name, sample):
    train, labels, logits, test, test_logits = sample
    found = scores(fit(name, train, labels, logits), test, test_logits)
    rel = 1e-5 if name.endswith("_pp") or name == "ssd" else 1e-9
    assert found == pytest.approx(naive(name, sample), rel=rel)


@pytest.mark.parametrize(
    ("spec", "image", "expected"),
    [
        ("mahalanobis", [0.0, 0], -8),
        ("mahalanobis", [2.0, 0], 0),
        ("relative_mahalanobis", [0.0, 0], -4),
        ("relative_mahalanobis", [2.0, 0], 0.8),
        ("feature_norm", [3.0, 4], 5),
        ("feature_norm:order=1", [3.0, -4], 7),
        ("max_cosine", [7.0, 0], 1),
        ("max_cosine", [-1.0, -1], -np.sqrt(0.5)),
        ("max_cosine", [0.0, 0], 0),
        ("ctm", [0.0, 7], 0),
        ("ctm", [-1.0, 0], -1),
    ],
)
def test_scores_by_hand(spec, image, expected):
    found = scores(fit(spec, *B), [image])
    assert found == pytest.approx([expected], abs=1e-12)


def test_she_by_hand():
    one = fit("she", [[0.0, 1], [2, 3], [9, 9]], [0, 0, 1], np.eye(3)[[0, 0, 1]])
    assert scores(one, [[3.0, 4]], [[1.0, 0, 0]]).tolist() == [11]


def test_gmm_of_one_class_is_its_log_density():
    root = np.sqrt(2)
    train = [[root, 0], [-root, 0], [0, root], [0, -root]]
    found = scores(fit("gmm:ridge=0", train, [0] * 4), [[1.0, 2]])
    assert found == pytest.approx([-2.5 - np.log(2 * np.pi)], rel=1e-6)


def test_gmm_with_a_tied_covariance(sample):
    train, labels, _, test, _ = sample
    squares = to_classes(train.astype(float), labels, test.astype(float))
    found = scores(fit("gmm:covariance=tied:ridge=0", train, labels), test)
    differences = found - logsumexp(-squares / 2, 0)
    assert differences == pytest.approx(np.full(20, differences[0]), rel=1e-9)


def test_gmm_does_not_tie_far_images(sample):
    train, labels, *_ = sample
    found = scores(fit("gmm", train, labels), [[1e4] * 4, [2e4] * 4, [4e4] * 4])
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_mahalanobis_is_invariant_to_affine_maps(name, sample):
    train, labels, _, test, _ = sample
    matrix = np.diag([1, 1e-2, 10, 1]) + np.triu(np.ones((4, 4)), 1)
    usual = scores(fit(name, train, labels), test)
    moved = scores(fit(name, train @ matrix + 1, labels), test @ matrix + 1)
    assert moved == pytest.approx(usual, rel=1e-3)


@pytest.mark.parametrize("name", UNIT)
def test_the_length_of_features_does_not_matter(name, sample):
    train, labels, logits, test, test_logits = sample
    one = fit(name, train, labels, logits)
    longer = test * np.linspace(0.1, 1000, 20, dtype=np.float32)[:, None]
    assert scores(one, longer, test_logits) == pytest.approx(
        scores(one, test, test_logits), rel=1e-4
    )


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_pp_is_the_plain_distance_of_features_of_length_1(name, sample):
    train, labels, _, test, _ = sample
    plain = scores(fit(name, unit(train), labels), unit(test))
    found = scores(fit(f"{name}_pp", train, labels), test)
    assert found == pytest.approx(plain, rel=1e-4)


def test_ssd_of_one_cluster_is_the_background_of_relative_mahalanobis_pp(sample):
    train, labels, _, test, _ = sample
    names = ["mahalanobis_pp", "relative_mahalanobis_pp", "ssd"]
    plain, relative, ssd = (scores(fit(n, train, labels), test) for n in names)
    assert -ssd == pytest.approx(relative - plain, rel=1e-9)


def test_ssd_finds_clusters():
    rng = np.random.default_rng(0)
    around = np.eye(3)[np.arange(90) % 3] * 5
    train = around + rng.normal(0, 0.1, (90, 3))
    one = fit("ssd:clusters=3", train, None, np.zeros((90, 3)))
    found = scores(one, [[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [1, 1, 1]])
    assert (found[:3] > -30).all()
    assert found[3] < -100
    again = fit("ssd:clusters=3", train, None, np.zeros((90, 3)))
    assert (scores(again, [[1.0, 2, 3]]) == scores(one, [[1.0, 2, 3]])).all()


def test_ssd_drops_features_that_do_not_vary(sample):
    train, labels, _, test, _ = sample
    padded = np.pad(train, ((0, 0), (0, 1)))
    found = scores(fit("ssd", padded, labels), np.pad(test, ((0, 0), (0, 1))))
    assert found == pytest.approx(scores(fit("ssd", train, labels), test))


def test_a_singular_covariance_warns_and_ignores_other_directions(sample, caplog):
    train, labels, _, test, _ = sample
    padded = np.pad(train, ((0, 0), (0, 1)))
    with caplog.at_level(logging.WARNING):
        one = fit("mahalanobis", padded, labels)
    assert "rank 4 of 5" in caplog.text
    away = np.pad(test, ((0, 0), (0, 1)), constant_values=9)
    usual = scores(fit("mahalanobis", train, labels), test)
    assert scores(one, away) == pytest.approx(usual, rel=1e-9)


def test_a_direction_of_small_variance_counts():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(500, 2)) * [1000, 0.1]
    images = [[0.0, 0], [0, 5]]
    near, far = scores(fit("mahalanobis", train, [0] * 500), images)
    assert far < near - 1000
    dropped = scores(fit("mahalanobis:cutoff=1e-3", train, [0] * 500), images)
    assert dropped == pytest.approx([dropped[0]] * 2, abs=1e-3)


@pytest.mark.parametrize("name", [*FITTED, "feature_norm"])
def test_an_image_does_not_depend_on_its_batch(name, sample):
    train, labels, logits, test, test_logits = sample
    one = fit(name, train, labels, logits)
    parts = [scores(one, test[k : k + 1], test_logits[k : k + 1])[0] for k in range(20)]
    assert parts == pytest.approx(scores(one, test, test_logits), rel=1e-12)


@pytest.mark.parametrize("name", [*LABELLED, "mahalanobis_pp", "max_cosine"])
def test_a_class_without_images_changes_nothing(name, sample):
    train, labels, _, test, _ = sample
    usual = scores(fit(name, train, labels, np.zeros((120, 3))), test)
    more = scores(fit(name, train, labels, np.zeros((120, 5))), test)
    assert (more == usual).all()


@pytest.mark.parametrize("name", ["ctm", "she"])
def test_a_predicted_class_without_images_has_the_mean_of_all(name):
    one = fit(name, *B, np.eye(3)[B[1]])
    found = scores(one, [[3.0, 1]], [[0.0, 0, 1]])
    expected = {"ctm": 4 / np.sqrt(20), "she": 4}[name]
    assert found == pytest.approx([expected])


def test_she_forgets_images_that_are_classified_wrongly():
    logits = np.eye(3)[[0, 1, 1, 1]]
    one = fit("she", *B, logits)
    assert scores(one, [[1.0, 0]], [[1.0, 0, 0]]).tolist() == [1]


@pytest.mark.parametrize(
    ("spec", "features", "labels", "reason"),
    [
        ("relative_mahalanobis", [[1.0, 2], [2, 1]], [1, 1], "of one class"),
        ("relative_mahalanobis_pp", [[1.0, 2], [2, 1]], [1, 1], "of one class"),
        ("mahalanobis", [[1.0, 2], [2, 1]], [0, 1], "2 images do not vary"),
        ("ssd", [[1.0, 2], [1, 2]], [0, 1], "2 images do not vary"),
        ("ssd:clusters=3", [[1.0, 2], [2, 1]], [0, 1], "clusters is 3, .* 2"),
        ("gmm:ridge=0", [[1.0, 2], [1, 2]], [0, 0], "rank 0 of 2 with ridge 0"),
    ],
)
def test_undefined_cases_are_refused(spec, features, labels, reason):
    with pytest.raises(ValueError, match=reason):
        fit(spec, features, labels)


def test_she_without_a_correct_image_is_refused():
    with pytest.raises(ValueError, match="no training image correctly"):
        fit("she", *B, np.eye(3)[[1, 1, 0, 0]])


def test_gmm_refuses_more_memory_than_there_should_be(monkeypatch, sample):
    monkeypatch.setattr(_class_covariances, "LIMIT", 100)
    with pytest.raises(ValueError, match=r"3 classes and 4 features take 0\.0 GiB"):
        fit("gmm", *sample[:2])
    fit("gmm:covariance=tied", *sample[:2])


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("mahalanobis:cutoff=1", "below 1, got 1"),
        ("relative_mahalanobis:cutoff=-1", "at least 0 and below 1, got -1"),
        ("feature_norm:order=3", "order must be 1 or 2, got 3"),
        ("ssd:clusters=0", "clusters must be at least 1, got 0"),
        ("ssd:seed=-1", "seed must be from 0"),
        ("gmm:covariance=full", "class or tied, got 'full'"),
        ("gmm:ridge=-1", "ridge must be at least 0, got -1"),
    ],
)
def test_wrong_parameters_are_refused(spec, reason):
    with pytest.raises(InputError, match=reason):
        open_detector(spec)

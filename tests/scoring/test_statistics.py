"""The shared statistics against NumPy in float64."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from oodbench import Detector, Known, Need
from oodbench.scoring.batch import Batch
from oodbench.scoring.fitting import statistics

DETECTOR = SimpleNamespace(
    needs=Need.FEATURES | Need.LABELS, objectives=(), control=False
)


def known(features, labels, logits=None, detector=DETECTOR):
    features = torch.as_tensor(features, dtype=torch.float32)
    labels = torch.as_tensor(labels)
    if logits is None:
        logits = torch.nn.functional.one_hot(labels).float()
    batch = Batch(
        torch.zeros(len(features), 0), logits, features=features, labels=labels
    )
    return Known(batch, detector)


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 500)
    return (rng.normal(10, 0.01, (500, 4)) + labels[:, None] / 100), labels


def test_moments_keep_their_digits_far_from_zero(sample):
    features, labels = sample
    exact = features.astype(np.float32).astype(float)
    found = known(features, labels).shared(statistics.moments)
    assert found.mean.numpy() == pytest.approx(exact.mean(0), rel=1e-14)
    covariance = np.cov(exact.T, bias=True)
    assert found.scatter.numpy() / 500 == pytest.approx(covariance, rel=1e-10)


def test_total_scatter_is_within_plus_between(sample):
    one = known(*sample)
    total, moments = (
        one.shared(statistics.class_moments).total(),
        one.shared(statistics.moments),
    )
    assert total.scatter.numpy() == pytest.approx(moments.scatter.numpy(), rel=1e-10)
    assert total.mean.numpy() == pytest.approx(moments.mean.numpy(), rel=1e-14)


def test_blocks_do_not_change_the_moments(sample, monkeypatch):
    whole = known(*sample).shared(statistics.class_moments)
    monkeypatch.setattr(statistics, "BLOCK", 7)
    parts = known(*sample).shared(statistics.class_moments)
    assert parts.within.numpy() == pytest.approx(whole.within.numpy(), rel=1e-10)


def test_class_moments_by_hand():
    found = known([[1, 0], [3, 0], [0, 1], [0, 3]], [0, 0, 1, 1]).shared(
        statistics.class_moments
    )
    assert found.means.tolist() == [[2, 0], [0, 2]]
    assert found.within.tolist() == [[2, 0], [0, 2]]
    assert found.total().scatter.numpy() == pytest.approx(np.array([[6, -4], [-4, 6]]))


def test_means_by_prediction_and_of_correct_images():
    logits = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    one = known([[1, 0], [3, 0], [5, 1]], [0, 0, 1], logits)
    predicted = one.shared(statistics.predicted_means)
    assert predicted.means.tolist() == [[1, 0], [4, 0.5]]
    correct = one.shared(statistics.correct_means)
    assert correct.means.tolist() == [[1, 0], [5, 1]]
    assert correct.counts.tolist() == [1, 1]


def test_whitening_is_a_root_of_the_pseudo_inverse():
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(5, 3))
    covariance = torch.as_tensor(factor @ factor.T)
    root = statistics.whitening(covariance)
    assert root.shape == (3, 5)
    inverse = np.linalg.pinv(covariance.numpy(), hermitian=True)
    assert (root.T @ root).numpy() == pytest.approx(inverse, abs=1e-10)


def test_a_label_that_is_no_class_is_refused():
    one = known([[1.0], [2]], [0, 2], torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"labels go from 0 to 2; .* are 0 to 1"):
        one.shared(statistics.class_moments)


def test_a_statistic_is_computed_once_for_all_detectors():
    calls = []

    def count(view):
        calls.append(view)
        return view.features.sum()

    first = known([[1.0], [2]], [0, 1])
    second = Known(first._batch, DETECTOR)
    assert first.shared(count) == second.shared(count) == 3
    assert len(calls) == 1


def test_a_detector_that_declares_less_fails_although_another_computed_it():
    first = known([[1.0], [2]], [0, 1])
    first.shared(statistics.class_moments)
    less = SimpleNamespace(needs=Need.FEATURES, objectives=(), control=False)
    with pytest.raises(LookupError, match="reads labels without declaring it"):
        Known(first._batch, less).shared(statistics.class_moments)


@dataclass
class Writer(Detector):
    """Writes into a shared statistic."""

    needs = Need.FEATURES
    fitted_on = "train"

    def fit(self, known):
        known.shared(statistics.moments).mean.zero_()

    def score(self, batch):
        return batch.log_px


def test_writing_into_a_shared_statistic_fails_the_detector():
    one = known([[1.0], [2]], [0, 1], detector=Writer())
    Writer().fit(one)
    with pytest.raises(RuntimeError, match="Writer changes a shared statistic"):
        one.check_untouched()

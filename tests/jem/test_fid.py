"""The Fréchet distance as torch-fidelity measures it, on features without weights."""

import sys

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.image_set import open_images
from oodbench.jem.samples.fid import FID

SHAPE = Shape(1, 2, 2)
CPU = torch.device("cpu")


def images(first, second):
    """Grey images whose two upper pixels take the given values in all pairs."""
    pairs = np.array([(a, b) for a in first for b in second], np.uint8)
    pixels = np.zeros((len(pairs), 2, 2, 1), np.uint8)
    pixels[:, 0, :, 0] = pairs
    return pixels


def real(pixels):
    return open_images(Dataset("real", lambda *_: Split(pixels), "far"), "test", SHAPE)


@pytest.fixture(scope="module")
def corner():
    """The name of an extractor whose features are the two upper pixels, in blue."""
    fidelity = pytest.importorskip("torch_fidelity")

    class Corner(fidelity.FeatureExtractorBase):
        def __init__(self, name, features, **_):
            super().__init__(name, features)

        @staticmethod
        def get_provided_features_list():
            return ("corner",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "corner"

        def forward(self, batch):
            assert batch.dtype == torch.uint8
            assert batch.shape[1:] == (3, 2, 2)
            return (batch[:, 2, 0].double(),)

    fidelity.register_feature_extractor("corner", Corner)
    return "corner"


def test_independent_features_have_the_distance_of_two_gaussians(corner):
    samples, others = images((0, 4), (10, 10)), images((1, 3), (10, 16))
    record = FID(extractor=corner).measure(samples, real(others), CPU)
    # Means (2, 10) and (2, 13); variances (4, 0) and (1, 9), each times 4/3.
    assert record["value"] == pytest.approx(9 + 10 * 4 / 3)


def test_equal_sets_have_distance_0_and_the_record_says_what_was_compared(corner):
    pixels = images((0, 7, 9), (3, 200))
    record = FID(extractor=corner).measure(pixels, real(pixels), CPU)
    assert record.pop("value") == pytest.approx(0, abs=1e-6)
    assert record.pop("set")["images"] == record["samples"] == 6
    assert record["filtered"] is False
    assert record["weights"] is None


def test_the_global_random_state_stays(corner):
    pixels, before = images((0, 1), (0, 1)), torch.random.get_rng_state()
    FID(extractor=corner).measure(pixels, real(pixels), CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_that_are_not_there_are_one_sentence(monkeypatch):
    fidelity = pytest.importorskip("torch_fidelity")

    def fail(**_):
        raise OSError("no network")

    monkeypatch.setattr(fidelity, "calculate_metrics", fail)
    pixels = images((0, 1), (0, 1))
    with pytest.raises(
        InputError, match=r"cannot download .* \(no network\); download"
    ):
        FID().measure(pixels, real(pixels), CPU)


def test_weights_that_would_run_code_are_refused(tmp_path):
    pytest.importorskip("torch_fidelity")
    path = tmp_path / "weights.pth"
    torch.save({"weight": print}, path)
    with pytest.raises(InputError, match=r"weights\.pth"):
        FID(path)


def test_one_image_has_no_covariance():
    pytest.importorskip("torch_fidelity")
    pixels = images((0, 1), (0, 1))
    with pytest.raises(
        InputError, match="two samples and two real images, got 1 and 4"
    ):
        FID().measure(pixels[:1], real(pixels), CPU)


def test_without_torch_fidelity_there_is_no_fid(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InputError, match=r"pip install 'oodbench\[fid\]'"):
        FID()

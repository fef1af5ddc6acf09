"""A threshold is certified on independent images that chose nothing, or not at all."""

import numpy as np
import pytest

from oodbench import Dataset, InputError, Split, run, threshold


def made(name, seed, clusters=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (100, 4, 4, 1), np.uint8)
    split = Split(pixels, np.arange(100) % 6, clusters=clusters)
    return Dataset(name, lambda *_: split, "far")


@pytest.fixture
def go(tiny, tmp_path):
    def go(detector, clusters=None):
        run(
            tiny, made("in", 0, clusters), made("out", 1), detectors=detector,
            device="cpu", quiet=True, results=tmp_path,
        )  # fmt: skip
        return {"results": tmp_path, "model": "tiny", "detector": detector}

    return go


GUARANTEES = [{"certified": "mean"}, {"certified": "delta"}, {"risk": 0.99}]


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_images_that_share_origins_certify_nothing(go, guarantee):
    about = go("energy", np.arange(100) // 5)
    with pytest.raises(InputError, match="100 images of in have 20 origins and are"):
        threshold(**about, rate=0.8, **guarantee)
    assert threshold(**about, rate=0.8)["accepted"] >= 0.8
    assert threshold(**go("msp", np.arange(100)), rate=0.8, **guarantee)


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_images_that_chose_the_parameters_certify_nothing(go, guarantee):
    about = go("energy:temperature=2.0@oracle")
    with pytest.raises(InputError, match="was chosen on these test images"):
        threshold(**about, rate=0.8, **guarantee)
    other = go("energy:temperature=2.0@in-distribution")
    assert threshold(**other, rate=0.8, **guarantee)

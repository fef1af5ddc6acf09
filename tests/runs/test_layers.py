"""Scores by one head of a network never stand for those by another."""

from dataclasses import dataclass

import numpy as np
import pytest
from torch import nn

from oodbench import Detector, Need, Network, run


def size(result):
    """The sum of the features, as an objective: `[N]`."""
    return result.features.sum(1)


@dataclass
class Slope(Detector):
    """The gradient of features by pixels; it declares no features."""

    needs = Need.GRADIENT
    objectives = (size,)

    def score(self, batch):
        return batch.gradient(size).sum((1, 2, 3))


def test_a_gradient_of_the_features_has_a_cell_for_each_head(tmp_path):
    first, last = nn.Linear(16, 5), nn.Linear(5, 3)
    module = nn.Sequential(nn.Flatten(), first, last)
    for seed, name in enumerate(("in", "out")):
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 4, 4, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=pixels)
    for head in ("", "1"):
        network = Network(module, (1, 4, 4), "net", head_layer=head)
        run(
            network, f"npz:{tmp_path}/in.npz", f"npz:{tmp_path}/out.npz",
            detectors=[Slope()], device="cpu", quiet=True, results=tmp_path / "runs",
        )  # fmt: skip
    slopes = [np.load(path) for path in (tmp_path / "runs").rglob("*.npy")]
    # ∂ Σ pixels / ∂ pixels is 1 for each of 16; that of Σ W pixels is Σ W.
    expected = 2 * [first.weight.sum().item()] + 2 * [16.0]
    assert sorted(one.mean() for one in slopes) == pytest.approx(sorted(expected))

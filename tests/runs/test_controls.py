"""Scores of controls do not depend on the network: computed once for all models."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import Network, run
from oodbench.scoring.fitting.nearest import Bank


@pytest.fixture
def specs(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("in", "out", "train"):
        pixels = rng.integers(0, 256, (30, 4, 4, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=pixels, labels=np.arange(30) % 3)
    return {name: f"npz:{tmp_path}/{name}.npz" for name in ("in", "out", "train")}


def network(seed, size=4):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(size**2, 3))
    return Network(module, (1, size, size), f"net-{seed}-{size}")


def scores(folder):
    return [path.read_bytes() for path in folder.rglob("pixel_knn-*.npy")]


def go(folder, specs, networks, **options):
    found = run(
        networks,
        specs["in"],
        specs["out"],
        fit=specs["train"],
        detectors=["pixel_knn", "pixel_stats", "energy"],
        device="cpu",
        quiet=True,
        results=folder,
        **options,
    )
    assert found.failed == {}
    assert found.computed == 6 * len(networks)
    return found


@pytest.fixture
def searched(monkeypatch):
    """Counts the images whose neighbours are searched."""
    count = Counter()
    search = Bank.nearest

    def counting(bank, images, *others):
        count.update(images=len(images))
        return search(bank, images, *others)

    monkeypatch.setattr(Bank, "nearest", counting)
    return count


def test_a_second_network_needs_no_second_search(tmp_path, specs, searched):
    go(tmp_path, specs, [network(0), network(1)])
    assert searched["images"] == 60
    go(tmp_path, specs, [network(2)])
    assert searched["images"] == 60
    found = scores(tmp_path)
    assert (len(found), len(set(found))) == (6, 2)
    go(tmp_path, specs, [network(2)], overwrite="always")
    assert searched["images"] == 120


def test_other_pixels_are_searched_again(tmp_path, specs, searched):
    go(tmp_path, specs, [network(0), network(0, size=6)])
    assert searched["images"] == 120
    go(tmp_path, specs, [network(1)], input_noise=0.1)
    assert searched["images"] == 180
    assert len(set(scores(tmp_path))) == 6


def test_damaged_scores_are_not_taken_over(tmp_path, specs, searched):
    go(tmp_path, specs, [network(0)])
    for path in tmp_path.rglob("pixel_knn-*.npy"):
        path.write_bytes(path.read_bytes()[:-8])
    go(tmp_path, specs, [network(1)])
    assert searched["images"] == 120

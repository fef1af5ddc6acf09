"""Scores are those of OpenOOD's own code; benchmarks/openood_numbers.py wrote them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import Network, Split
from oodbench.base.progress import silent
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

NUMBERS = np.load(Path(__file__).with_name("openood.npz"))
CLASSES = len(NUMBERS["fc.bias"])


def same(scores):
    return scores


def probability(scores):
    return 1 / (1 + np.exp(-scores))


CASES = {
    "nnguide": ("nnguide", same),
    "relation": ("relation", same),
    "fdbd": ("fdbd", lambda s: s * (CLASSES - 1)),  # a sum there, a mean here
    "nci": ("nci", same),
    "she": ("she", same),
    "gen": ("gen", same),
    "ash": ("ash:variant=B", same),
    "scale": ("scale", same),
    "kl_matching": ("kl_matching", same),
    "gradnorm": ("grad_norm", lambda s: s * CLASSES),  # target 1 there, 1/K here
    "rmds": ("relative_mahalanobis", same),
    "residual": ("residual:dim=8", same),
    "vim": ("vim:dim=8", same),
    "cfood": ("cf_ood", same),
    "odin": ("odin", probability),
    "iodin": ("i_odin", probability),
}
"""By OpenOOD's name: our detector, and the way to OpenOOD's scale."""


def split(name):
    return Split(NUMBERS[f"{name}_images"], NUMBERS[f"{name}_labels"])


@pytest.fixture(scope="module")
def ours():
    size = NUMBERS["hidden.weight"].shape
    hidden, head = nn.Linear(size[1], size[0]), nn.Linear(size[0], CLASSES)
    for layer, name in ((hidden, "hidden"), (head, "fc")):
        layer.weight.data = torch.from_numpy(NUMBERS[f"{name}.weight"])
        layer.bias.data = torch.from_numpy(NUMBERS[f"{name}.bias"])
    network = Network(
        nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), head),
        (3, 4, 4),
        "small",
        tuple(NUMBERS["mean"]),
        tuple(NUMBERS["std"]),
    )
    every = {name: open_detector(spec).detector for name, (spec, _) in CASES.items()}
    engine = Engine(network, every)
    for stage in ("train", "val"):
        assert engine.fit(stage, split(stage), tell=silent) == {}
    return engine.score(split("test"), has_labels=False, tell=silent).scores


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_openood(ours, name):
    found, expected = CASES[name][1](ours[name]), NUMBERS[f"scores of {name}"]
    # There, SHE is NaN for a class without correct images; here it takes the mean.
    there = np.isfinite(expected)
    assert there.all() == (name != "she")
    assert np.isfinite(found).all()
    spread = np.ptp(expected[there])
    assert len(np.unique(expected)) > 10
    assert found[there] == pytest.approx(expected[there], abs=1e-7 + 1e-5 * spread)

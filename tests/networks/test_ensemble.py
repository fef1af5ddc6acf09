"""Ensembles: the mean of probabilities and of log p(x), and their disagreement."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import InputError, Network, Split
from oodbench.networks.ensemble import ensemble
from oodbench.networks.load import as_network
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector


def tiny(seed, classes=6):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
    return Network(module, (1, 4, 4), f"tiny-{seed}", (0.5,), (0.25,))


class Fixed(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1) + 0 * x.sum()


def fixed(*members):
    return ensemble([Network(Fixed(one), (1, 1, 1), str(one)) for one in members], "e")


def scores(network, spec, split):
    engine = Engine(network, {"it": open_detector(spec).detector})
    scored = engine.score(split, has_labels=False, tell=lambda _: None)
    assert scored.failures == {}
    return scored.scores["it"]


def test_softmax_is_the_mean_of_probabilities_and_log_px_the_mean_of_log_px():
    members = [tiny(seed) for seed in range(3)]
    pixels = torch.rand(5, 1, 4, 4)
    found = ensemble(members, "three")(pixels)
    own = [one(pixels) for one in members]
    probabilities = torch.stack([one.logits.softmax(1) for one in own]).mean(0)
    log_px = torch.stack([one.log_px for one in own]).mean(0)
    torch.testing.assert_close(found.logits.softmax(1), probabilities)
    torch.testing.assert_close(found.logits.logsumexp(1), log_px)
    torch.testing.assert_close(found.log_px, log_px)
    torch.testing.assert_close(found.members[:, 1], own[1].logits)


def test_members_that_contradict_each_other_share_one_bit():
    split = Split(np.zeros((2, 1, 1, 1), np.uint8))
    certain = scores(fixed([0.0, -40.0], [-40.0, 0.0]), "mutual_info", split)
    np.testing.assert_allclose(certain, -math.log(2), rtol=1e-6)
    agreed = scores(fixed([1.0, 2.0], [3.0, 4.0]), "mutual_info", split)
    np.testing.assert_allclose(agreed, 0, atol=1e-12)


def test_members_are_joined_by_name_and_keep_their_own_preprocessing():
    network = as_network("pair=jem-digits+ce-digits")
    assert network.name == "pair"
    assert network.has_members
    assert not network.has_density_head
    assert [one["name"] for one in network.source["members"]] == [
        "jem-digits",
        "ce-digits",
    ]
    same = as_network("jem-digits+jem-digits")
    pixels = torch.rand(3, *same.shape)
    one = as_network("jem-digits")(pixels)
    torch.testing.assert_close(same(pixels).logits, one.logits, atol=1e-4, rtol=1e-4)


def test_the_key_depends_on_every_member():
    keys = {ensemble([tiny(0), tiny(seed)], "e").fingerprint() for seed in range(3)}
    assert len(keys) == 3


def test_different_classes_are_no_ensemble():
    with pytest.raises(InputError, match="their classes are 6 and 5"):
        ensemble([tiny(0), tiny(1, classes=5)], "e")


def test_a_single_network_has_no_disagreement():
    assert "no ensemble" in lacks(tiny(0), open_detector("mutual_info").detector)

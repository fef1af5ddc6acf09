"""What detectors have learnt, taken out and put into equal ones."""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from oodbench import Detector, Need
from oodbench.base import registry
from oodbench.scoring.engine import Engine
from oodbench.scoring.fitting.state import State, restore, state_of
from oodbench.scoring.spec import open_detector

FITTED = [
    name
    for name in registry.names("detectors")
    if (detector := open_detector(name).detector).fitted_on
    and not detector.needs & (Need.BLOCKS | Need.MEMBERS)
]
"""Those that a network of two layers serves; `oodbench.testing` checks all."""


class Pair(NamedTuple):
    root: Tensor
    places: tuple[int, ...]


@dataclass
class Learner(Detector):
    fitted_on = "train"
    scale: float = 2.0
    pairs: list[Pair] = field(init=False, repr=False)
    both: tuple[Tensor, float] = field(init=False, repr=False)
    limit: float = field(init=False, repr=False)
    unset: float | None = field(init=False, repr=False)

    def score(self, batch):
        return batch.log_px * self.scale


def through_json(state):
    return State(json.loads(json.dumps(state.parts)), state.tensors)


def test_tensors_numbers_and_named_tuples_come_back():
    one, other = Learner(), Learner()
    one.pairs = [Pair(torch.eye(2), (1, 2)), Pair(torch.zeros(0), ())]
    one.both, one.limit = (torch.arange(3), 0.5), float("-inf")
    restore(other, through_json(state_of(one)))
    assert [type(pair) for pair in other.pairs] == [Pair, Pair]
    assert other.pairs[0].root is one.pairs[0].root
    assert other.pairs[0].places == (1, 2)
    assert other.both[0] is one.both[0]
    assert (other.both[1], other.limit) == (0.5, float("-inf"))
    assert "unset" not in vars(other)


def test_what_is_no_field_or_needs_code_is_refused():
    one = Learner()
    one.limit = object()
    with pytest.raises(TypeError, match="a object cannot be stored"):
        state_of(one)
    one = Learner()
    one.other = torch.zeros(1)
    with pytest.raises(TypeError, match=r"Learner\.fit sets other, which is no field"):
        state_of(one)


@pytest.mark.parametrize("spec", [*FITTED, "react+ash+knn:k=3"])
def test_a_built_in_detector_scores_the_same_with_what_another_has_learnt(
    spec, tiny, convolutional, images
):
    fitted, other = (open_detector(spec).detector for _ in range(2))
    network = convolutional if Need.BLOCKS in fitted.needs else tiny
    faults = Engine(network, {"it": fitted}).fit(fitted.fitted_on, images, tell=quiet)
    assert not faults
    restore(other, through_json(state_of(fitted)))
    both = [scores(network, one, images) for one in (fitted, other)]
    np.testing.assert_array_equal(*both)


def scores(network, detector, images):
    scored = Engine(network, {"it": detector}).score(
        images, has_labels=False, tell=quiet
    )
    return scored.scores.get("it", scored.failures)


def quiet(_):
    pass

"""Recipes: their schedules, their way through a card, and values that cannot be."""

import math
from dataclasses import asdict, replace

import pytest

from oodbench import InputError
from oodbench.jem.training.recipe import PRESETS, Recipe, read


def test_rate_warms_up_linearly_and_goes_to_zero():
    recipe = Recipe(epochs=10, warmup=10, learning_rate=1.0, decay="cosine")
    assert recipe.rate(0, per_epoch=10) == pytest.approx(0.1)
    assert recipe.rate(50, per_epoch=10) == pytest.approx(0.5)
    assert recipe.rate(99, per_epoch=10) == pytest.approx(0, abs=1e-3)
    assert replace(recipe, decay="none").rate(99, per_epoch=10) == 1.0


def test_step_decay_multiplies_the_rate_at_its_epochs():
    paper = PRESETS["jem-paper"]
    rates = [paper.rate(703 * epoch, per_epoch=703) for epoch in (159, 160, 180)]
    assert rates == pytest.approx([1e-4, 3e-5, 9e-6])


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_comes_back_from_its_card(name):
    values = asdict(PRESETS[name])
    values["decay_epochs"] = list(values["decay_epochs"])  # as JSON has it
    assert read(values) == PRESETS[name]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ({"reinit": 1.5}, "reinit must be from 0 to 1, got 1.5"),
        ({"seed": -1}, "seed must be from 0 to 2\\^63 - 1, got -1"),
        ({"ema": 1.0}, "ema must be from 0 to below 1, got 1.0"),
        ({"decay_epochs": (5.0, -1.0)}, "decay_epochs must be at least 0, got -1.0"),
        ({"learning_rate": math.nan}, "learning_rate must be positive, got nan"),
        ({"weight_y_given_x": 0, "weight_x": 0}, "All weights of the loss are 0"),
        ({"iterations": 5}, "no field 'iterations'"),
        ({"optimiser": "lion"}, "optimiser cannot be 'lion'"),
        ({"epochs": "ten"}, "epochs cannot be 'ten'"),
        ({"sgld_noise": "much"}, "sgld_noise cannot be 'much'"),
        ({"decay_epochs": 3}, "decay_epochs cannot be 3"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(values, message):
    with pytest.raises(InputError, match=message):
        read(values)

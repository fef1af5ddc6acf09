"""Recipes: their schedules, their way through a card, and values that cannot be."""

import json
import math
from dataclasses import asdict, replace

import pytest

from oodbench import InputError
from oodbench.jem.training.presets import PRESETS, read_recipe
from oodbench.jem.training.recipe import Recipe


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
def test_a_recipe_comes_back_from_its_card(name, tmp_path):
    card = {"recipe": asdict(PRESETS[name]), "architecture": {"name": "mlp"}}
    card["trained_on"] = {"spec": "digits"}
    (tmp_path / "card.json").write_text(json.dumps(card))
    found, read = read_recipe(tmp_path / "card.json", {})
    assert found == PRESETS[name]
    assert read["trained_on"] == card["trained_on"]


def test_a_field_can_be_changed_and_the_rest_stays():
    found, card = read_recipe("ce", {"epochs": 3, "decay_epochs": [1, 2]})
    assert found == replace(PRESETS["ce"], epochs=3, decay_epochs=(1, 2))
    assert card == {}


@pytest.mark.parametrize("content", ["[]", "{}", '{"architecture": {}}', "no JSON"])
def test_a_file_that_is_no_card_is_one_sentence(content, tmp_path):
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(InputError, match=r"card\.json is not a card of"):
        read_recipe(str(tmp_path / "card.json"), {})


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
        ({"weight_neighbours": 1, "weight_x": 0}, "set a weight_x"),
        ({"adversary_steps": -1}, "adversary_steps must be at least 0, got -1"),
        ({"start": "data"}, "start cannot be 'data'"),
        ({"epoch": 5}, "no field of a recipe 'epoch'; did you mean 'epochs'"),
        ({"optimiser": "lion"}, "optimiser cannot be 'lion'"),
        ({"epochs": "ten"}, "epochs cannot be 'ten'"),
        ({"sgld_noise": "much"}, "sgld_noise cannot be 'much'"),
        ({"decay_epochs": 3}, "decay_epochs cannot be 3"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(values, message):
    with pytest.raises(InputError, match=message):
        read_recipe("jem", values)

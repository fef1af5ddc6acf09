"""The kinds of models of `small_images.py`, with their recipes and settings."""

from dataclasses import replace
from typing import Any

from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.recipe import Recipe

Changes = dict[str, Any]
"""Fields of a recipe that differ."""
COMMON: Changes = {
    "batch_size": 64,
    "held_out": 0,
    "augment": "none",
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "warmup": 50,
    "decay": "cosine",
    "weight_decay": 0.0,
    "ema": 0.99,
    "precision": "bf16",
    "buffer_size": 2000,
}
STEPS = {"jem": 10, "dat": 20}
"""SGLD steps where they differ from the preset's."""
MEMBERS = 5
"""Of an ensemble."""
PLAIN = ("plain", "plain-long", "ensemble")
JEMS = ("jem", "jem++", "sada-jem", "eb-jdat", "dat")
KINDS = (*PLAIN, *JEMS)
CALMED = {"jem-l2-0.01": 1e-2}
"""`jem` with a penalty log p(x)², and its weight."""
LONGER = {"eb-jdat-long": "eb-jdat", "robust": "dat", "dat-robust": "dat"}
LATER = {**LONGER, **dict.fromkeys(CALMED, "jem")}
"""Kinds that were added later, by those whose recipe they have."""
EQUAL = ("plain", "jem", "jem++", "sada-jem", *LONGER)
"""The kinds of the comparison at equal epochs."""
FIRST = {"dat-robust": "robust"}
"""A kind that begins at the weights of another, as the paper of `dat` does."""
CHOICES: dict[str, dict[str, Changes]] = {
    "plain-long": {"no crops": {}, "crops": {"augment": "crop"}},
    **{kind: {"weight 1": {}, "weight 0.1": {"weight_x": 0.1}} for kind in JEMS},
}
"""The settings of each kind that are tried on validation images."""


def _recipe(kind: str) -> Recipe:
    base = LATER.get(kind, kind)
    steps = {"sgld_steps": STEPS[base]} if base in STEPS else {}
    recipe = replace(PRESETS["ce" if base in PLAIN else base], **COMMON, **steps)
    if kind == "robust":
        return replace(recipe, weight_x=0.0)
    return replace(recipe, energy_l2=CALMED.get(kind, recipe.energy_l2))


RECIPES = {kind: _recipe(kind) for kind in (*KINDS, *LATER)}
"""But for epochs, chosen setting and seed. `robust` is `dat` without log p(x)."""

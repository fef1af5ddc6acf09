"""Recipes by name, or from a model's card. Nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.jem.training.recipe import Recipe

_PAPER = Recipe(
    epochs=200,
    held_out=5000,
    augment="crop_flip",
    learning_rate=1e-4,
    warmup=1000,
    decay="step",
    ema=0.0,
    precision="fp32",
    buffer_size=10_000,
    seed=1,
)
_JEM_PP = replace(
    _PAPER,
    epochs=150,
    optimiser="sgd",
    learning_rate=0.1,
    decay_epochs=(50.0, 100.0, 125.0),
    decay_rate=0.2,
    weight_decay=4e-4,
    sgld_steps=10,
    sgld_noise=0.0,
    sgld_clip=1.0,
    sgld_clamp=1.0,
    start="gaussians",
)
_SADA_JEM = replace(
    _JEM_PP,
    epochs=200,
    held_out=0,
    augment_density=False,
    input_noise=0.0,
    decay_epochs=(60.0, 120.0, 180.0),
    weight_decay=5e-4,
    sharpness=2.0,
    sgld_steps=5,
)
PRESETS: Mapping[str, Recipe] = {
    "jem": Recipe(),
    "ce": Recipe(weight_x=0.0),
    "jem-paper": _PAPER,
    "jem-fast": replace(
        _PAPER,
        epochs=60,
        batch_size=256,
        energy_l2=1e-3,
        augment_density=False,
        learning_rate=3e-4,
        decay="cosine",
        clip_norm=1.0,
        ema=0.999,
        precision="bf16",
        sgld_steps=10,
        sgld_clip=1.0,
    ),
    "jem++": _JEM_PP,
    "sada-jem": _SADA_JEM,
    "eb-jdat": replace(
        _SADA_JEM,
        weight_robust=1.0,
        weight_neighbours=0.1,
        input_noise=0.03,
        learning_rate=0.01,
        decay_epochs=(50.0, 100.0, 150.0),
        sgld_steps=10,
        adversary="density",
        adversary_norm="linf",
        adversary_radius=8 / 255,
        adversary_steps=5,
        adversary_step_size=2 / 255,
    ),
    "dat": Recipe(
        weight_y_given_x=0.0,
        weight_robust=1.0,
        contrast="classes",
        batch_size=128,
        augment="crop_flip",
        augment_density=False,
        input_noise=0.0,
        optimiser="sgd",
        learning_rate=1e-3,
        weight_decay=5e-4,
        ema=0.999,
        precision="fp32",
        sgld_steps=40,
        sgld_step_size=0.2,
        sgld_noise=0.0,
        sgld_clamp=1.0,
        sgld_normalised=True,
        reinit=1.0,
        start="gaussians",
    ),
}
"""Recipes by name.

jem: for small images and networks. ce: the same as a plain classifier. jem-paper: the
defaults and the command of the paper's code. jem-fast: for 32-pixel images and minutes
on one GPU; half the chain, a clipped gradient, cosine decay, averaged weights.

jem++, sada-jem, eb-jdat and dat: from the commands and configurations of their authors'
code; docs/jem.md says what differs. No result of theirs has been reproduced.

- jem++: Yang and Ji, JEM++: Improved Techniques for Training JEM, ICCV 2021, arXiv
  2109.09032.
- sada-jem: Yang, Su and Ji, Towards Bridging the Performance Gaps of Joint Energy-Based
  Models, CVPR 2023, arXiv 2209.07959.
- eb-jdat: Jiang et al., Your Classifier Can Do More: Towards Bridging the Gaps in
  Classification, Robustness, and Generation, 2025, arXiv 2505.19459.
- dat: Yin et al., Joint Discriminative-Generative Modeling via Dual Adversarial
  Training, 2025, arXiv 2510.13872.
"""


def read_recipe(
    recipe: str | Path | Recipe, changes: Mapping[str, Any]
) -> tuple[Recipe, Mapping[str, Any]]:
    """Returns a recipe, and the whole card that it comes from, if any, else {}.

    Args:
        recipe: One of `PRESETS`, the path of a model's .json card, or a recipe itself.
        changes: Values of fields that differ.

    Raises:
        InputError: There is no such recipe or field, or a value does not fit its field.
    """
    card: Mapping[str, Any] = {}
    if isinstance(recipe, Recipe):
        base = recipe
    elif recipe in PRESETS:
        base = PRESETS[str(recipe)]
    else:
        base, card = _read_card(Path(recipe))
    return _checked({**asdict(base), **changes}) if changes else base, card


def _read_card(path: Path) -> tuple[Recipe, Mapping[str, Any]]:
    if path.suffix != ".json":
        raise InputError(
            f"{unknown('recipe', str(path), PRESETS)} A card ends in .json."
        )
    try:
        card = json.loads(path.read_bytes())
        if not isinstance(card["architecture"], dict):
            raise TypeError("no network")
        if not isinstance(card["trained_on"]["spec"], str):
            raise TypeError("no set")
        return _checked(card["recipe"]), card
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a card of `oodbench train`.") from error


def _checked(values: Mapping[str, Any]) -> Recipe:
    """Returns the recipe with the given values, whose types it checks."""
    kinds = get_type_hints(Recipe)
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in kinds:
            raise InputError(unknown("field of a recipe", name, kinds))
        given[name] = tuple(value) if isinstance(value, list) else value
        if not _is_of(given[name], kinds[name]):
            raise InputError(f"The recipe's {name} cannot be {value!r}.")
    return Recipe(**given)


def _is_of(value: object, kind: Any) -> bool:
    """Returns whether a value fits a field of this type."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(each, float) for each in value)
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return value in choices
    if value is None:
        return type(None) in choices
    wanted = next((c for c in choices if c is not type(None)), kind)
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted

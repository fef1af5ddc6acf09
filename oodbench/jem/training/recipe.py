"""Recipes: all settings of a training, by name, from a model's card, or one by one.

Nothing here needs torch, so that `oodbench train --help` can show every field with its
help text at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

if TYPE_CHECKING:
    from oodbench.jem.sampler import SGLD

Augment = Literal["none", "crop", "crop_flip"]
Decay = Literal["none", "cosine", "step"]
Optimiser = Literal["adam", "sgd"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Images are on the network's own scale, mostly [-1, 1].

    The loss is the sum of three terms with their weights, −log p(y|x), −log p(x) and
    −log p(x, y). The last two are the mean of log p over SGLD samples minus that over
    data. A weight of 0 leaves a term out; without the second and third the model is a
    plain classifier.

    Grathwohl et al., ICLR 2020, arXiv 1912.03263. The defaults suit small images and
    networks (`benchmarks/digits_recipe.py`); `PRESETS` has the paper's.

    Raises:
        InputError: A value is out of its range.
    """

    weight_y_given_x: Annotated[float, "Weight of −log p(y|x), the cross-entropy."] = (
        1.0
    )
    weight_x: Annotated[float, "Weight of −log p(x); 0 trains a plain classifier."] = (
        1.0
    )
    weight_xy: Annotated[float, "Weight of −log p(x, y)."] = 0.0
    class_conditional: Annotated[
        bool, "Draw the samples for −log p(x) from p(x|y) with uniform y."
    ] = False
    energy_l2: Annotated[float, "Weight of the penalty log p(x)²."] = 0.0

    epochs: Annotated[float, "Passes over the training images."] = 80.0
    batch_size: Annotated[
        int, "Images per iteration and term of the loss, over all GPUs."
    ] = 64
    labels_per_class: Annotated[int, "Labels to use per class; 0 uses all."] = 0
    held_out: Annotated[
        int, "Training images to keep for validation if the set has no val split."
    ] = 0
    augment: Annotated[
        Augment, "crop: random crops, 4 pixels reflected at each border."
    ] = "none"
    augment_density: Annotated[
        bool, "Augment and noise the images of −log p(x) as well."
    ] = True
    input_noise: Annotated[
        float, "Standard deviation of Gaussian noise on all images."
    ] = 0.03

    optimiser: Annotated[Optimiser, "sgd has momentum 0.9."] = "adam"
    learning_rate: Annotated[float, "Learning rate after the warm-up."] = 1e-3
    warmup: Annotated[int, "Iterations of linear warm-up."] = 100
    decay: Annotated[Decay, "Schedule of the rate; cosine ends at 0."] = "none"
    decay_epochs: Annotated[tuple[float, ...], "Epochs of the step decay."] = (
        160.0,
        180.0,
    )
    decay_rate: Annotated[float, "Factor of each step of the step decay."] = 0.3
    weight_decay: Annotated[float, "L2 penalty on the weights."] = 0.0
    clip_norm: Annotated[
        float, "Largest norm of the gradient by the weights; 0 does not clip."
    ] = 0.0
    ema: Annotated[
        float, "Decay of the moving average of the weights; 0 does not average."
    ] = 0.99
    precision: Annotated[
        Precision, "Precision of the network; SGLD states and losses are fp32."
    ] = "fp32"

    sgld_steps: Annotated[int, "Steps of each chain per iteration."] = 20
    sgld_step_size: Annotated[float, "Factor of ∇ log p(x), for pixels in [-1, 1]."] = (
        1.0
    )
    sgld_noise: Annotated[
        float | None,
        "Standard deviation per step; coupled is √(2 · step size · temperature).",
    ] = 0.01
    sgld_temperature: Annotated[float, "Temperature of coupled noise."] = 1.0
    sgld_clip: Annotated[
        float | None, "Clip each entry of ∇ log p(x) to this magnitude."
    ] = None
    sgld_clamp: Annotated[float | None, "Clamp pixels to this magnitude."] = None
    buffer_size: Annotated[int, "Chains in the replay buffer, over all GPUs."] = 2000
    reinit: Annotated[float, "Probability that a chain restarts from noise."] = 0.05

    gap_limit: Annotated[
        float, "Training has diverged if log p(x) of data and samples differ by more."
    ] = 50.0
    snapshot_every: Annotated[
        int, "Iterations between the states that training can go back to."
    ] = 100
    most_rollbacks: Annotated[
        int, "Times that training may go back before it gives up."
    ] = 10
    seed: Annotated[int, "Seed of weights, order, noise and chains."] = 0

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name))
        if not (self.weight_y_given_x or self.weight_x or self.weight_xy):
            raise InputError("All weights of the loss are 0; set at least one.")

    @property
    def by_class(self) -> bool:
        """Whether chains belong to classes."""
        return bool(self.weight_xy or (self.weight_x and self.class_conditional))

    def sampler(self) -> SGLD:
        """Returns the sampler that each iteration uses."""
        from oodbench.jem.sampler import SGLD

        return SGLD(
            steps=self.sgld_steps,
            step_size=self.sgld_step_size,
            noise=self.sgld_noise,
            temperature=self.sgld_temperature,
            clip=self.sgld_clip,
            clamp=self.sgld_clamp,
        )

    def rate(self, iteration: int, per_epoch: int) -> float:
        """Returns the learning rate of an iteration, counted from 0.

        Args:
            iteration: Which one.
            per_epoch: Iterations of an epoch.
        """
        warm = min(1.0, (iteration + 1) / max(1, self.warmup))
        epoch = iteration / per_epoch
        factor = 1.0
        if self.decay == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        elif self.decay == "step":
            factor = self.decay_rate ** sum(epoch >= one for one in self.decay_epochs)
        return self.learning_rate * warm * factor


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


_POSITIVE = {"epochs", "batch_size", "learning_rate", "gap_limit", "snapshot_every"}
_SGLD = "sgld_"


def _check(name: str, value: object) -> None:
    """Checks the range of a field; the sampler checks its own."""
    if isinstance(value, tuple):
        for each in value:
            _check(name, each)
    if name.startswith(_SGLD) or isinstance(value, bool):
        return
    if not isinstance(value, int | float):
        return
    if name == "seed" and not 0 <= value < 2**63:
        raise InputError(f"The seed must be from 0 to 2^63 - 1, got {value}.")
    if name == "reinit" and not 0 <= value <= 1:
        raise InputError(f"The recipe's reinit must be from 0 to 1, got {value}.")
    if name == "ema" and not 0 <= value < 1:
        raise InputError(f"The recipe's ema must be from 0 to below 1, got {value}.")
    if name in _POSITIVE and not 0 < value < math.inf:
        raise InputError(f"The recipe's {name} must be positive, got {value}.")
    if not 0 <= value < math.inf:
        raise InputError(f"The recipe's {name} must be at least 0, got {value}.")


_PAPER = Recipe(
    epochs=200,
    held_out=5000,
    augment="crop_flip",
    learning_rate=1e-4,
    warmup=1000,
    decay="step",
    ema=0.0,
    buffer_size=10_000,
    seed=1,
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
}
"""Recipes by name.

jem: for small images and networks. ce: the same as a plain classifier. jem-paper: the
defaults and the command of the paper's code. jem-fast: for 32-pixel images and minutes
on one GPU; half the chain, a clipped gradient, cosine decay, averaged weights.
"""

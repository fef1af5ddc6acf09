"""What decides how a model is trained: the recipe, and some that are known to work.

Nothing here needs torch, so that the command line can offer a recipe's fields, with
what is said of them, as options without waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
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

    weight_y_given_x: Annotated[float, "Of −log p(y|x), the cross-entropy."] = 1.0
    weight_x: Annotated[float, "Of −log p(x); 0 trains a plain classifier."] = 1.0
    weight_xy: Annotated[float, "Of −log p(x, y)."] = 0.0
    class_conditional: Annotated[
        bool, "Samples for −log p(x) come from p(x|y), with y drawn uniformly."
    ] = False
    energy_l2: Annotated[float, "Of log p(x)², which keeps it near 0."] = 0.0

    epochs: Annotated[float, "Passes over the images, each in a new order."] = 80.0
    batch_size: Annotated[int, "Images of each term in an iteration, of all GPUs."] = 64
    labels_per_class: Annotated[int, "Labels that are used; 0 for all."] = 0
    held_out: Annotated[
        int, "Images kept for validation where the set has no val split."
    ] = 0
    augment: Annotated[Augment, "crop reflects 4 pixels at each border."] = "none"
    augment_density: Annotated[
        bool, "Whether images of −log p(x) are augmented and noised as well."
    ] = True
    input_noise: Annotated[float, "Deviation of Gaussian noise on all images."] = 0.03

    optimiser: Annotated[Optimiser, "sgd has momentum 0.9."] = "adam"
    learning_rate: Annotated[float, "After the warm-up."] = 1e-3
    warmup: Annotated[int, "Iterations in which the rate rises to it."] = 100
    decay: Annotated[Decay, "cosine ends at 0."] = "none"
    decay_epochs: Annotated[tuple[float, ...], "Of the step decay."] = (160.0, 180.0)
    decay_rate: Annotated[float, "Factor of each step."] = 0.3
    weight_decay: Annotated[float, "L2 on the weights."] = 0.0
    clip_norm: Annotated[float, "Longest gradient of the weights; 0 for any."] = 0.0
    ema: Annotated[float, "Averages the weights with this decay; 0 does not."] = 0.99
    precision: Annotated[Precision, "Of the network; states and losses are fp32."] = (
        "fp32"
    )

    sgld_steps: Annotated[int, "Of a chain in an iteration."] = 20
    sgld_step_size: Annotated[float, "On ∇ log p(x), pixels in [-1, 1]."] = 1.0
    sgld_noise: Annotated[
        float | None, "Deviation a step; coupled is √(2 · step size · temperature)."
    ] = 0.01
    sgld_temperature: Annotated[float, "Of coupled noise."] = 1.0
    sgld_clip: Annotated[float | None, "Largest entry of ∇ log p(x)."] = None
    sgld_clamp: Annotated[float | None, "Largest pixel."] = None
    buffer_size: Annotated[int, "Chains that are kept, of all GPUs."] = 2000
    reinit: Annotated[float, "Chance of a chain to begin anew."] = 0.05

    gap_limit: Annotated[
        float, "|log p(x) of data − of samples| from which training has diverged."
    ] = 50.0
    snapshot_every: Annotated[int, "Iterations between states to go back to."] = 100
    most_rollbacks: Annotated[int, "Training gives up at the next one."] = 10
    seed: Annotated[int, "Of weights, order, noise and chains."] = 0

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name))
        if not (self.weight_y_given_x or self.weight_x or self.weight_xy):
            raise InputError("All weights of the loss are 0; give one of them another.")

    @property
    def by_class(self) -> bool:
        """Whether chains belong to classes."""
        return bool(self.weight_xy or (self.weight_x and self.class_conditional))

    def sampler(self) -> SGLD:
        """Returns the sampler of an iteration."""
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


def read(values: Mapping[str, Any]) -> Recipe:
    """Returns the recipe that a card's JSON holds.

    Raises:
        InputError: A field is unknown or of another type.
    """
    kinds = get_type_hints(Recipe)
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in kinds:
            raise InputError(
                f"The recipe has no field {name!r}; it is of another version."
            )
        given[name] = tuple(value) if isinstance(value, list) else value
        if not _is_of(given[name], kinds[name]):
            raise InputError(f"The recipe's {name} cannot be {value!r}.")
    return Recipe(**given)


def _is_of(value: object, kind: Any) -> bool:
    """Tells whether a value may stand in a field of this type."""
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
    """Holds a field to its range; the sampler checks its own."""
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

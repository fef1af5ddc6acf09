"""A recipe: all settings of a training.

Nothing here needs torch, so that `oodbench train --help` can show every field with its
help text at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,
)

from oodbench.base.errors import InputError

if TYPE_CHECKING:
    from oodbench.jem.sampler import SGLD
    from oodbench.jem.training.adversary import Adversary

Augment = Literal["none", "crop", "crop_flip"]
Climb = Literal["cross_entropy", "density"]
Contrast = Literal["means", "classes"]
Decay = Literal["none", "cosine", "step"]
Norm = Literal["l2", "linf"]
Optimiser = Literal["adam", "sgd"]
Precision = Literal["auto", "fp32", "bf16"]
Start = Literal["noise", "gaussians"]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Images are on the network's own scale, mostly [-1, 1].

    The loss is the sum of three terms with their weights, −log p(y|x), −log p(x) and
    −log p(x, y). The last two are the mean of log p over SGLD samples minus that over
    data. A weight of 0 leaves a term out; without the second and third the model is a
    plain classifier. Two more terms are of adversarial images.

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
    contrast: Annotated[
        Contrast,
        "How −log p(x) compares data and samples: by the means of log p, or as two "
        "classes by binary cross-entropy.",
    ] = "means"
    weight_robust: Annotated[
        float, "Weight of the cross-entropy of adversarial images."
    ] = 0.0
    weight_neighbours: Annotated[
        float, "Weight of log p of adversarial images minus log p of data."
    ] = 0.0
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
    sharpness: Annotated[
        float, "Radius ρ of sharpness-aware steps, which take two passes; 0 for none."
    ] = 0.0
    sharpness_adaptive: Annotated[
        bool, "Whether large weights move further in sharpness-aware steps."
    ] = True
    ema: Annotated[
        float, "Decay of the moving average of the weights; 0 does not average."
    ] = 0.99
    precision: Annotated[
        Precision,
        "Precision of the network; SGLD states and losses are fp32. auto: bf16 where "
        "the processor multiplies it natively, else fp32.",
    ] = "auto"

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
    sgld_normalised: Annotated[bool, "Divide ∇ log p(x) by its norm."] = False
    buffer_size: Annotated[int, "Chains in the replay buffer, over all GPUs."] = 2000
    reinit: Annotated[float, "Probability that a chain starts again."] = 0.05
    start: Annotated[
        Start, "Where chains start: uniform noise, or Gaussians of the classes."
    ] = "noise"

    adversary: Annotated[
        Climb, "What adversarial images climb; density is log p(x, y)."
    ] = "cross_entropy"
    adversary_norm: Annotated[Norm, "Norm of their distance to images."] = "l2"
    adversary_radius: Annotated[float, "Largest distance, pixels in [-1, 1]."] = 1.0
    adversary_steps: Annotated[int, "Steps of the ascent."] = 10
    adversary_step_size: Annotated[float, "Length of each step."] = 0.2

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
        weights = self.weight_y_given_x, self.weight_x, self.weight_xy
        if not any((*weights, self.weight_robust)):
            raise InputError("All weights of the loss are 0; set at least one.")
        if self.weight_neighbours and not self.weight_x:
            raise InputError(
                "Adversarial neighbours are compared with the images of −log p(x); set "
                "a weight_x, or weight_neighbours 0."
            )

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
            normalised=self.sgld_normalised,
        )

    def attack(self) -> Adversary:
        """Returns what makes adversarial images of the labelled ones."""
        from oodbench.jem.training.adversary import Adversary

        return Adversary(
            climb=self.adversary,
            norm=self.adversary_norm,
            radius=self.adversary_radius,
            steps=self.adversary_steps,
            step_size=self.adversary_step_size,
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

"""The loss of one training iteration, and the numbers that the iteration reports."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from oodbench.jem.energy import log_p_xy, log_p_y_given_x, of_class
from oodbench.jem.training.chains import Ends
from oodbench.jem.training.recipe import Recipe
from oodbench.networks.result import Joint


class Step(NamedTuple):
    """Means over the images and samples of one iteration and over all processes."""

    iteration: int
    """Counted from 0."""
    loss: float
    cross_entropy: float
    accuracy: float
    """Of the training batch, in [0, 1]."""
    log_px: float
    """Of data; 0 without samples."""
    log_px_samples: float
    joint_gap: float
    """log p(x, y) of data minus that of samples; 0 without that term."""
    moved: float
    """Distance that a chain moved in this iteration, pixels in [-1, 1]."""
    outside: float
    """Share of the samples' pixels outside [-1, 1]."""
    classes: float
    """How many classes the samples are worth: exp of the entropy of their mean p(y|x);
    0 without samples."""
    rate: float
    """Learning rate."""

    @property
    def gap(self) -> float:
        """Log p(x) of data minus that of samples; near 0 in a stable run."""
        return self.log_px - self.log_px_samples


class Loss(NamedTuple):
    """The loss of one process, and its parts in the order of a `Step`."""

    total: Tensor
    """The value to minimise; like all others a scalar."""
    cross_entropy: Tensor
    accuracy: Tensor
    log_px: Tensor
    log_px_samples: Tensor
    joint_gap: Tensor
    moved: Tensor
    outside: Tensor
    classes: Tensor


class Contrast(NamedTuple):
    """log p of data and log p of samples, both up to log Z."""

    data: Tensor
    """`[N]`, or a single 0 where the term is left out."""
    samples: Tensor
    """`[M]`, or a single 0."""

    @property
    def gap(self) -> Tensor:
        """Mean over data minus mean over samples; it grows with the likelihood."""
        return self.data.mean() - self.samples.mean()

    @property
    def two_classes(self) -> Tensor:
        """Binary cross-entropy of data against samples, log p being the logit."""
        return (F.softplus(-self.data).mean() + F.softplus(self.samples).mean()) / 2

    @property
    def size(self) -> Tensor:
        """Mean square over data plus that over samples."""
        return self.data.square().mean() + self.samples.square().mean()


class Seen(NamedTuple):
    """The network's outputs on what one iteration learns from.

    The optional ones are None where the recipe has no term that needs them.
    """

    labelled: Joint
    """`[N, …]`."""
    data: Joint | None
    """On M images for −log p(x)."""
    samples: Joint | None
    """On M samples of p(x)."""
    samples_xy: Joint | None
    """On N samples of p(x|y) of the labels."""
    adversarial: Joint | None
    """On N adversarial images of the labelled ones."""


def loss_of(recipe: Recipe, seen: Seen, labels: Tensor, chains: Ends | None) -> Loss:
    """Returns the weighted sum of the recipe's terms.

    Args:
        recipe: The weights.
        seen: The network's outputs.
        labels: `[N]`, the classes of the labelled images.
        chains: Where the samples come from; None without samples.
    """
    nothing = seen.labelled.logits.new_zeros(1)
    log_p_y = log_p_y_given_x(seen.labelled)
    cross_entropy = -of_class(log_p_y, labels).mean()
    x = xy = Contrast(nothing, nothing)
    if seen.data is not None and seen.samples is not None:
        x = Contrast(seen.data.log_px, seen.samples.log_px)
    if seen.samples_xy is not None:
        both = seen.labelled, seen.samples_xy
        xy = Contrast(*(of_class(log_p_xy(one), labels) for one in both))
    total = recipe.weight_y_given_x * cross_entropy
    if recipe.weight_x:
        apart = x.two_classes if recipe.contrast == "classes" else -x.gap
        total = total + recipe.weight_x * apart
    if recipe.weight_xy:
        total = total - recipe.weight_xy * xy.gap
    if recipe.energy_l2:
        total = total + recipe.energy_l2 * (x.size + xy.size)
    if seen.adversarial is not None:
        robust = -of_class(log_p_y_given_x(seen.adversarial), labels).mean()
        neighbours = Contrast(x.data, seen.adversarial.log_px)
        total = total + recipe.weight_robust * robust
        total = total - recipe.weight_neighbours * neighbours.gap
    return Loss(
        total,
        cross_entropy,
        (log_p_y.argmax(1) == labels).float().mean(),
        x.data.mean(),
        x.samples.mean(),
        xy.gap,
        chains.moved if chains else nothing.mean(),
        chains.outside if chains else nothing.mean(),
        _classes(seen.samples or seen.samples_xy, nothing),
    )


@torch.no_grad()
def _classes(samples: Joint | None, nothing: Tensor) -> Tensor:
    if samples is None:
        return nothing.mean()
    shares = log_p_y_given_x(samples).exp().mean(0)
    return torch.special.entr(shares).sum().exp()

"""The loss of one training iteration, and the numbers that the iteration reports."""

from __future__ import annotations

from typing import NamedTuple

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


def loss_of(
    recipe: Recipe,
    labelled: Joint,
    labels: Tensor,
    *,
    x: Contrast | None,
    samples_xy: Tensor | None,
    adversarial: Joint | None,
    chains: Ends | None,
) -> Loss:
    """Returns the weighted sum of the recipe's terms.

    Args:
        recipe: The weights.
        labelled: The network's outputs on N labelled images.
        labels: `[N]`, their classes.
        x: log p(x) of data and samples; None without that term.
        samples_xy: `[N]`, log p(x, y) of samples of the same classes; None likewise.
        adversarial: The network's outputs on adversarial images of the labelled ones;
            None without such terms.
        chains: Where the samples come from; None without samples.
    """
    nothing = labelled.logits.new_zeros(1)
    log_p_y = log_p_y_given_x(labelled)
    cross_entropy = -of_class(log_p_y, labels).mean()
    x = x or Contrast(nothing, nothing)
    xy = Contrast(nothing, nothing)
    if samples_xy is not None:
        xy = Contrast(of_class(log_p_xy(labelled), labels), samples_xy)
    total = (
        recipe.weight_y_given_x * cross_entropy
        + recipe.weight_x * (x.two_classes if recipe.contrast == "classes" else -x.gap)
        - recipe.weight_xy * xy.gap
        + recipe.energy_l2 * (x.size + xy.size)
    )
    if adversarial is not None:
        robust = -of_class(log_p_y_given_x(adversarial), labels).mean()
        neighbours = Contrast(x.data, adversarial.log_px)
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
    )

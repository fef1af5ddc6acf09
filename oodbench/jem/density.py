"""A network's log p(x) and log p(x|y) as SGLD climbs them, on pixels in [-1, 1]."""

from __future__ import annotations

from torch import Tensor

from oodbench.jem.energy import Density, log_p_x_given_y, of_class
from oodbench.networks.network import Joint, Network


def log_density(network: Network, labels: Tensor | None = None) -> Density:
    """Returns log p(x), or log p(x|y) with equal p(y), up to a constant.

    It maps states `[N, C, H, W]`, pixels in [-1, 1] and beyond, to `[N]`. Gradients by
    states are half of those by pixels in [0, 1].

    Args:
        network: On the states' device.
        labels: `[N]`, the class y of each state; None for log p(x).
    """

    def density(states: Tensor) -> Tensor:
        result = network((states + 1) / 2)
        if labels is None:
            return result.log_px
        joint = Joint(result.logits, result.log_px)
        return of_class(log_p_x_given_y(joint), labels)

    return density

"""A classifier's logits read as energies.

A `Joint` holds logits f(x) `[N, K]` and unnormalised log p(x) `[N]`, which is
LogSumExp_y f(x)[y] in a conditional model and a head of its own in an unconditional
one. With log p(x, y) = log p(x) + log p(y|x), every identity holds in both. Whatever
contains p(x) is known up to log Z, a constant that is the same for all images.

Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is Secretly an
Energy Based Model and You Should Treat it Like One, ICLR 2020, arXiv 1912.03263.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from oodbench.networks.network import Network
from oodbench.networks.result import Joint

Density = Callable[[Tensor], Tensor]
"""Maps images `[N, …]` to one number each, `[N]`, such as log p(x)."""


def to_states(pixels: Tensor) -> Tensor:
    """Returns pixels in [0, 1] as SGLD states, which are pixels in [-1, 1]."""
    return 2 * pixels - 1


def to_pixels(states: Tensor) -> Tensor:
    """Returns SGLD states in [-1, 1] as pixels in [0, 1]; neither is clamped.

    A gradient by states is half of the gradient by pixels.
    """
    return (states + 1) / 2


def log_density(network: Network, labels: Tensor | None = None) -> Density:
    """Returns log p(x) as a function of states, or log p(x|y) with equal p(y).

    Both are known up to a constant. The function maps states `[N, C, H, W]`, pixels in
    [-1, 1] and beyond, to `[N]`.

    Args:
        network: On the states' device.
        labels: `[N]`, the class y of each state; None for log p(x).
    """

    def density(states: Tensor) -> Tensor:
        result = network(to_pixels(states))
        if labels is None:
            return result.log_px
        joint = Joint(result.logits, result.log_px)
        return of_class(log_p_x_given_y(joint), labels)

    return density


def log_p_y_given_x(joint: Joint) -> Tensor:
    """Returns log p(y|x) = log softmax f(x), `[N, K]`."""
    return joint.logits.log_softmax(1)


def log_p_x(joint: Joint) -> Tensor:
    """Returns log p(x) + log Z, `[N]`."""
    return joint.log_px


def log_p_xy(joint: Joint) -> Tensor:
    """Returns log p(x, y) + log Z, `[N, K]`; in a conditional model f(x) itself."""
    return joint.log_px[:, None] + log_p_y_given_x(joint)


def log_p_x_given_y(joint: Joint, log_p_y: Tensor | None = None) -> Tensor:
    """Returns log p(x|y) = log p(x, y) − log p(y), `[N, K]`, up to log Z.

    Args:
        joint: The model's output.
        log_p_y: `[K]`, log prior of the classes; None for equal priors.
    """
    classes = joint.logits.shape[1]
    if log_p_y is None:
        log_p_y = joint.logits.new_full((classes,), 1 / classes).log()
    return log_p_xy(joint) - log_p_y


def free_energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Returns E(x; T) = −T · LogSumExp_y(f(x)[y] / T), `[N]`, from logits `[N, K]`.

    At T = 1 it is the E(x) of a conditional model.
    """
    return -temperature * (logits / temperature).logsumexp(1)


def of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Returns the value of each image's class, `[N]`, from `[N, K]`."""
    return values.gather(1, labels[:, None]).squeeze(1)


def gradient(density: Density, images: Tensor) -> Tensor:
    """Returns ∂ density / ∂ images in the shape of the images.

    It differentiates the sum over the batch. In evaluation mode no image influences
    another, so this gives the gradient of each image.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(density(images).sum(), images)
    return found

"""Adversarial images for training: projected gradient ascent from training images.

Madry, Makelov, Schmidt, Tsipras and Vladu, Towards Deep Learning Models Resistant to
Adversarial Attacks, ICLR 2018, arXiv 1706.06083.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.jem.energy import gradient, log_p_xy, log_p_y_given_x, of_class
from oodbench.jem.training.recipe import Climb, Norm
from oodbench.networks.result import Joint

TINY = 1e-10


@dataclass(frozen=True)
class Adversary:
    """Climbs −log p(y|x) or log p(x, y) within a ball around each image.

    All sizes are on the scale of pixels in [-1, 1], to which the images are clamped.
    There is no random start.
    """

    climb: Climb
    norm: Norm
    radius: float
    steps: int
    step_size: float

    def __call__(
        self, outputs: Callable[[Tensor], Joint], images: Tensor, labels: Tensor
    ) -> Tensor:
        """Returns the adversarial image of each image, `[N, …]`.

        Args:
            outputs: The network in evaluation mode.
            images: `[N, …]`.
            labels: `[N]`, their classes.
        """
        found = images

        def height(states: Tensor) -> Tensor:
            joint = outputs(states)
            if self.climb == "density":
                return of_class(log_p_xy(joint), labels)
            return -of_class(log_p_y_given_x(joint), labels)

        for _ in range(self.steps):
            found = found + self.step_size * self._direction(gradient(height, found))
            found = (images + self._inside(found - images)).clamp(-1, 1)
        return found

    def _direction(self, slope: Tensor) -> Tensor:
        return slope.sign() if self.norm == "linf" else slope / (_norm(slope) + TINY)

    def _inside(self, change: Tensor) -> Tensor:
        if self.norm == "linf":
            return change.clamp(-self.radius, self.radius)
        return change * (self.radius / (_norm(change) + TINY)).clamp(max=1)


def _norm(values: Tensor) -> Tensor:
    """Returns the Euclidean norm of each image, `[N, 1, …]`."""
    norms: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return norms.view(-1, *[1] * (values.ndim - 1))

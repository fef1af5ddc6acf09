"""Softmax probability with a temperature, after a step on one pixel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.detectors._odin import OneStepDetector


@dataclass
class IODIN(OneStepDetector):
    """log p − log(1 − p) with p = max_y softmax(f(x′)/T)_y, x′ from one pixel's step.

    It is ODIN, but only the one channel of one pixel that has the largest absolute
    gradient moves, by ε in the direction that raises p. Among equal ones the first
    moves. The parameters are those of `odin`, as in OpenOOD's configuration, which
    chooses among values by OOD validation images. Gradients are by pixels in [0, 1];
    OpenOOD compares those by normalised pixels, which are `std` of the channel times
    as large.

    Regmi, Going Beyond Conventional OOD Detection (ASCOOD), 2024, arXiv 2411.10794.
    """

    def direction(self, gradient: Tensor) -> Tensor:
        """Returns the sign of the largest gradient of each image, and 0 elsewhere."""
        flat = gradient.flatten(1)
        largest = flat.abs().argmax(1, keepdim=True)
        signs = flat.gather(1, largest).sign()
        return torch.zeros_like(flat).scatter(1, largest, signs).view_as(gradient)

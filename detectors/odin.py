"""Softmax probability with a temperature, after a small step on all pixels."""

from dataclasses import dataclass

from torch import Tensor

from oodbench.detectors._odin import OneStepDetector


@dataclass
class ODIN(OneStepDetector):
    """log p − log(1 − p) with p = max_y softmax(f(x′)/T)_y, x′ = x + ε · sign ∇ log p.

    The step raises the probability of the predicted class; it does so more for known
    images than for others. The score orders images exactly as p itself, which at
    T = 1000 differs from 1/K only in the last digits of float32.

    T = 1000 and ε = 0.0014 are those of the paper's code for CIFAR-10. The authors
    chose them by OOD validation images. ε is the step of a pixel in [0, 1], as in that
    code, and pixels may leave [0, 1]. A pixel without gradient stays, where that code
    moves it by ε. Other codes step by ε on normalised pixels.

    Liang, Li and Srikant, Enhancing the Reliability of Out-of-distribution Image
    Detection in Neural Networks, ICLR 2018, arXiv 1706.02690.
    """

    chosen_on = dict.fromkeys(("temperature", "epsilon"), "OOD validation images")

    def direction(self, gradient: Tensor) -> Tensor:
        """Returns the sign of the gradient."""
        return gradient.sign()

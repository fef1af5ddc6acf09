"""Lowest confidence on the way of small steps that lower it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from oodbench import Detector, Need, Outputs, Result
from oodbench.detectors._checks import check_at_least, check_temperature
from oodbench.scoring.probabilities import log_odds, neg_log_entropy


@dataclass(frozen=True)
class Confidence:
    """The score of one run of the network; higher is more confident."""

    base: str
    temperature: float

    FORMS: ClassVar = {"msp": log_odds, "entropy": neg_log_entropy}

    def __call__(self, result: Result | Outputs) -> Tensor:
        """Returns the confidence, `[N]`, float64."""
        return self.FORMS[self.base](result.logits.double() / self.temperature)


@dataclass
class PRO(Detector):
    """min_t s(x_t) over t = 0 … steps, with x_{t+1} = x_t − ε · sign ∇s(x_t).

    s is the confidence of the network. It falls faster on the way for unknown images
    than for known ones. It is the log odds of the most probable class (`msp`) or −log
    of the entropy (`entropy`) of softmax(f/T); both order images as the published
    scores, and their gradients have the same signs. The paper also has GEN as s, which
    is not offered.

    The defaults ε = 0.0003 and 3 steps are our choice, inside the range from which the
    paper's code chooses by OOD validation images. ε is in pixels in [0, 1] here and in
    normalised pixels there. Pixels may leave [0, 1]. It costs `steps` more runs of the
    network, and as many backward passes.

    Chen, Yeh, Mou and Gu, Leveraging Perturbation Robustness to Enhance
    Out-of-Distribution Detection, CVPR 2025, arXiv 2503.18784.
    """

    needs = Need.NETWORK | Need.INPUTS | Need.GRADIENT

    base: str = "msp"
    """The confidence s: `msp` or `entropy`."""
    temperature: float = 1.0
    """T > 0."""
    epsilon: float = 0.0003
    """The step of a pixel in [0, 1], at least 0."""
    steps: int = 3
    """At least 0; 0 for s of the image itself."""

    def __post_init__(self) -> None:
        if self.base not in Confidence.FORMS:
            raise ValueError(f"base must be msp or entropy, got {self.base!r}")
        check_temperature(self.temperature)
        check_at_least(self, epsilon=0, steps=0)
        self._confidence = Confidence(self.base, self.temperature)
        self.objectives = (self._confidence,) if self.steps else ()

    def score(self, batch: Outputs) -> Tensor:
        """Returns the lowest confidence, `[N]`."""
        lowest = self._confidence(batch)
        for step in range(1, self.steps + 1):
            direction = batch.gradient(self._confidence).sign()
            wanted = self.objectives if step < self.steps else ()
            batch = batch.run(batch.inputs - self.epsilon * direction, *wanted)
            lowest = torch.minimum(lowest, self._confidence(batch))
        return lowest

"""Maximum logit."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class MaxLogit(Detector):
    """max_y f(x)[y], unbounded.

    Hendrycks, Basart, Mazeika, Zou, Kwon, Mostajabi, Steinhardt and Song, Scaling
    Out-of-Distribution Detection for Real-World Settings, ICML 2022, arXiv 1911.11132.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the largest logit, `[N]`."""
        return batch.logits.amax(1)

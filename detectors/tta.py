"""Confidence over flipped and turned views of an image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.scoring.probabilities import log_odds


@dataclass
class TTA(Detector):
    """log p − log(1 − p) with p = max_y of the mean softmax over views of the image.

    Test-time augmentation, a baseline. The views are the image and its mirror image,
    and on request the image turned by 90, 180 and 270 degrees. With `average=logits`
    the mean is taken of the logits instead. With `score_of=agreement` the score is
    −mean_v KL(p_v ‖ p̄), which is 0 where all views have the same probabilities. No one
    paper is the source; the defaults are the smallest choice and are not tuned.
    Images whose views are all certain, and of different classes, nearly tie.

    Each view but the first costs one more run of the network.
    """

    needs = Need.NETWORK | Need.INPUTS

    rotations: bool = False
    """Whether to turn the image, too, which must be square then."""
    average: str = "probabilities"
    """What p̄ is the mean of: `probabilities` or `logits`."""
    score_of: str = "confidence"
    """`confidence` of the mean, or `agreement` of the views with it."""

    def __post_init__(self) -> None:
        if self.average not in ("probabilities", "logits"):
            raise ValueError(
                f"average must be probabilities or logits, got {self.average!r}"
            )
        if self.score_of not in ("confidence", "agreement"):
            raise ValueError(
                f"score_of must be confidence or agreement, got {self.score_of!r}"
            )

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds or the negative divergence, `[N]`.

        Raises:
            ValueError: Images to be turned are not square.
        """
        logits = torch.stack([batch.logits, *self._of_views(batch)]).double()
        views = logits.log_softmax(2)
        if self.average == "logits":
            mean = logits.mean(0).log_softmax(1)
        else:
            mean = views.logsumexp(0) - math.log(len(views))
        if self.score_of == "confidence":
            return log_odds(mean)
        divergence = (views.exp() * (views - mean)).sum(2).mean(0)
        return -divergence.clamp(min=0)  # below 0 by rounding alone

    def _of_views(self, batch: Outputs) -> list[Tensor]:
        """Returns the logits of all views but the image itself."""
        images = batch.inputs
        views = [images.flip(3)]
        if self.rotations:
            height, width = images.shape[2:]
            if height != width:
                raise ValueError(f"turned images must be square, not {height}x{width}")
            views += [images.rot90(turns, (2, 3)) for turns in (1, 2, 3)]
        return [batch.run(view.contiguous()).logits for view in views]

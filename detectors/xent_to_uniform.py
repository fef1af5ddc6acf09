"""Cross-entropy from the uniform distribution to the softmax."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class XentToUniform(Detector):
    """LogSumExp_y(f(x)[y]) − mean_y f(x)[y], which is −mean_y log p(y|x).

    It is the cross-entropy of the uniform distribution under p(y|x): how far the
    prediction is from knowing nothing. It has no parameters. Masked classes, whose
    logits are −∞, are left out.

    The score that Outlier Exposure's code offers besides MSP: Hendrycks, Mazeika and
    Dietterich, Deep Anomaly Detection with Outlier Exposure, ICLR 2019.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the cross-entropy in nats, `[N]`, at least log K."""
        log_p = batch.logits.double().log_softmax(1)
        is_open = log_p.isfinite()
        return -log_p.masked_fill(~is_open, 0).sum(1) / is_open.sum(1)

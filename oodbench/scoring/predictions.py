"""What a network predicts for images, and its losses where the labels are known."""

from __future__ import annotations

import torch
from torch import Tensor


def predict(logits: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
    """Returns class, probability and losses of each image, `[N]` each.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
        labels: `[N]`, numbers of the network's classes, if they are known; on any
            device.

    Returns:
        `predictions` and `confidences`, the most probable class and its probability;
        with labels also `nll` (−log p of the label in nats, ∞ for a masked one) and
        `brier` (squared distance to the label's one-hot vector, from 0 to 2).
    """
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    confidence, prediction = p.max(1)
    found = {"predictions": prediction, "confidences": confidence}
    if labels is not None:
        truth = labels.to(logits.device, non_blocking=True)
        one_hot = torch.nn.functional.one_hot(truth, p.shape[1])
        # Not a product with zeros, since 0 · (−∞) is no number.
        found["nll"] = -log_p.gather(1, truth[:, None])[:, 0]
        found["brier"] = (p - one_hot).square().sum(1)
    return found

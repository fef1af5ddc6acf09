"""What a network predicts for images, and its losses where the labels are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def predict(
    logits: Tensor, labels: NDArray[np.int64] | None = None
) -> dict[str, NDArray[Any]]:
    """Returns class, probability and losses of each image, `[N]` each.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
        labels: `[N]`, numbers of the network's classes, if they are known.

    Returns:
        `predictions` and `confidences`, the most probable class and its probability;
        with labels also `nll` (−log p of the label in nats, ∞ for a masked one) and
        `brier` (squared distance to the label's one-hot vector, from 0 to 2).
    """
    log_p = logits.double().log_softmax(1).cpu()
    p = log_p.exp()
    confidence, prediction = p.max(1)
    found = {"predictions": prediction, "confidences": confidence}
    if labels is not None:
        truth = torch.as_tensor(labels)
        one_hot = torch.nn.functional.one_hot(truth, p.shape[1])
        # Not a product with zeros, since 0 · (−∞) is no number.
        found["nll"] = -log_p.gather(1, truth[:, None])[:, 0]
        found["brier"] = (p - one_hot).square().sum(1)
    return {name: values.numpy() for name, values in found.items()}

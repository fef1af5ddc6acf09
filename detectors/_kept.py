"""The largest features of each image, which shapings keep."""

import torch
from torch import Tensor


def kept_count(size: int, percentile: float | Tensor) -> Tensor:
    """Returns how many of `size` features are above the percentile, at least 0."""
    below = torch.as_tensor(size * percentile / 100, dtype=torch.float64)
    return size - below.round()  # half to even, as in the papers' code


def is_kept(features: Tensor, percentile: float | Tensor) -> Tensor:
    """Returns which features `[N, D]` are among the largest of their image.

    Among equal features, those that come first are kept.

    Args:
        features: `[N, D]`.
        percentile: One for all images, or `[N, 1]`.
    """
    order = features.sort(dim=1, descending=True, stable=True).indices
    size = features.shape[1]
    ranks = torch.arange(size, device=features.device)
    kept = (ranks < kept_count(size, percentile)).expand_as(order)
    return torch.zeros_like(kept).scatter(1, order, kept)


def ratio(features: Tensor, percentile: float | Tensor) -> Tensor:
    """Returns Σ z / Σ of the largest z of each image, `[N, 1]`.

    Negative features count as 0, so that the ratio is at least 1; it is 1 for an image
    without positive features. The percentile is one for all images, or `[N, 1]`.
    """
    positive = features.clamp(min=0)
    whole = positive.sum(1, keepdim=True)
    largest = (positive * is_kept(positive, percentile)).sum(1, keepdim=True)
    return torch.where(largest > 0, whole / largest, torch.ones_like(whole))

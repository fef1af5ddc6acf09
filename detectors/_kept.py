"""The largest features of each image, which ASH, SCALE and LTS keep."""

import torch
from torch import Tensor


def kept_count(size: int, percentile: float) -> int:
    """Returns how many of `size` features are above the percentile, at least 0."""
    return size - round(size * percentile / 100)  # half to even, as in the papers' code


def is_kept(features: Tensor, percentile: float) -> Tensor:
    """Returns which features `[N, D]` are among the largest of their image.

    Among equal features, those that come first are kept.
    """
    order = features.sort(dim=1, descending=True, stable=True).indices
    kept = order[:, : kept_count(features.shape[1], percentile)]
    return torch.zeros_like(features, dtype=torch.bool).scatter(1, kept, value=True)


def ratio(features: Tensor, percentile: float) -> Tensor:
    """Returns Σ z / Σ of the largest z of each image, `[N, 1]`.

    Negative features count as 0, so that the ratio is at least 1; it is 1 for an image
    without positive features.
    """
    positive = features.clamp(min=0)
    whole = positive.sum(1, keepdim=True)
    largest = (positive * is_kept(positive, percentile)).sum(1, keepdim=True)
    return torch.where(largest > 0, whole / largest, torch.ones_like(whole))

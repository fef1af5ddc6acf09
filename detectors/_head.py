"""What detectors that compare features with the network's head share."""

import torch
from torch import Tensor, nn

from oodbench import Known, Outputs
from oodbench.scoring.fitting.statistics import classes

LEAST = 1e-12
"""Lengths that are divided by count as at least this."""


def weights(head: nn.Linear) -> Tensor:
    """Returns the head's weights, `[K, D]`, float64."""
    return head.weight.detach().double()


def logits_of(head: nn.Linear, features: Tensor) -> Tensor:
    """Returns head(features), `[…, K]`, float64."""
    found = features.double() @ weights(head).T
    return found if head.bias is None else found + head.bias.detach().double()


def gaps(batch: Outputs) -> tuple[Tensor, Tensor]:
    """Returns f_ĉ − f_c and ‖w_ĉ − w_c‖₂ for every class c, `[N, K]`, float64.

    Both are 0 for the predicted class ĉ.
    """
    logits, weight = batch.logits.double(), weights(batch.head)
    top = logits.argmax(1)
    drops = logits.gather(1, top[:, None]) - logits
    # Not by matrix products, which lose the digits of small distances.
    exact = "donot_use_mm_for_euclid_dist"
    return drops, torch.cdist(weight[top], weight, compute_mode=exact)


def check_classes(known: Known) -> None:
    """Raises ValueError if the network has one class, with nothing to compare."""
    if classes(known) < 2:
        raise ValueError("the network has one class, so there is no other to compare")

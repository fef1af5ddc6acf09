"""Scores of softmax probabilities in forms that do not saturate.

A confident network's probabilities round to 1, in float32 and in float64. The forms
here keep the order of the usual ones and never tie where those would differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

CERTAIN = 1e39
"""Where a probability is exactly 1 (one class, or all others masked): more than any
difference of two float32 logits, and still finite."""


def log_odds(logits: Tensor) -> Tensor:
    """Returns log p − log(1 − p) of the most probable class, `[N]`, float64.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
    """
    away, top = _below_top(logits)
    others = away.scatter(1, top, -torch.inf)
    return -others.logsumexp(1).clamp(min=-CERTAIN)


def neg_log_entropy(logits: Tensor) -> Tensor:
    """Returns −log H of the probabilities, H in nats, `[N]`, float64.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
    """
    away, top = _below_top(logits)
    others = away.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    # −log p of the top class is s = log(1 + exp(others)); of class k it is s − away.
    s = others.clamp(min=-_TINY).exp().log1p()
    log_s = torch.where(others < -_TINY, others, s.log())
    is_masked = away == -torch.inf
    rest = s - away.masked_fill(is_masked, -1)
    terms = (rest.log() - rest).masked_fill(is_masked, -torch.inf)
    terms = terms.scatter(1, top, log_s - s)  # log(p · −log p) of each class
    return -terms.logsumexp(1).clamp(min=-CERTAIN)


_TINY = 40.0
"""From exp(-40) down, log(1 + x) is x in float64."""


def _below_top(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns logits minus the largest, `[N, K]`, and the place of that, `[N, 1]`."""
    logits = logits.double()
    largest, top = logits.max(1, keepdim=True)
    return logits - largest, top

"""Softmax probabilities and what is left of them, as logarithms."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def log_p(logits: Tensor) -> Tensor:
    """Returns ln p of each class, `[N, K]`, float64.

    That of the largest is exact where p rounds to 1, so that −expm1 of it is 1 − p.
    """
    largest, top = logits.double().max(1, keepdim=True)
    away = logits.double() - largest
    others = away.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    return away - softplus(others)


def log_p_and_rest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ln p and ln(1 − p) of every class, each `[N, K]`, float64.

    1 − p of the most probable class is summed from the others, so that it does not
    round to 0.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
    """
    known = log_p(logits)
    top = logits.argmax(1, keepdim=True)
    others = known.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    rest = known.exp().neg().log1p()
    return known, rest.scatter(1, top, others.clamp(max=0))


def log_gen_terms(logits: Tensor, gamma: float, top: int) -> Tensor:
    """Returns γ ln(p (1 − p)) of the `top` most probable classes, `[N, min(top, K)]`.

    The sum of their exponentials is the generalised entropy of GEN.
    """
    known, rest = log_p_and_rest(logits)
    largest, places = known.topk(min(top, known.shape[1]))
    return gamma * (largest + rest.gather(1, places))

"""Softmax probabilities and what is left of them, as logarithms."""

import torch
from torch import Tensor


def log_p_and_rest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ln p and ln(1 − p) of every class, each `[N, K]`, float64.

    1 − p of the most probable class is summed from the others, so that it does not
    round to 0.

    Args:
        logits: `[N, K]`; −∞ for classes that are masked.
    """
    logits = logits.double()
    log_p = logits.log_softmax(1)
    top = logits.argmax(1, keepdim=True)
    others = log_p.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    rest = log_p.exp().neg().log1p()
    return log_p, rest.scatter(1, top, others.clamp(max=0))


def check_variant(variant: str, known: tuple[str, ...]) -> None:
    """Raises ValueError if a variant is not a known one."""
    if variant not in known:
        raise ValueError(f"variant must be {' or '.join(known)}, got {variant!r}")


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless a temperature is positive and finite."""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive, got {temperature}")

"""Checks that a network is a function of one image and returns logits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.networks.network import Network

MOST = 16
"""Images that are run; random and batch-dependent networks show it on few."""
_ALONE = 2
# Of the spread of the logits. Batches of another size are summed in another order,
# which changes logits by 1e-5 of it in float32 and by 3e-2 in bfloat16.
_TOLERANCE = {"fp32": 1e-2, "tf32": 3e-2, "bf16": 2e-1}
_ROUNDING = {
    "fp32": 1e-5,
    "tf32": 3e-3,
    "bf16": 2e-2,
}  # of the largest logit, if all lie far off 0


@torch.no_grad()
def check_network(network: Network, pixels: Tensor) -> list[str]:
    """Runs a network on some images, twice and in other batches.

    Args:
        network: The network.
        pixels: Real images `[N, C, H, W]` in [0, 1] on the network's device; the first
            `MOST` are used.

    Returns:
        One sentence for each way in which its outputs do not look like logits.

    Raises:
        InputError: The logits are NaN, random, or depend on the other images.
    """
    pixels = pixels[:MOST]
    devices = [network.device] if network.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # a random network draws from the global one
        first = _logits(network, pixels)
        again = _logits(network, pixels)
        _check_values(network, first)
        _check_equal(
            network,
            first,
            again,
            "for the same images a second time; dropout or sampling stays on in "
            "evaluation, so that no number can be reproduced. Turn it off, as "
            "F.dropout(..., training=self.training) does.",
        )
        for rows, logits in _in_other_batches(network, pixels):
            _check_equal(
                network,
                first[rows],
                logits,
                "for the same images in another batch; it uses statistics of the "
                "batch, so that the scores would depend on the batch size. Make each "
                "image's logits depend on that image alone.",
            )
    return [f"The network {network.name!r} {each}" for each in _oddities(first)]


def _logits(network: Network, pixels: Tensor) -> Tensor:
    return network(pixels).logits.double().cpu()


def _in_other_batches(
    network: Network, pixels: Tensor
) -> Iterator[tuple[list[int], Tensor]]:
    """Yields the rows of images, and their logits from another batch."""
    count = len(pixels)
    for row in range(min(_ALONE, count)):
        try:
            yield [row], _logits(network, pixels[row : row + 1])
        except InputError:
            raise
        except Exception as error:  # other people's code
            raise InputError(
                f"The network {network.name!r} fails on one image alone "
                f"({type(error).__name__}); it must not need others."
            ) from error
    # Inverted images are far from the real ones, as their statistics are.
    half = list(range((count + 1) // 2))
    batch = torch.cat([pixels[half], 1 - pixels[half]])
    yield half, _logits(network, batch)[: len(half)]


def _check_values(network: Network, logits: Tensor) -> None:
    """Refuses NaN and +inf; -inf is the logit of a class that is masked."""
    if logits.isnan().any() or (logits == torch.inf).any():
        raise InputError(
            f"The network {network.name!r} returns NaN or infinite logits for real "
            "images; check its weights and the normalisation (--mean, --std)."
        )
    if (logits == -torch.inf).all(1).any():
        raise InputError(
            f"The network {network.name!r} returns -inf for all classes of an image."
        )


def _check_equal(network: Network, one: Tensor, other: Tensor, which: str) -> None:
    finite = one.isfinite() & other.isfinite()
    differs = bool((one.isfinite() != other.isfinite()).any())
    values = one[finite]
    spread = float(values.max() - values.min())
    allowed = _TOLERANCE[network.precision] * spread
    allowed += _ROUNDING[network.precision] * float(values.abs().max())
    largest = float((values - other[finite]).abs().max())
    if differs or largest > allowed:
        raise InputError(
            f"The network {network.name!r} returns other logits (by up to "
            f"{largest:.2g}) {which}"
        )


def _oddities(logits: Tensor) -> Iterator[str]:
    """Yields what is odd about the logits of several images."""
    count, classes = logits.shape
    if count < 2:
        return
    if (logits == logits[0]).all():
        yield f"returns the same logits for all of {count} images."
        return
    if classes > 1 and (logits == logits[:, :1]).all():
        yield "returns equal logits for all classes of each image."
        return
    total = logits.sum(1)
    is_share = bool(((logits >= 0) & (logits <= 1)).all())
    if is_share and torch.allclose(total, torch.ones_like(total), atol=1e-3):
        yield (
            "returns probabilities (they sum to 1), not logits: a second softmax makes "
            "NLL, Brier, ECE, energy and entropy wrong. Return what comes before its "
            "softmax."
        )
    elif is_share and _is_binary(logits):
        yield (
            "returns one value between 0 and 1, probably a probability and not a "
            "logit. Return what comes before its sigmoid."
        )
    elif is_share and classes > 2:
        yield (
            "returns values between 0 and 1 only, as a sigmoid does; logits have no "
            "such bounds. Return what comes before its sigmoid."
        )
    elif _is_normalised(logits):
        yield (
            "returns log-probabilities (their LogSumExp is 0), so that energy and "
            "log p(x) of its logits are 0 for all images. Return what comes before its "
            "log-softmax."
        )


def _is_binary(logits: Tensor) -> bool:
    """Returns whether these are the logits (0, f) of a network with one logit f."""
    return logits.shape[1] == 2 and not logits[:, 0].any()


def _is_normalised(logits: Tensor) -> bool:
    total = logits.logsumexp(1)
    return bool((total.abs() < 1e-3).all()) and bool((logits <= 0).all())

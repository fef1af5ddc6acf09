"""Follows chains from noise and from data, for the question whether they mix.

Samples of short chains may look right although log p(x) of long ones goes elsewhere:
Nijkamp, Hill, Han, Zhu and Wu, On the Anatomy of MCMC-Based Maximum Likelihood Learning
of Energy-Based Models, AAAI 2020, arXiv 1903.12370.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.progress import Tell, silent
from oodbench.jem.energy import log_density
from oodbench.jem.sampler import SGLD, ChainNoise
from oodbench.networks.network import Network
from oodbench.scoring.batches import Batches

PIXELS = 64
"""Most pixels of which all states are kept."""


class Traces(NamedTuple):
    """Chains at all steps from 0 to T, on the host."""

    log_px: Tensor
    """`[M, T + 1]`, unnormalised."""
    pixels: Tensor
    """`[M, T + 1, P]`, evenly spread pixels, in [-1, 1] and beyond."""
    ends: Tensor
    """`[M, C, H, W]`, the last states."""


def trace(
    network: Network,
    sampler: SGLD,
    starts: Tensor,
    *,
    seed: int = 0,
    batches: Batches,
    tell: Tell = silent,
) -> Traces:
    """Runs chains on log p(x), and keeps log p(x) and some pixels of all states.

    Up to rounding, chain i depends only on its start, the seed and i.

    Args:
        network: On its device.
        sampler: The dynamics.
        starts: `[M, C, H, W]`, the first states, on the host.
        seed: At least 0.
        batches: How many chains run at once.
        tell: Receives the states done, `M * (sampler.steps + 1)` in all.

    Raises:
        InputError: Chains run away, or memory runs out.
    """
    size = starts[0].numel()
    kept = torch.linspace(0, size - 1, min(size, PIXELS)).round().long()
    density = log_density(network)

    def run(first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        noise = ChainNoise(seed, range(first, last))
        state = start = starts[first:last].to(network.device)
        energies, pixels = [], []
        for state in itertools.chain([start], sampler.chain(density, start, noise)):
            with torch.no_grad():
                energies.append(density(state).cpu())
            pixels.append(state.flatten(1).cpu()[:, kept])
            tell(len(state))
        return torch.stack(energies, 1), torch.stack(pixels, 1), state.cpu()

    parts = batches.run(run, len(starts))
    found = Traces(*(torch.cat(each) for each in zip(*parts, strict=True)))
    if not all(each.isfinite().all() for each in found):
        raise InputError(
            "Some chains have values that are not finite; lower --step-size, or use "
            "--clip or --clamp."
        )
    return found

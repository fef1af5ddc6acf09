"""Random numbers of a training run: its own generators, and the global ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

GLOBAL = 1 << 32
"""Distinguishes the streams of the global generators from a run's own."""


def generator(device: torch.device, *stream: int) -> torch.Generator:
    """Returns random numbers of a stream, far from those of all others."""
    (seed,) = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed))


def fresh(device: torch.device, *stream: int) -> list[Tensor]:
    """Returns states for the global generators, on the CPU and on a GPU."""
    places = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
    return [generator(place, *stream, GLOBAL).get_state() for place in places]


def read(device: torch.device) -> list[Tensor]:
    """Returns the states of the global generators."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def write(states: list[Tensor]) -> None:
    """Sets the global generators; a GPU's is that of the current device."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1])

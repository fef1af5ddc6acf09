"""Draws samples from p(x) or p(x|y) of a network by SGLD chains."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.progress import Tell, silent
from oodbench.jem.energy import Density, log_density
from oodbench.jem.sampler import SGLD, ChainNoise
from oodbench.networks.checkpoint import weights_file
from oodbench.networks.hardware import first_batch_size
from oodbench.networks.network import Network
from oodbench.scoring.batches import Batches

FILMED, FRAMES = 8, 10
"""Chains on a film, and the largest number of their states on it."""


class Film(NamedTuple):
    """States of the first chains at some of their steps."""

    steps: tuple[int, ...]
    """`[T]`, from 0 to the last step, geometrically spaced."""
    states: Tensor
    """`[R, T, C, H, W]`, of R chains."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The last states of SGLD chains, on the host."""

    states: Tensor
    """`[N, C, H, W]`, pixels in [-1, 1] and beyond, unless clamped."""
    labels: Tensor | None
    """`[N]`, the y of each chain on log p(x|y); None for chains on log p(x)."""
    film: Film


def draw_samples(
    network: Network,
    sampler: SGLD,
    count: int,
    *,
    seed: int = 0,
    classes: Sequence[int] = (),
    starts: Tensor | None = None,
    batches: Batches | None = None,
    tell: Tell = silent,
) -> Samples:
    """Runs `count` chains. Up to rounding, chain i depends only on the seed and i.

    Args:
        network: On its device.
        sampler: The dynamics.
        count: The number of chains.
        seed: At least 0.
        classes: Chain i samples p(x|y) of class i modulo their number; none for p(x).
        starts: `[count, C, H, W]`, the first states; None for U(-1, 1).
        batches: How many chains run at once; by default as many as mostly fit in
            memory.
        tell: Receives the steps done, `count * sampler.steps` in all.

    Raises:
        InputError: The network lacks a class, chains run away, or memory runs out.
    """
    labels = _labels(classes, count, network, sampler)
    steps = film_steps(sampler.steps)
    batches = batches or Batches(first_batch_size(network.shape, network.device))

    def run(first: int, last: int) -> tuple[Tensor, Tensor]:
        noise = ChainNoise(seed, range(first, last))
        like = torch.empty(last - first, *network.shape)
        start = noise.uniform(like) if starts is None else starts[first:last]
        own = None if labels is None else labels[first:last].to(network.device)
        density, start = log_density(network, own), start.to(network.device)
        ends, frames = _run(sampler, density, start, noise, steps, tell)
        return ends, frames[: max(0, FILMED - first)]

    ends, films = zip(*batches.run(run, count), strict=True)
    return Samples(torch.cat(ends), labels, Film(steps, torch.cat(films)))


def film_steps(steps: int) -> tuple[int, ...]:
    """Returns the steps that a film of `steps` steps shows.

    >>> film_steps(400)
    (0, 1, 2, 4, 9, 20, 42, 89, 189, 400)
    """
    if not steps:
        return (0,)
    spaced = np.geomspace(1, steps, FRAMES - 1).round().astype(int)
    return (0, *np.unique(spaced).tolist())


def read_buffer(path: Path, network: Network) -> Tensor:
    """Returns a JEM checkpoint's replay buffer, `[N, C, H, W]`, states in [-1, 1].

    Raises:
        InputError: The file has none, or its states do not fit the network.
    """
    content = weights_file.read(path).content
    buffer = content.get("replay_buffer") if isinstance(content, Mapping) else None
    if not isinstance(buffer, Tensor):
        raise InputError(
            f"{path} has no replay buffer; a JEM's training checkpoint has one under "
            "the key 'replay_buffer'. Use --start noise."
        )
    if tuple(buffer.shape[1:]) != network.shape or not buffer.is_floating_point():
        raise InputError(
            f"The replay buffer of {path} is {buffer.dtype} {tuple(buffer.shape)}; "
            f"the network takes images {network.shape}."
        )
    return buffer.float()


def pick(buffer: Tensor, count: int, seed: int) -> Tensor:
    """Returns `count` different states of a buffer, chosen at random by the seed.

    Raises:
        InputError: The buffer has fewer, or holds values that are not finite.
    """
    if count > len(buffer):
        raise InputError(
            f"The replay buffer has only {len(buffer)} states for {count} chains; "
            "lower --count."
        )
    order = torch.randperm(len(buffer), generator=torch.Generator().manual_seed(seed))
    return _finite(buffer[order[:count]], "states of the replay buffer")


def _labels(
    classes: Sequence[int], count: int, network: Network, sampler: SGLD
) -> Tensor | None:
    if not classes:
        return None
    if not all(0 <= each < network.classes for each in classes):
        raise InputError(
            f"The classes of {network.name} are 0 to {network.classes - 1}, not "
            f"{', '.join(map(str, classes))}."
        )
    if not sampler.steps:
        raise InputError(
            "Chains without steps do not reach a class; raise --steps, or omit --class."
        )
    return torch.tensor(list(itertools.islice(itertools.cycle(classes), count)))


def _run(
    sampler: SGLD,
    density: Density,
    start: Tensor,
    noise: ChainNoise,
    filmed: Collection[int],
    tell: Tell,
) -> tuple[Tensor, Tensor]:
    """Returns the last states `[N, …]` of some chains and their film `[N, T, …]`."""
    frames, done = [start.cpu()], 0
    try:
        for step, state in enumerate(sampler.chain(density, start, noise), start=1):
            if step in filmed:
                frames.append(state.cpu())
            tell(len(state))
            done += len(state)
    except Exception:
        tell(-done)  # where memory ran out, smaller batches do these steps again
        raise
    # The last step is always on the film.
    return _finite(frames[-1], "chains"), torch.stack(frames, dim=1)


def _finite(states: Tensor, what: str) -> Tensor:
    lost = len(states) - int(states.isfinite().flatten(1).all(dim=1).sum())
    if lost:
        raise InputError(
            f"{lost} of {len(states)} {what} have values that are not finite; lower "
            "--step-size, or use --clip or --clamp."
        )
    return states

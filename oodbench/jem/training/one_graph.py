"""One SGLD step in one graph of torch.compile: its gradient and its update."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from oodbench.jem.sampler import SGLD, Noise
from oodbench.networks.compiled import compiling

LogP = Callable[[Tensor, Tensor | None], Tensor]
"""Maps states `[N, …]` to log p(x) `[N]`, or with classes `[N]` to log p(x|y)."""
Move = Callable[[Tensor, Tensor | None, Noise], Tensor]
"""Returns the states after one step from states, their classes or None, and noise."""


def one_graph(sampler: SGLD, log_p: LogP, device: torch.device) -> Move:
    """Returns the sampler's step, compiled for a device.

    The noise is drawn outside the graph, so that states are those of the sampler up to
    rounding. The first call compiles, and raises an InputError where that fails.
    """

    def moved(x: Tensor, labels: Tensor | None, drawn: Tensor) -> Tensor:
        slope = torch.func.grad(lambda states: log_p(states, labels).sum())(x)
        return sampler.step(x, slope, lambda like: drawn)

    # Graphs of earlier networks count against the few that one function may have.
    torch.compiler.reset()
    # On a GPU a step is too short to launch its kernels one by one.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    graph = torch.compile(moved, fullgraph=True, mode=mode)

    @torch.no_grad()
    def move(x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        drawn = noise(x) if sampler.deviation else x  # which no step reads
        with compiling("an SGLD step of this network into one graph"):
            # Each replay on a GPU writes its result to the same memory.
            torch.compiler.cudagraph_mark_step_begin()
            return graph(x, labels, drawn).clone()

    return move

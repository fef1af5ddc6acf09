"""Persistent SGLD chains on the log p(x) of a module in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oodbench.jem.energy import log_p_x, log_p_xy, of_class
from oodbench.jem.sampler import SGLD, shared_noise
from oodbench.jem.training.buffer import ReplayBuffer
from oodbench.networks.network import Joint, Precision, autocast


class Samples(NamedTuple):
    """Where chains came to."""

    states: Tensor
    """`[N, …]`."""
    moved: Tensor
    """Mean distance from where they started, a scalar."""
    outside: Tensor
    """Share of the pixels outside [-1, 1], a scalar."""


@dataclass
class Chains:
    """A module's chains, which go on where they stopped; nothing leaves the device."""

    module: nn.Module
    buffer: ReplayBuffer
    sampler: SGLD
    precision: Precision = "fp32"
    compiled: bool = False
    """Whether torch.compile makes log p(x) and its gradient."""

    def __post_init__(self) -> None:
        self._trainable = [one for one in self.module.parameters() if one.requires_grad]
        self._density = self._log_p
        if self.compiled:
            device = self.buffer.states.device
            # On a GPU a step is too short to launch its kernels one by one.
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            self._density = torch.compile(self._log_p, mode=mode)

    def run(self, count: int, labels: Tensor | None = None) -> Samples:
        """Takes the sampler's steps with `count` chains; frees the module again after.

        Args:
            count: How many chains.
            labels: `[count]`, the y of log p(x|y); None for log p(x).
        """
        # No image influences another, and no gradient is wanted of the weights.
        self.module.eval()
        self._free(False)
        start, places = self.buffer.draw(count, labels)
        noise = shared_noise(self.buffer.generator)
        states = self.sampler(lambda x: self._density(x, labels), start, noise)
        self._free(True)
        self.buffer.keep(states, places)
        return Samples(
            states,
            (states - start).flatten(1).norm(dim=1).mean(),
            (states.abs() > 1).float().mean(),
        )

    def _free(self, wanted: bool) -> None:
        for weight in self._trainable:
            weight.requires_grad_(wanted)

    def _log_p(self, states: Tensor, labels: Tensor | None) -> Tensor:
        with autocast(states.device, self.precision):
            joint = Joint.of(self.module(states))
        # At a fixed y, log p(x, y) and log p(x|y) have the same gradient.
        return log_p_x(joint) if labels is None else of_class(log_p_xy(joint), labels)

"""SGLD chains of a network in training, and the replay buffer that stores them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.jem.energy import gradient, log_p_x, log_p_xy, of_class
from oodbench.jem.sampler import SGLD, Noise, shared_noise
from oodbench.jem.training.one_graph import Move, one_graph
from oodbench.jem.training.starts import ANY, Start
from oodbench.networks.precision import Precision, autocast
from oodbench.networks.result import Joint


@dataclass
class ReplayBuffer:
    """Last states of chains, from which later iterations continue.

    A chain starts again with probability `reinit`. With labels, the places of class y
    begin at y · (size // classes). All states stay on the generator's device.

    Du and Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS
    2019, arXiv 1903.08689.

    Raises:
        InputError: There are fewer places than classes.
    """

    size: int
    start: Start
    reinit: float
    generator: torch.Generator
    classes: int = 1
    states: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size < self.classes:
            raise InputError(
                f"The buffer has {self.size} places for {self.classes} classes; give "
                "each at least one."
            )
        labels = torch.full((self.size,), ANY, device=self.generator.device)
        if self.classes > 1:
            block = self.size // self.classes
            kinds = torch.arange(self.classes, device=labels.device)
            labels[: block * self.classes] = kinds.repeat_interleave(block)
        self.states = self.start(labels, self.generator)

    def starts(self, count: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns `count` first states `[count, *shape]` and their places `[count]`.

        Args:
            count: How many chains.
            labels: `[count]`, the classes whose places to use; None for all places.
        """
        device = self.generator.device
        blocks = 1 if labels is None else self.classes
        if labels is None:
            labels = torch.full((count,), ANY, device=device)
        places = self._places(labels.clamp(min=0), blocks)
        anew = torch.rand(count, generator=self.generator, device=device) < self.reinit
        anew = anew.view(-1, *[1] * (self.states.ndim - 1))
        fresh = self.start(labels, self.generator)
        return torch.where(anew, fresh, self.states[places]), places

    def _places(self, labels: Tensor, blocks: int) -> Tensor:
        """Returns a place for each label in its block, all different if possible.

        On a GPU two chains written to one place would mix.
        """
        size = self.size // blocks
        order = torch.rand(
            blocks, size, generator=self.generator, device=labels.device
        ).argsort(1)
        kinds = torch.arange(blocks, device=labels.device)
        turn = (labels[:, None] == kinds).cumsum(0).gather(1, labels[:, None])[:, 0] - 1
        return labels * size + order[labels, turn % size]

    def keep(self, states: Tensor, places: Tensor) -> None:
        """Stores the last states of chains at their places."""
        self.states[places] = states


class Ends(NamedTuple):
    """The last states of chains."""

    states: Tensor
    """`[N, …]`."""
    moved: Tensor
    """Mean distance from their starts, a scalar."""
    outside: Tensor
    """Share of the pixels outside [-1, 1], a scalar."""


@dataclass
class Chains:
    """Chains on log p(x) of a module, from a buffer and back to it."""

    module: nn.Module
    buffer: ReplayBuffer
    sampler: SGLD
    precision: Precision = "fp32"
    compiled: bool = False
    """Whether torch.compile makes each step one graph."""

    def __post_init__(self) -> None:
        self._trainable = [one for one in self.module.parameters() if one.requires_grad]
        self._step: Move = self._step_of_torch
        if self.compiled:
            device = self.buffer.states.device
            self._step = one_graph(self.sampler, self._log_p, device)

    def run(self, count: int, labels: Tensor | None = None) -> Ends:
        """Returns the last states of `count` chains after the sampler's steps.

        The module is in evaluation mode afterwards.

        Args:
            count: How many chains.
            labels: `[count]`, the y of log p(x|y); None for log p(x).
        """
        # In evaluation mode no image influences another.
        self.module.eval()
        self._require_grad(False)
        start, places = self.buffer.starts(count, labels)
        noise = shared_noise(self.buffer.generator)
        states = start
        for _ in range(self.sampler.steps):
            states = self._step(states, labels, noise)
        self._require_grad(True)
        self.buffer.keep(states, places)
        return Ends(
            states,
            (states - start).flatten(1).norm(dim=1).mean(),
            (states.abs() > 1).float().mean(),
        )

    def _require_grad(self, wanted: bool) -> None:
        for weight in self._trainable:
            weight.requires_grad_(wanted)

    def _step_of_torch(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        slope = gradient(lambda states: self._log_p(states, labels), x)
        return self.sampler.step(x, slope, noise)

    def _log_p(self, states: Tensor, labels: Tensor | None) -> Tensor:
        with autocast(states.device, self.precision):
            joint = Joint.of(self.module(states))
        # At a fixed y, log p(x, y) and log p(x|y) have the same gradient.
        return log_p_x(joint) if labels is None else of_class(log_p_xy(joint), labels)

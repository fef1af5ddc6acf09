"""The replay buffer that keeps SGLD chains between training iterations."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench.base.errors import InputError


@dataclass
class ReplayBuffer:
    """Chains' last states, so that the next iteration goes on where this one stopped.

    A drawn chain begins anew from U(-1, 1) with probability `reinit`. With labels, the
    places of class y are those from y · size // classes on. All of it stays on the
    generator's device.

    Du and Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS
    2019, arXiv 1903.08689.

    Raises:
        InputError: There are fewer places than classes.
    """

    size: int
    shape: tuple[int, ...]
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
        self.states = self._fresh(self.size)

    def draw(self, count: int, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns `count` first states `[count, *shape]` and their places `[count]`.

        Args:
            count: How many chains.
            labels: `[count]`, from whose classes' places to draw; None for all places.
        """
        device = self.generator.device
        blocks = 1 if labels is None else self.classes
        if labels is None:
            labels = torch.zeros(count, dtype=torch.int64, device=device)
        places = self._places(labels, blocks)
        anew = torch.rand(count, generator=self.generator, device=device) < self.reinit
        anew = anew.view(-1, *[1] * len(self.shape))
        return torch.where(anew, self._fresh(count), self.states[places]), places

    def _places(self, labels: Tensor, blocks: int) -> Tensor:
        """Returns a place for each label in its block, none twice while there are any.

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
        """Writes the chains' last states back to their places."""
        self.states[places] = states

    def _fresh(self, count: int) -> Tensor:
        states = torch.empty(count, *self.shape, device=self.generator.device)
        return states.uniform_(-1, 1, generator=self.generator)

"""The replay buffer that keeps SGLD chains between training iterations."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ReplayBuffer:
    """Chains' last states, so that the next iteration goes on where this one stopped.

    A drawn chain begins anew from U(-1, 1) with probability `reinit`.

    Du and Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS
    2019, arXiv 1903.08689.
    """

    size: int
    shape: tuple[int, ...]
    reinit: float
    generator: torch.Generator
    states: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.states = self._fresh(self.size)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Returns `count` first states `[count, *shape]` and their places `[count]`."""
        device = self.generator.device
        places = torch.randint(
            self.size, (count,), generator=self.generator, device=device
        )
        anew = torch.rand(count, generator=self.generator, device=device) < self.reinit
        anew = anew.view(-1, *[1] * len(self.shape))
        return torch.where(anew, self._fresh(count), self.states[places]), places

    def keep(self, states: Tensor, places: Tensor) -> None:
        """Writes the chains' last states back to their places."""
        self.states[places] = states

    def _fresh(self, count: int) -> Tensor:
        states = torch.empty(count, *self.shape, device=self.generator.device)
        return states.uniform_(-1, 1, generator=self.generator)

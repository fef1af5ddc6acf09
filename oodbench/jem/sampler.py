"""Stochastic gradient Langevin dynamics (SGLD) on log p(x) or log p(x|y)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.jem.energy import Density, gradient

TINY = 1e-10
Noise = Callable[[Tensor], Tensor]
"""Returns independent N(0, 1) numbers in the shape and on the device of the states."""


@dataclass(frozen=True)
class SGLD:
    """x ← x + step_size · ∇ log p(x) + noise · n with n ~ N(0, I), `steps` times.

    States are pixels in [-1, 1], whatever the network's own scaling. The defaults are
    those of the JEM paper's code: Langevin dynamics at the temperature
    noise² / (2 · step_size) = 5e-5, nearly gradient ascent. `noise=None` couples the
    noise to the step as in eq. (3) of the paper, whose α is 2 · step_size.

    Grathwohl et al., ICLR 2020, arXiv 1912.03263; the dynamics are those of Welling and
    Teh, Bayesian Learning via Stochastic Gradient Langevin Dynamics, ICML 2011. A
    clipped gradient and clamped pixels are the proximal SGLD of Yang and Ji, JEM++:
    Improved Techniques for Training JEM, ICCV 2021, arXiv 2109.09032.

    Raises:
        InputError: A number is out of its range, or both a noise and a temperature
            are given.
    """

    steps: int = 20
    step_size: float = 1.0
    noise: float | None = 0.01
    """None for √(2 · step_size · temperature)."""
    temperature: float = 1.0
    """T > 0 of coupled noise: the chain draws from p(x)^(1/T)."""
    clamp: float | None = None
    """Pixels are clamped to [-clamp, clamp] after each step. At the border the gradient
    does not vanish, which makes ‖∇ log p(x)‖ useless as a score."""
    clip: float | None = None
    """Each entry of ∇ log p(x) is clipped to [-clip, clip]."""
    normalised: bool = False
    """Whether ∇ log p(x) is divided by its norm: all chains step equally far."""

    def __post_init__(self) -> None:
        limits = {"clamp": self.clamp, "clip": self.clip}
        if self.steps < 0:
            raise InputError(f"SGLD takes 0 steps or more, not {self.steps}.")
        if self.step_size < 0 or not math.isfinite(self.step_size):
            raise InputError(f"The SGLD step size {self.step_size} must be at least 0.")
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise InputError(f"The SGLD noise {self.noise} must be at least 0.")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"The temperature {self.temperature} must be positive.")
        if self.noise is not None and self.temperature != 1:
            raise InputError(
                "A temperature needs noise that is coupled to the step; the noise "
                f"{self.noise} already sets the temperature "
                f"{self.effective_temperature:g}."
            )
        for name, value in limits.items():
            if value is not None and not value > 0:
                raise InputError(f"The SGLD {name} must be positive, got {value}.")

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise of one step."""
        if self.noise is not None:
            return self.noise
        return math.sqrt(2 * self.step_size * self.temperature)

    @property
    def effective_temperature(self) -> float:
        """The T of p(x)^(1/T), from which chains with small steps draw."""
        if not self.step_size:
            return math.inf
        return self.deviation**2 / (2 * self.step_size)

    def __call__(self, density: Density, x: Tensor, noise: Noise) -> Tensor:
        """Returns the chains' last states.

        Args:
            density: Maps states to unnormalised log p `[N]`.
            x: The first states, `[N, …]`; not changed.
            noise: Gives the noise of each step.
        """
        x = x.detach().clone()
        for state in self.chain(density, x, noise):
            x = state
        return x

    def chain(self, density: Density, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yields the chains' states after each step."""
        x = x.detach()
        for _ in range(self.steps):
            x = self.step(x, gradient(density, x), noise)
            yield x

    def step(self, x: Tensor, slope: Tensor, noise: Noise) -> Tensor:
        """Returns the states after one step, given ∇ log p(x) there."""
        if self.clip is not None:
            slope = slope.clamp(-self.clip, self.clip)
        if self.normalised:
            norm = slope.flatten(1).norm(dim=1).clamp(min=TINY)
            slope = slope / norm.view(-1, *[1] * (slope.ndim - 1))
        x = x + self.step_size * slope
        if self.deviation:
            x = x + self.deviation * noise(x)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


def shared_noise(generator: torch.Generator) -> Noise:
    """Returns noise for all chains from one generator, which is fast."""
    return lambda like: torch.empty_like(like).normal_(generator=generator)


class ChainNoise:
    """Random numbers of chains, which depend only on the seed and the chain's number.

    Batch size, device and other chains have no influence.

    Args:
        seed: At least 0.
        chains: The numbers of the chains, at least 0, in the order of the states.
    """

    def __init__(self, seed: int, chains: Sequence[int]) -> None:
        self._streams = [np.random.default_rng([seed, int(one)]) for one in chains]

    def __call__(self, like: Tensor) -> Tensor:
        """Returns N(0, 1) numbers for the state of each chain, `[N, …]`."""
        shape = like.shape[1:]
        drawn = [each.standard_normal(shape, np.float32) for each in self._streams]
        return self._as(drawn, like)

    def uniform(self, like: Tensor) -> Tensor:
        """Returns U(-1, 1) numbers for the state of each chain, `[N, …]`."""
        shape = like.shape[1:]
        drawn = [2 * each.random(shape, np.float32) - 1 for each in self._streams]
        return self._as(drawn, like)

    @staticmethod
    def _as(drawn: list[np.ndarray], like: Tensor) -> Tensor:
        values = np.stack(drawn) if drawn else np.empty(like.shape, np.float32)
        return torch.from_numpy(values).to(like)

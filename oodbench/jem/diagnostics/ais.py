"""Bounds of log Z by annealed importance sampling (AIS), from below and from above.

Z is the integral of exp(log p(x)), as the network gives it, over all images with
pixels in [0, 1]: outside that box a JEM may have no finite integral. The uniform
density of the box has log p(x) = 0.

Neal, Annealed Importance Sampling, Statistics and Computing 2001. The moves are those
of Sohl-Dickstein and Culpepper, Hamiltonian Annealed Importance Sampling for Partition
Function Estimation, 2012; the bound from above is that of Grosse, Ghahramani and Adams,
Sandwiching the Marginal Likelihood Using Bidirectional Monte Carlo, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.progress import Tell, silent
from oodbench.jem.energy import Density
from oodbench.jem.sampler import ChainNoise

PILOTS, ACCEPTED = 16, 0.8
"""Chains that tune the step sizes, and the share of moves that shall be accepted."""
LONGEST, RATE = 1.0, 0.2
"""Largest step, and the logarithmic rate at which pilots change it."""
ERRORS = 3
"""Standard errors that the interval adds at either end."""


class Bound(NamedTuple):
    """An estimate of log Z that is too low, or too high, in the mean."""

    value: float
    error: float
    """Standard error, from the spread of the weights."""
    effective: float
    """How many equal weights they are worth, from 1 to the number of chains."""


class Bracket(NamedTuple):
    """log Z from below and from above."""

    lower: Bound
    upper: Bound
    accepted: float
    """Share of the moves that were accepted."""
    ends: Tensor
    """`[N, …]`, approximate samples of p(x): the forward chains' ends, resampled."""

    @property
    def interval(self) -> tuple[float, float]:
        """Both bounds with three standard errors at either end.

        Where the chains cannot follow the temperatures, the bounds lie far apart. The
        upper one is a bound as far as the way back begins at samples of p(x).
        """
        low, high = self.lower, self.upper
        return (
            min(one.value - ERRORS * one.error for one in (low, high)),
            max(one.value + ERRORS * one.error for one in (low, high)),
        )


@dataclass(frozen=True)
class AIS:
    """Anneals chains from uniform noise to p(x) and back.

    Chain i is moved through the densities p(x)^β, β from 0 to 1, by one Hamiltonian
    trajectory each. The chains are reflected at the border of the box.

    Raises:
        InputError: A number is below 1.
    """

    temperatures: int = 1000
    """Steps of β, which grows as their number's square."""
    leapfrogs: int = 3
    """Gradients per trajectory."""

    def __post_init__(self) -> None:
        if self.temperatures < 1 or self.leapfrogs < 1:
            raise InputError(
                "AIS takes 1 temperature and 1 leapfrog step or more, not "
                f"{self.temperatures} and {self.leapfrogs}."
            )

    def passes(self, count: int) -> int:
        """Returns how many chains' gradients `bracket` takes for `count` chains."""
        return (2 * count + PILOTS) * self.temperatures * self.leapfrogs

    def bracket(
        self,
        density: Density,
        like: Tensor,
        *,
        seed: int = 0,
        samples: Tensor | None = None,
        tell: Tell = silent,
    ) -> Bracket:
        """Returns bounds of log Z from as many chains as `like` has states.

        Args:
            density: Maps states, pixels in [-1, 1], to unnormalised log p(x) `[N]`.
            like: `[N, …]`, whose shape, type and device the chains have.
            seed: At least 0.
            samples: `[N, …]`, exact samples of p(x) from which to go back, if there are
                any; None for the ends of the forward chains.
            tell: Receives the gradients done, `passes(N)` in all.

        Raises:
            InputError: Weights are not finite.
        """
        count = len(like)
        # Chains of their own, so that the steps do not depend on what is measured.
        pilots = ChainNoise(seed, range(2 * count, 2 * count + PILOTS))
        start = pilots.uniform(like[:1].expand(PILOTS, *like.shape[1:]))
        tuned = _Annealing(density, start, pilots, self, tell)
        steps = [tuned.adapt(beta) for beta in self._betas()[1:]]
        noise = ChainNoise(seed, range(count))
        forward = _Annealing(density, noise.uniform(like), noise, self, tell)
        log_weights = forward.run(self._betas(), steps)
        lower = _bound(log_weights)
        ends = _resampled(forward.states, log_weights, seed)
        noise = ChainNoise(seed, range(count, 2 * count))
        start = ends if samples is None else samples
        back = _Annealing(density, start, noise, self, tell)
        upper = _bound(back.run(self._betas()[::-1], steps[::-1]))
        return Bracket(
            lower,
            upper._replace(value=-upper.value),
            (forward.accepted + back.accepted) / 2,
            ends,
        )

    def _betas(self) -> list[float]:
        count = self.temperatures
        return [(number / count) ** 2 for number in range(count + 1)]


class _Annealing:
    """Chains in the box, and log p(x) and its gradient at their states."""

    def __init__(
        self, density: Density, states: Tensor, noise: ChainNoise, ais: AIS, tell: Tell
    ) -> None:
        self.density, self.noise, self.ais, self.tell = density, noise, ais, tell
        self.states = states
        self.log_p, self.slope = self._measure(states)
        self.step = LONGEST
        self.accepted = 0.0
        """Mean share of accepted moves of `run`."""

    def run(self, betas: list[float], steps: Iterable[float]) -> Tensor:
        """Returns the log weights `[N]` of one way, from the first β to the last.

        Forward, a state is weighed before it is moved by the colder density; on the way
        back after that, which makes the ways each other's reversal.
        """
        log_weights = torch.zeros_like(self.log_p, dtype=torch.float64)
        shares = []
        for old, new, step in zip(betas, betas[1:], steps, strict=False):
            change, forward = new - old, new > old
            if forward:
                log_weights += change * self.log_p
            shares.append(self.move(max(old, new), step))
            if not forward:
                log_weights += change * self.log_p
        self.accepted = sum(shares) / len(shares)
        return log_weights

    def adapt(self, beta: float) -> float:
        """Moves the chains, and returns the step size to use at this β."""
        used = self.step
        accepted = self.move(beta, used)
        self.step = min(LONGEST, used * math.exp(RATE * (accepted - ACCEPTED)))
        return used

    def move(self, beta: float, step: float) -> float:
        """Moves each chain along a trajectory; returns the share that was accepted."""
        momentum = self.noise(self.states)
        before = beta * self.log_p - _half_square(momentum)
        states, log_p, slope = self.states, self.log_p, self.slope
        for _ in range(self.ais.leapfrogs):
            momentum = momentum + step / 2 * beta * slope
            states, momentum = reflected(states + step * momentum, momentum)
            log_p, slope = self._measure(states)
            momentum = momentum + step / 2 * beta * slope
        after = beta * log_p - _half_square(momentum)
        chance = (self.noise.uniform(before) + 1) / 2
        taken = chance.log() < after - before
        self.log_p = torch.where(taken, log_p, self.log_p)
        wide = taken.view(-1, *[1] * (states.ndim - 1))
        self.states = torch.where(wide, states, self.states)
        self.slope = torch.where(wide, slope, self.slope)
        self.tell(self.ais.leapfrogs * len(states))
        return float(taken.double().mean())

    def _measure(self, states: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            states = states.detach().requires_grad_(True)
            log_p = self.density(states)
            (slope,) = torch.autograd.grad(log_p.sum(), states)
        return log_p.detach(), slope


def reflected(states: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
    """Returns states beyond [-1, 1] reflected at its border, with their momentum.

    >>> reflected(torch.tensor([0.5, 1.25, -3.5]), torch.tensor([1.0, 2.0, -3.0]))
    (tensor([0.5000, 0.7500, 0.5000]), tensor([ 1., -2., -3.]))
    """
    place = (states + 1).remainder(4)
    return 1 - (place - 2).abs(), torch.where(place > 2, -momentum, momentum)


def _half_square(momentum: Tensor) -> Tensor:
    return momentum.flatten(1).square().sum(1) / 2


def _bound(log_weights: Tensor) -> Bound:
    if not log_weights.isfinite().all():
        raise InputError(
            "Some weights of AIS are not finite; log p(x) of the model is too large."
        )
    count = len(log_weights)
    shares = log_weights.softmax(0)
    effective = float(1 / shares.square().sum())
    return Bound(
        float(log_weights.logsumexp(0)) - math.log(count),
        math.sqrt(max(0.0, (count / effective - 1) / max(1, count - 1))),
        effective,
    )


def _resampled(states: Tensor, log_weights: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shares = log_weights.softmax(0).cpu()
    places = torch.multinomial(
        shares, len(shares), replacement=True, generator=generator
    )
    return states[places.to(states.device)]

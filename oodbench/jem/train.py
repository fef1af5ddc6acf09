"""Trains a classifier, by cross-entropy alone or as a joint energy-based model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.errors import InputError
from oodbench.jem.buffer import ReplayBuffer
from oodbench.jem.sampler import SGLD


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Images are on the network's own scale, mostly [-1, 1].

    The loss of a JEM is −log p(y|x) − log p(x), the second term by the difference of
    log p(x) on data and on SGLD samples, plus `energy_l2` · log p(x)², which keeps it
    near 0. Batch, sampler, reinit and noise are those of the JEM paper's code; the rest
    was chosen on digits (`benchmarks/digits_recipe.py`).

    Grathwohl et al., ICLR 2020, arXiv 1912.03263.
    """

    objective: Literal["jem", "ce"] = "jem"
    """ce is cross-entropy alone."""
    iterations: int = 1000
    batch_size: int = 64
    learning_rate: float = 1e-3
    """Of Adam, reached after a linear warm-up."""
    warmup: int = 100
    decay: Literal["cosine", "none"] = "none"
    """cosine goes to 0 at the last iteration."""
    input_noise: float = 0.03
    """Standard deviation of Gaussian noise on all images."""
    energy_l2: float = 0.0
    sampler: SGLD = field(default_factory=SGLD)
    buffer_size: int = 2000
    reinit: float = 0.05
    seed: int = 0

    def rate(self, iteration: int) -> float:
        """Returns the learning rate of an iteration, counted from 0."""
        warm = min(1.0, (iteration + 1) / max(1, self.warmup))
        if self.decay == "none":
            return self.learning_rate * warm
        return (
            self.learning_rate
            * warm
            * _half_cosine(iteration / max(1, self.iterations))
        )


class Progress(NamedTuple):
    """What one iteration shows."""

    iteration: int
    loss: float
    gap: float
    """log p(x) of data minus that of samples, means; 0 without a JEM."""


class Trainer:
    """One training run: everything that an iteration reads and changes."""

    def __init__(
        self, module: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe
    ) -> None:
        """Takes images `[N, …]` on the network's own scale and labels `[N]`."""
        self.module = module
        self.images = images
        self.labels = labels
        self.recipe = recipe
        self.generator = torch.Generator(images.device).manual_seed(recipe.seed)
        self.optimiser = torch.optim.Adam(module.parameters(), lr=0.0)
        self.buffer = ReplayBuffer(
            recipe.buffer_size, tuple(images.shape[1:]), recipe.reinit, self.generator
        )

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> None:
        """Trains for all iterations.

        Raises:
            InputError: The loss is no longer finite.
        """
        for iteration in range(self.recipe.iterations):
            self.optimiser.param_groups[0]["lr"] = self.recipe.rate(iteration)
            self.module.train()
            loss, gap = self._loss()
            if not math.isfinite(loss.item()):
                raise InputError(
                    f"Training diverged at iteration {iteration}: the loss is "
                    f"{loss.item()}. Lower the learning rate or the SGLD step size."
                )
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            tell(Progress(iteration, loss.item(), gap))
        self.module.eval()

    def _loss(self) -> tuple[Tensor, float]:
        images, labels = self._batch()
        cross_entropy = F.cross_entropy(self.module(images), labels)
        if self.recipe.objective == "ce":
            return cross_entropy, 0.0
        # As in the paper's code, log p(x) has a batch of its own.
        data = self._log_px(self._batch()[0])
        sample = self._log_px(self._sample())
        gap = data.mean() - sample.mean()
        size = data.square().mean() + sample.square().mean()
        return cross_entropy - gap + self.recipe.energy_l2 * size, gap.item()

    def _batch(self) -> tuple[Tensor, Tensor]:
        places = torch.randint(
            len(self.images),
            (self.recipe.batch_size,),
            generator=self.generator,
            device=self.images.device,
        )
        images = self.images[places]
        noise = torch.empty_like(images).normal_(generator=self.generator)
        return images + self.recipe.input_noise * noise, self.labels[places]

    def _sample(self) -> Tensor:
        self.module.eval().requires_grad_(False)
        start, places = self.buffer.draw(self.recipe.batch_size)
        states = self.recipe.sampler(self._log_px, start, self.generator)
        self.buffer.keep(states, places)
        self.module.train().requires_grad_(True)
        return states

    def _log_px(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images)
        return logits.logsumexp(1)


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))

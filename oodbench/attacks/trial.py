"""Attacks in rising balls, where what fell in a smaller one has fallen in a larger."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.attacks.objective import Attack, Kept, Objective
from oodbench.base.progress import Tell, silent
from oodbench.data.dataset import Shape
from oodbench.networks.hardware import first_batch_size, is_out_of_memory

logger = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """An attack, and what it believes that it attacks."""

    attack: Attack
    objective: Objective


@dataclass(frozen=True, eq=False)
class Level:
    """What attacks have reached in a ball, or in a smaller one, on the host."""

    eps: float
    gains: Mapping[str, Tensor]
    """By attack, `[N]`."""
    strongest: Kept
    """Of all attacks."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Attacks and the objective that judges them all.

    A perturbation counts by its gain under random numbers that no attacker has seen,
    the same ones whenever the same image is judged. No attack ends below the image
    itself, nor below what it reached in a smaller ball; where the objective knows a
    gain that is enough, it goes on only with the images that have not fallen to it.
    """

    judge: Objective
    attempts: Mapping[str, Attempt]
    seed: int = 0
    batch_size: int | None = None
    """Images that the network holds in memory at once; None for a size that mostly
    fits. It decides no result."""

    def run(
        self, images: Images, balls: Sequence[Ball], tell: Tell = silent
    ) -> list[Level]:
        """Returns what the attacks reach in each ball.

        Args:
            images: What is attacked.
            balls: Of one norm, in rising order.
            tell: Is told of the images done, by each attack in each ball.
        """
        size = self.batch_size or first_batch_size(
            Shape(*images.pixels.shape[1:]), images.pixels.device
        )
        objectives = [self.judge, *(each.objective for each in self.attempts.values())]
        room = max(1, size // max(each.copies for each in objectives))
        while True:
            try:
                parts = [self._run(part, balls, tell) for part in images.batches(room)]
                return [_merge(level) for level in zip(*parts, strict=True)]
            except Exception as error:
                if not is_out_of_memory(error) or room == 1:
                    raise
            # Outside the handler, which keeps what was allocated alive.
            room = max(1, min(room, len(images)) // 2)
            logger.warning("Out of memory; beginning anew with batches of %d.", room)
            if images.pixels.is_cuda:
                torch.cuda.empty_cache()

    @torch.no_grad()
    def judged(self, pixels: Tensor, images: Images) -> Tensor:
        """Returns the gains `[N]` of pixels `[N, C, H, W]` in the place of images."""
        return self.judge(pixels, images, images.noise(self.seed, "judge")).gain

    def _run(self, images: Images, balls: Sequence[Ball], tell: Tell) -> list[Level]:
        clean = self.judged(images.pixels, images)
        own = {name: Kept(images.pixels, clean) for name in self.attempts}
        levels = []
        for ball in balls:
            for name, attempt in self.attempts.items():
                if ball.eps:
                    self._go_on(own[name], attempt, images, ball)
                tell(len(images))
            strongest = Kept(images.pixels, clean)
            for kept in own.values():
                strongest.offer(kept.pixels, kept.gain)
            gains = {name: kept.gain.cpu() for name, kept in own.items()}
            strongest = Kept(strongest.pixels.cpu(), strongest.gain.cpu())
            levels.append(Level(ball.eps, gains, strongest))
        return levels

    def _go_on(self, own: Kept, attempt: Attempt, images: Images, ball: Ball) -> None:
        standing = own.standing(self.judge.enough)
        if len(standing):
            part, best = images[standing], own[standing]
            found = attempt.attack(attempt.objective, part, ball, self.seed)
            best.offer(found, self.judged(found, part))
            own[standing] = best


def _merge(levels: Sequence[Level]) -> Level:
    """Returns as one what was reached for some images after others."""
    return Level(
        levels[0].eps,
        {
            name: torch.cat([level.gains[name] for level in levels])
            for name in levels[0].gains
        },
        Kept(
            torch.cat([level.strongest.pixels for level in levels]),
            torch.cat([level.strongest.gain for level in levels]),
        ),
    )

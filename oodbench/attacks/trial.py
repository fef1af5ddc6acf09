"""Attacks in balls of rising radius, and a test for masked gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.attacks.objective import Attack, Kept, Objective
from oodbench.base.progress import Tell, silent
from oodbench.data.dataset import Shape
from oodbench.metrics.significance import SIGNIFICANCE, holm
from oodbench.networks.hardware import first_batch_size
from oodbench.scoring.batches import Batches

BLACK_BOX = frozenset({"square", "transfer"})
"""The attacks that use no gradient of their target."""


class Attempt(NamedTuple):
    """An attack and the objective that it optimises."""

    attack: Attack
    objective: Objective


@dataclass(frozen=True, eq=False)
class Level:
    """The results of all attacks in a ball and in all smaller ones, on the host."""

    eps: float
    gains: Mapping[str, Tensor]
    """By attack, `[N]`."""
    strongest: Kept
    """The best perturbation of each image over all attacks."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Runs attacks and judges all of them by one objective.

    A perturbation counts by its gain under random numbers that no attack has seen,
    the same ones whenever the same image is judged. The result of an attack is never
    worse than the clean image, nor than its own result in a smaller ball. Where the
    objective has a gain that is enough, images that have reached it are not attacked
    again.
    """

    judge: Objective
    attempts: Mapping[str, Attempt]
    seed: int = 0
    batch_size: int | None = None
    """Images in the network at once; None: by their size. It changes no result."""

    def run(
        self, images: Images, balls: Sequence[Ball], tell: Tell = silent
    ) -> list[Level]:
        """Returns the results of the attacks, one level per ball.

        Args:
            images: The images to attack.
            balls: Balls of one norm, in rising order.
            tell: Receives the number of images done, per attack and ball.

        Raises:
            InputError: Memory is too small for a single image.
        """
        size = self.batch_size or first_batch_size(
            Shape(*images.pixels.shape[1:]), images.pixels.device
        )
        objectives = [self.judge, *(each.objective for each in self.attempts.values())]
        room = max(1, size // max(each.copies for each in objectives))
        places = torch.arange(len(images), device=images.pixels.device)

        def attack(start: int, stop: int) -> list[Level]:
            return self._run(images[places[start:stop]], balls, tell)

        parts = Batches(room).run(attack, len(images))
        return [_merge(level) for level in zip(*parts, strict=True)]

    @torch.no_grad()
    def judged(self, pixels: Tensor, images: Images) -> Tensor:
        """Returns the gains `[N]` of perturbed pixels `[N, C, H, W]` of images."""
        return self.judge(pixels, images, images.noise(self.seed, "judge")).gain

    def _run(self, images: Images, balls: Sequence[Ball], tell: Tell) -> list[Level]:
        clean = self.judged(images.pixels, images)
        own = {name: Kept(images.pixels, clean) for name in self.attempts}
        levels = []
        for ball in balls:
            for name, attempt in self.attempts.items():
                if ball.eps:
                    self._improve(own[name], attempt, images, ball)
                tell(len(images))
            strongest = Kept(images.pixels, clean)
            for kept in own.values():
                strongest.offer(kept.pixels, kept.gain)
            gains = {name: kept.gain.cpu() for name, kept in own.items()}
            strongest = Kept(strongest.pixels.cpu(), strongest.gain.cpu())
            levels.append(Level(ball.eps, gains, strongest))
        return levels

    def _improve(self, own: Kept, attempt: Attempt, images: Images, ball: Ball) -> None:
        standing = own.standing(self.judge.enough)
        if len(standing):
            part, best = images[standing], own[standing]
            found = attempt.attack(attempt.objective, part, ball, self.seed)
            best.offer(found, self.judged(found, part))
            own[standing] = best


def _merge(levels: Sequence[Level]) -> Level:
    """Returns one level for all images from the levels of parts of them."""
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


@dataclass(frozen=True)
class PairedTest:
    """An exact test of whether a black-box attack beats all attacks by gradients.

    The two sides attack the same images, so only images on which they differ count.
    Under the null hypothesis each side wins such an image with probability 1/2: the
    exact form of McNemar's test (Psychometrika, 1947), one-sided.
    """

    eps: float
    attack: str
    """Name of the black-box attack."""
    wins: int
    """Images on which it is stronger than every attack by gradients."""
    losses: int
    """Images on which an attack by gradients is stronger."""
    p: float
    """Probability of at least so many wins under the null hypothesis."""

    @classmethod
    def of(cls, eps: float, attack: str, wins: int, losses: int) -> PairedTest:
        """Returns the test for counts of wins and losses.

        >>> round(PairedTest.of(0.1, "square", 5, 1).p, 6)  # (6 + 1) / 2 ** 6
        0.109375
        """
        from scipy.special import bdtr

        # By symmetry, at least so many wins are as likely as at most so many losses.
        return cls(eps, attack, wins, losses, float(bdtr(losses, wins + losses, 0.5)))


def paired_tests(
    eps: Sequence[float], reached: Mapping[str, Sequence[Tensor]]
) -> Iterator[PairedTest]:
    """Yields the test of each black-box attack in each ball but that of eps 0.

    Args:
        eps: The radii, `[E]`.
        reached: By attack, `[E]` tensors `[N]`, higher for a stronger attack: whether
            each image falls in this ball or a smaller one, or how far its score rises.
    """
    blind = [name for name in reached if name in BLACK_BOX]
    seeing = [reached[name] for name in reached if name not in BLACK_BOX]
    if not seeing:
        return
    for place, radius in enumerate(eps):
        if not radius:
            continue
        best = torch.stack([levels[place].double() for levels in seeing]).amax(0)
        for name in blind:
            lead = reached[name][place].double() - best
            wins, losses = int((lead > 0).sum()), int((lead < 0).sum())
            yield PairedTest.of(radius, name, wins, losses)


def masking_notes(tests: Mapping[str, Sequence[PairedTest]]) -> list[str]:
    """Returns one sentence for each target whose gradients are probably masked.

    An attack without gradients knows less, so it should not win: Athalye, Carlini and
    Wagner, Obfuscated Gradients Give a False Sense of Security, ICML 2018,
    arXiv 1802.00420.

    Args:
        tests: By the name of the target. Holm's correction is over all of them.
    """
    family = [(name, test) for name, each in tests.items() for test in each]
    corrected = holm([test.p for _, test in family])
    strongest: dict[str, tuple[float, PairedTest]] = {}
    for (name, test), p in zip(family, corrected, strict=True):
        if p < SIGNIFICANCE and (name not in strongest or p < strongest[name][0]):
            strongest[name] = p, test
    return [
        f"Gradients of {name} are probably masked, or PGD takes too few steps: at eps "
        f"{test.eps:.4g} the {test.attack} attack, which uses no gradient, is stronger "
        f"on {test.wins} images and weaker on {test.losses} (exact McNemar test, "
        f"one-sided, p = {p:.2g} after Holm's correction for {len(family)} tests)."
        for name, (p, test) in strongest.items()
    ]

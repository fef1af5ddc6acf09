"""The attacks, their strength, and the balls that they search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oodbench.attacks.ball import Ball, Norm, eps_text
from oodbench.attacks.methods.auto_attack import AutoAttack
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.methods.square import Square
from oodbench.attacks.objective import Objective
from oodbench.attacks.targets import (
    GRADIENTS,
    Classifier,
    Misclassify,
    Refined,
    Target,
)
from oodbench.attacks.trial import Attempt, Trial
from oodbench.base.errors import InputError

EPS: dict[Norm, tuple[float, ...]] = {
    "linf": tuple(level / 255 for level in (1, 2, 4, 8, 16)),
    "l2": (0.25, 0.5, 1.0, 2.0),
}
"""The default radii, by norm."""


@dataclass(frozen=True)
class Suite:
    """Attacks of every kind in balls of one norm.

    Raises:
        InputError: There is no such norm or radius, a number is out of its range, or
            two radii would look the same in tables.
    """

    norm: Norm = "linf"
    eps: tuple[float, ...] = ()
    """In pixels of [0, 1]; none for those of `EPS`. Eps 0 is always added."""
    pgd: PGD = field(default_factory=PGD)
    square: Square | None = None
    """The black-box attack; None for none."""
    auto: AutoAttack | None = None
    """AutoAttack on the plain classifier; None for none."""
    samples: int = 1
    """Draws of a refining JEM's noise; a gradient is the mean over them."""
    seed: int = 0
    batch_size: int | None = None
    """Images in the network at once; None for a size that mostly fits."""

    def __post_init__(self) -> None:
        for radius in (0.0, *self.eps):
            Ball(self.norm, radius)
            if self.norm == "linf" and radius > 1:
                raise InputError(
                    f"The eps {radius:g} is more than 1, from black to white; eps is "
                    f"in pixels of [0, 1], so write {radius:g}/255 for {radius:g} "
                    "levels of an 8-bit image."
                )
        if self.seed < 0:
            raise InputError(f"The seed must be at least 0, got {self.seed}.")
        for name, value in {
            "samples": self.samples,
            "batch size": self.batch_size,
        }.items():
            if value is not None and value < 1:
                raise InputError(f"The {name} must be at least 1, got {value}.")
        texts = list(self.eps_texts.values())
        if twice := {text for text in texts if texts.count(text) > 1}:
            raise InputError(
                f"Two radii would both be shown as {min(twice)}; choose one of them."
            )

    @property
    def balls(self) -> list[Ball]:
        """The balls in rising order, from eps 0 on, each once."""
        radii = {0.0, *(self.eps or EPS[self.norm])}
        return [Ball(self.norm, radius) for radius in sorted(radii)]

    @property
    def eps_texts(self) -> dict[float, str]:
        """What tables and files call each radius."""
        return {ball.eps: eps_text(ball.eps, self.norm) for ball in self.balls}

    def against(self, target: Target) -> dict[str, Attempt]:
        """Returns the attacks that fit a target, by name."""
        if isinstance(target, Refined):
            found = self._against_refined(target)
        else:
            found = {"PGD": Attempt(self.pgd, Misclassify(target))}
            if self.auto:
                found["AutoAttack"] = Attempt(self.auto, Misclassify(target))
        if self.square:
            found["square"] = Attempt(self.square, Misclassify(target))
        return found

    def trial(self, judge: Objective, attempts: Mapping[str, Attempt]) -> Trial:
        """Returns the trial of some attacks, judged by one objective."""
        return Trial(judge, attempts, self.seed, self.batch_size)

    def _against_refined(self, target: Refined) -> dict[str, Attempt]:
        modes = {"PGD": target}
        if target.sampler.steps:
            modes = {
                f"PGD {gradient}": replace(target, gradient=gradient)
                for gradient in GRADIENTS
            }
        found = {
            name: Attempt(self.pgd, Misclassify(mode, self.samples))
            for name, mode in modes.items()
        }
        plain = Misclassify(Classifier(target.network))
        return {**found, "transfer": Attempt(self.pgd, plain)}

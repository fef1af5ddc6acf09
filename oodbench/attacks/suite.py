"""Which attacks are made, how hard, and in which balls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oodbench.attacks.ball import Ball, Norm
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
"""Where nobody names any, by norm."""
BLACK_BOX = frozenset({"square", "transfer"})
"""The attacks that use no gradient of what is attacked."""


@dataclass(frozen=True)
class Suite:
    """Attacks of every kind in balls of one norm.

    Raises:
        InputError: There is no such norm or radius, or a number is out of its range.
    """

    norm: Norm = "linf"
    eps: tuple[float, ...] = ()
    """In pixels of [0, 1]; none for those of `EPS`. The ball of eps 0 comes anyway."""
    pgd: PGD = field(default_factory=PGD)
    square: Square | None = None
    """The black-box attack; None for none."""
    auto: AutoAttack | None = None
    """Made on the plain classifier; None for none."""
    samples: int = 1
    """Draws of a refining JEM's noise that a gradient is the mean over."""
    seed: int = 0
    batch_size: int | None = None
    """Images that the network holds at once; None for a size that mostly fits."""

    def __post_init__(self) -> None:
        for radius in (0.0, *self.eps):
            Ball(self.norm, radius)
        if self.samples < 1:
            raise InputError(f"A gradient needs at least 1 sample, got {self.samples}.")

    @property
    def balls(self) -> list[Ball]:
        """In rising order, from eps 0 on, each once."""
        radii = {0.0, *(self.eps or EPS[self.norm])}
        return [Ball(self.norm, radius) for radius in sorted(radii)]

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
        """Returns attacks with what judges them all."""
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

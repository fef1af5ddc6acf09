"""How well a detector tells images that are attacked to pass for in-distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.attacks.images import Images
from oodbench.attacks.masking import masked
from oodbench.attacks.objective import climb
from oodbench.attacks.scores import RaiseScore
from oodbench.attacks.suite import BLACK_BOX, Suite
from oodbench.attacks.trial import Attempt
from oodbench.base.errors import InputError, reason
from oodbench.base.progress import Tell, silent
from oodbench.metrics.ranking import auroc
from oodbench.networks.hardware import is_out_of_memory


@dataclass(frozen=True)
class WorstCase:
    """A detector's AUROC where every OOD image is attacked, by eps from 0 on."""

    outside: str
    detector: str
    images: int
    """That were attacked."""
    eps: list[float]
    auroc: list[float]
    """Against the attack that is stronger on each image; it never rises with eps."""
    by_attack: Mapping[str, list[float]]
    """Against each attack alone."""
    fault: str
    """Why no attack climbs the score's gradient; empty if one does."""

    def masked(self) -> str:
        """Returns where the score's gradients are masked; empty if nowhere."""
        what = f"{self.detector} on {self.outside}"
        return masked(what, self.eps, self.by_attack, BLACK_BOX)


def worst_case(
    suite: Suite,
    goal: RaiseScore,
    names: tuple[str, str],
    inside: Images,
    outside: Images,
    tell: Tell = silent,
) -> WorstCase:
    """Attacks OOD images so that a detector scores them high.

    The scores of in-distribution images are clean ones. Every OOD image keeps the best
    of all perturbations, itself included.

    Args:
        suite: Which attacks to make.
        goal: The detector's score.
        names: Of the set and of the detector.
        inside: The in-distribution images.
        outside: What is attacked.
        tell: Is told of the images done, by each attack in each ball.

    Raises:
        InputError: The score cannot be attacked, or is not finite.
    """
    (clean,) = suite.trial(goal, {}).run(inside, suite.balls[:1])
    fault = gradient_fault(goal, outside)
    attempts = {} if fault else {"PGD": Attempt(suite.pgd, goal)}
    if suite.square:
        attempts["square"] = Attempt(suite.square, goal)
    if not attempts:
        raise InputError(f"its score has no gradient ({fault})")
    levels = suite.trial(goal, attempts).run(outside, suite.balls, tell)

    def measured(scores: Sequence[Tensor]) -> list[float]:
        return [auroc(clean.strongest.gain, each) for each in scores]

    return WorstCase(
        *names,
        images=len(outside),
        eps=[level.eps for level in levels],
        auroc=measured([level.strongest.gain for level in levels]),
        by_attack={
            name: measured([level.gains[name] for level in levels]) for name in attempts
        },
        fault=fault,
    )


def gradient_fault(goal: RaiseScore, images: Images) -> str:
    """Returns why a score has no gradient by the pixels; empty if it has one."""
    first = images[torch.zeros(1, dtype=torch.int64, device=images.pixels.device)]
    try:
        climb(goal, first.pixels, first, first.noise(0, "probe"))
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        return reason(error)
    return ""

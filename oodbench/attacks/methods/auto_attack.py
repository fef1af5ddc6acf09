"""AutoAttack, the field's standard ensemble of attacks, from its own package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball, Norm
from oodbench.attacks.images import Images
from oodbench.attacks.objective import Objective
from oodbench.attacks.targets import Misclassify
from oodbench.base import extras
from oodbench.base.errors import InputError

NAMES: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}
TARGETS = 9
"""The most wrong classes that its targeted attacks try."""


@dataclass(frozen=True)
class AutoAttack:
    """The standard version: APGD-CE, targeted APGD-DLR and FAB, 5,000 square queries.

    It draws from torch's global random numbers, which are restored afterwards. So its
    results depend on the batch size, unlike those of the other attacks here.

    Croce and Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-Free Attacks, ICML 2020, arXiv 2003.01690.

    Raises:
        InputError: The package pyautoattack is not installed.
    """

    def __post_init__(self) -> None:
        _library()

    def __call__(
        self, objective: Objective, images: Images, ball: Ball, seed: int
    ) -> Tensor:
        """Returns perturbed pixels `[N, C, H, W]`, unchanged where the attack fails.

        Raises:
            InputError: It cannot attack such images or such a network.
        """
        if not isinstance(objective, Misclassify):
            raise InputError("AutoAttack is for classifiers, not for scores.")
        noise, target = images.noise(seed, "AutoAttack"), objective.target

        def logits(pixels: Tensor) -> Tensor:
            return target.logits(pixels, noise)

        with torch.no_grad():
            classes = logits(images.pixels[:1]).shape[1]
        sides = tuple(images.pixels.shape[2:])
        if classes < 4 or min(sides) < 5:
            raise InputError(
                "AutoAttack needs 4 classes and 5 pixels a side, or more; here are "
                f"{classes} classes, and images of {sides[0]}x{sides[1]}."
            )
        ensemble = _library().AutoAttack(
            logits,
            norm=NAMES[ball.norm],
            eps=ball.eps,
            seed=seed,
            device=images.pixels.device,
        )
        for part in (ensemble.apgd_targeted, ensemble.fab):
            part.n_target_classes = min(TARGETS, classes - 1)
        devices = [images.pixels.device] if images.pixels.is_cuda else []
        # One of its checks ends whatever traces the process, a debugger or coverage.
        tracer = sys.gettrace()
        try:
            with torch.random.fork_rng(devices):
                found, _ = ensemble.run_standard_evaluation(
                    images.pixels, objective.labels(images), batch_size=len(images)
                )
        finally:
            sys.settrace(tracer)
        return ball.project(found, images.pixels)


def _library() -> Any:
    return extras.library("pyautoattack", "autoattack", title="AutoAttack")

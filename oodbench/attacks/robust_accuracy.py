"""Robust accuracy: of a classifier, and of a JEM that refines its images first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.attacks.ball import Norm
from oodbench.attacks.images import Images
from oodbench.attacks.masking import masked
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.suite import BLACK_BOX, Suite
from oodbench.attacks.targets import Classifier, Misclassify, Target
from oodbench.attacks.trial import Level
from oodbench.base.progress import Tell, silent
from oodbench.data.dataset import Split
from oodbench.networks.hardware import fitting_threads
from oodbench.networks.network import Network


@dataclass(frozen=True, eq=False)
class Robustness:
    """How a target stands against attacks."""

    target: Target
    levels: Sequence[Level]
    """In rising order of eps, from 0 on."""

    @property
    def images(self) -> int:
        """How many were attacked."""
        return len(self.levels[0].strongest.gain)

    @property
    def eps(self) -> list[float]:
        """The radii, `[E]`."""
        return [level.eps for level in self.levels]

    @property
    def accuracy(self) -> list[float]:
        """Shares of the images that stand against all attacks, `[E]`."""
        return [standing(level.strongest.gain) for level in self.levels]

    @property
    def by_attack(self) -> dict[str, list[float]]:
        """Shares of the images that stand against each attack alone, `[E]`."""
        return {
            name: [standing(level.gains[name]) for level in self.levels]
            for name in self.levels[0].gains
        }

    def falls_at(self) -> list[float | None]:
        """Returns the smallest eps at which each image falls, `[N]`; None for none."""
        fallen = torch.stack([level.strongest.gain >= 0 for level in self.levels])
        # A last row that is always true stands for none.
        ends = torch.cat([fallen, torch.ones_like(fallen[:1])]).int().argmax(0)
        return [[*self.eps, None][end] for end in ends.tolist()]

    def masked(self) -> str:
        """Returns where the target's gradients are masked; empty if nowhere."""
        return masked(self.target.title, self.eps, self.by_attack, BLACK_BOX)


def standing(gains: Tensor) -> float:
    """Returns the share of images whose margin `[N]` is that of a right answer."""
    return float((gains < 0).double().mean())


def attack_target(
    suite: Suite, target: Target, images: Images, tell: Tell = silent
) -> Robustness:
    """Attacks a target on labelled images.

    Args:
        suite: Which attacks to make.
        target: What is attacked.
        images: On the target's device.
        tell: Is told of the images done, by each attack in each ball.
    """
    trial = suite.trial(Misclassify(target), suite.against(target))
    return Robustness(target, trial.run(images, suite.balls, tell))


def robust_accuracy(
    network: Network,
    split: Split,
    eps: Sequence[float] = (),
    *,
    norm: Norm = "linf",
    pgd: PGD | None = None,
    seed: int = 0,
) -> dict[float, float]:
    """Returns the accuracy of a classifier under PGD for each eps, and for 0.

    It never rises with eps: what falls in a ball has fallen in every larger one.

    Args:
        network: On its device.
        split: Labelled images.
        eps: In pixels of [0, 1]; none for those of `EPS`.
        norm: linf or l2.
        pgd: The attack; None for 40 steps from one random start.
        seed: Of the random starts.

    Raises:
        InputError: There is no such norm or radius, or there are no labels.
    """
    suite = Suite(norm, tuple(eps), pgd or PGD(), seed=seed)
    images = Images.of(split, network.shape, device=network.device)
    with fitting_threads(network):
        found = attack_target(suite, Classifier(network), images)
    return dict(zip(found.eps, found.accuracy, strict=True))

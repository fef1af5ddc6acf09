"""Robust accuracy, and adversarial images in 8 bits that `oodbench run` can open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.attacks.ball import LEVELS, Norm
from oodbench.attacks.images import Images
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier, Misclassify, Refined, Target
from oodbench.attacks.trial import Level, PairedTest, paired_tests
from oodbench.base.files import Record, npz_bytes, write_atomically
from oodbench.base.progress import Tell, silent
from oodbench.data.dataset import Split, check_labels
from oodbench.networks.hardware import fitting_threads
from oodbench.networks.network import Network


@dataclass(frozen=True)
class RobustAccuracy:
    """Accuracy of one target under attack, by eps from 0 on."""

    target: Record
    """Its title, and the settings of a refining JEM."""
    eps: list[float]
    accuracy: list[float]
    """Share of images on which every attack fails; it never rises with eps."""
    by_attack: dict[str, list[float]]
    """Share of images on which each attack alone fails."""
    falls_at: list[float | None]
    """The smallest eps at which each image falls, `[N]`; None if it never does."""
    masking: list[PairedTest]
    in_8_bits: list[Record]
    """For each eps, what the accuracy is on saved images; empty if none are saved."""

    @classmethod
    def of(
        cls, target: Target, levels: Sequence[Level], saved: Sequence[Record] = ()
    ) -> RobustAccuracy:
        """Returns the summary of what attacks have reached."""
        eps = [level.eps for level in levels]
        fallen = {
            name: [level.gains[name] >= 0 for level in levels]
            for name in levels[0].gains
        }
        return cls(
            target=_describe(target),
            eps=eps,
            accuracy=[standing(level.strongest.gain) for level in levels],
            by_attack={
                name: [standing(level.gains[name]) for level in levels]
                for name in levels[0].gains
            },
            falls_at=_falls_at(levels),
            masking=list(paired_tests(eps, fallen)),
            in_8_bits=list(saved),
        )


def standing(gains: Tensor) -> float:
    """Returns the share of images that are classified correctly, by margins `[N]`."""
    return float((gains < 0).double().mean())


def _falls_at(levels: Sequence[Level]) -> list[float | None]:
    fallen = torch.stack([level.strongest.gain >= 0 for level in levels])
    # A last row that is always true stands for never.
    ends = torch.cat([fallen, torch.ones_like(fallen[:1])]).int().argmax(0)
    radii = [*(level.eps for level in levels), None]
    return [radii[end] for end in ends.tolist()]


def _describe(target: Target) -> Record:
    if not isinstance(target, Refined):
        return {"title": target.title}
    return {
        "title": target.title,
        "sampler": asdict(target.sampler),
        "duplicates": target.duplicates,
        "input_noise": target.input_noise,
    }


def attack_target(
    suite: Suite, target: Target, images: Images, tell: Tell = silent
) -> list[Level]:
    """Returns the results of attacks on a target, one level per ball.

    Args:
        suite: The attacks.
        target: The classifier, plain or refining.
        images: Labelled images on the target's device.
        tell: Receives the number of images done, per attack and ball.

    Raises:
        InputError: The images have no labels, or labels that are none of the target's
            classes.
    """
    labels, network = Misclassify.labels(images).cpu().numpy(), target.network
    check_labels(labels, "The attacked set", network.name, network.classes)
    trial = suite.trial(Misclassify(target), suite.against(target))
    return trial.run(images, suite.balls, tell)


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

    A success at a smaller eps also counts at larger ones, so accuracy never rises.

    Args:
        network: On its device.
        split: Labelled images.
        eps: In pixels of [0, 1]; none for those of `EPS`.
        norm: linf or l2.
        pgd: The attack; None for 40 steps from one random start.
        seed: Seed of the random starts.

    Raises:
        InputError: There is no such norm or radius, or the labels are missing or none
            of the network's classes.
    """
    suite = Suite(norm, tuple(eps), pgd or PGD(), seed=seed)
    images = Images.of(split, network.shape, device=network.device)
    with fitting_threads(network):
        levels = attack_target(suite, Classifier(network), images)
    return {level.eps: standing(level.strongest.gain) for level in levels}


@dataclass(frozen=True, eq=False)
class Rounded:
    """The strongest perturbation of each image in a ball, rounded to 8 bits."""

    eps: float
    images: NDArray[np.uint8]
    """`[N, H, W, C]`."""
    numbers: NDArray[np.int64]
    """`[N]`, the images' places in the attacked set."""
    labels: NDArray[np.int64]
    """`[N]`."""
    accuracy: float
    """The target's accuracy on them: rounding can undo an attack."""
    farthest: float
    """The greatest distance from an image; above eps only if no level was near."""

    def write(self, path: Path) -> None:
        """Writes an archive that `npz:PATH` opens."""
        arrays: dict[str, NDArray[Any]] = {
            "images": self.images,
            "numbers": self.numbers,
            "labels": self.labels,
        }
        write_atomically(path, npz_bytes(arrays, compressed=True))


def rounded(
    suite: Suite, target: Target, levels: Sequence[Level], images: Images
) -> list[Rounded]:
    """Rounds the strongest perturbations in each ball of eps > 0, and judges them.

    Args:
        suite: The attacks that were made.
        target: Their target.
        levels: Their results.
        images: The attacked images.
    """
    judge = suite.trial(Misclassify(target), {})
    found = []
    for ball, level in zip(suite.balls, levels, strict=True):
        if not ball.eps:
            continue
        grid = ball.on_grid(level.strongest.pixels, images.pixels.cpu())
        pixels = grid.to(images.pixels) / LEVELS
        (again,) = judge.run(replace(images, pixels=pixels), suite.balls[:1])
        found.append(
            Rounded(
                eps=ball.eps,
                images=grid.permute(0, 2, 3, 1).contiguous().numpy(),
                numbers=images.numbers.numpy(),
                labels=Misclassify.labels(images).cpu().numpy(),
                accuracy=standing(again.strongest.gain),
                farthest=float(ball.distance(pixels, images.pixels).max()),
            )
        )
    return found

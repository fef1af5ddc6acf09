"""Adversarial images rounded to 8 bits, as a set that `oodbench run` can open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench.attacks.ball import LEVELS
from oodbench.attacks.images import Images
from oodbench.attacks.robust_accuracy import Robustness, standing
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Misclassify
from oodbench.base.files import npz_bytes, write_atomically


@dataclass(frozen=True, eq=False)
class Rounded:
    """The strongest perturbation of each image in a ball, as 8 bits hold it."""

    eps: float
    images: NDArray[np.uint8]
    """`[N, H, W, C]`."""
    numbers: NDArray[np.int64]
    """`[N]`, the images' places in the set that was attacked."""
    labels: NDArray[np.int64] | None
    """`[N]`."""
    accuracy: float
    """Of the target on them: rounding can undo an attack."""
    farthest: float
    """The greatest distance from an image; above eps only if no level was near."""

    def write(self, path: Path) -> None:
        """Writes an archive that `npz:PATH` opens."""
        arrays: dict[str, NDArray[np.generic]] = {
            "images": self.images,
            "numbers": self.numbers,
        }
        if self.labels is not None:
            arrays["labels"] = self.labels
        write_atomically(path, npz_bytes(arrays, compressed=True))


def rounded(suite: Suite, robustness: Robustness, images: Images) -> list[Rounded]:
    """Rounds what attacks have reached in each ball but the first, and judges it again.

    Args:
        suite: That the attacks were of.
        robustness: What they reached.
        images: What was attacked.
    """
    judge = suite.trial(Misclassify(robustness.target), {})
    found = []
    for ball, level in zip(suite.balls, robustness.levels, strict=True):
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
                labels=None if images.labels is None else images.labels.cpu().numpy(),
                accuracy=standing(again.strongest.gain),
                farthest=float(ball.distance(pixels, images.pixels).max()),
            )
        )
    return found

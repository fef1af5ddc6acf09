"""The images of a set, corrupted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Grade, InputError, Split
from oodbench.base.registry import unknown
from oodbench.data.adapt import unit_range
from oodbench.data.dataset import Chunk, Images, manifest_of
from oodbench.data.image_files import stacked
from oodbench.datasets._changed import changed_set
from oodbench.datasets._corruptions import CORRUPTIONS

SEED = 0


def corrupted(argument: str) -> Dataset:
    """Opens a set with a corruption of severity 1 to 5: `corrupted:fog:3:digits:0-7`.

    Corruptions are listed in docs/data.md. Images keep their size, type and labels.
    What is drawn at random for image i depends on i alone, so it is the same at every
    severity.

    After the corruption benchmarks of Hendrycks and Dietterich, Benchmarking Neural
    Network Robustness to Common Corruptions and Perturbations, ICLR 2019, arXiv
    1903.12261, with other constants: numbers are not comparable with CIFAR-10-C.
    """
    kind, _, rest = argument.partition(":")
    severity, _, inner = rest.partition(":")
    if kind not in CORRUPTIONS:
        raise InputError(unknown("corruption", kind, CORRUPTIONS))
    if severity not in ("1", "2", "3", "4", "5"):
        raise InputError(
            f"The severity of {kind} must be 1 to 5, not {severity!r}; write "
            f"corrupted:{kind}:3:SET, or corrupted:{kind}:1|2|3|4|5:SET for five sets."
        )

    def change(split: Split, name: str) -> Split:
        return replace(split, images=Corrupted(split.images, kind, int(severity)))

    text = f"corrupted:{kind}:{severity}"
    found = changed_set(text, inner, "covariate", change)
    series = f"corrupted:{kind}{found.name.removeprefix(text)}"
    return replace(found, grade=Grade(series, int(severity)))


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Images, each corrupted as it is read."""

    images: Images
    kind: str
    severity: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        numbers = range(len(self.images))[chunk]
        found = zip(numbers, self.images[chunk], strict=True)
        return stacked([self._corrupted(image, number) for number, image in found])

    def _corrupted(
        self, image: NDArray[np.generic], number: int
    ) -> NDArray[np.generic]:
        function, levels = CORRUPTIONS[self.kind]
        rng = np.random.default_rng([SEED, number])
        pixels = unit_range(image).astype(np.float64)
        changed = function(pixels, levels[self.severity - 1], rng).clip(0, 1)
        if image.dtype == np.uint8:
            return np.rint(255 * changed).astype(np.uint8)
        return changed.astype(np.float32)

    def manifest(self) -> str | None:
        """Returns the manifest of the images and of the corruption."""
        level = CORRUPTIONS[self.kind].levels[self.severity - 1]
        return manifest_of(self.images, "corrupted", self.kind, level)

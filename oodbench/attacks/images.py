"""Images under attack; the number of each one decides its random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.files import key_of
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Picked, Shape, Split, chunks
from oodbench.jem.sampler import ChainNoise


@dataclass(frozen=True, eq=False)
class Images:
    """Some images of a set, in memory."""

    pixels: Tensor
    """`[N, C, H, W]` in [0, 1]."""
    numbers: Tensor
    """`[N]`, int64, on the host: places of the images in their set."""
    labels: Tensor | None = None
    """`[N]`, int64."""

    @classmethod
    def of(
        cls,
        split: Split,
        shape: Shape,
        *,
        count: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> Images:
        """Reads the images of a split as a network takes them.

        Args:
            split: The images as they are stored.
            shape: The shape that the network takes.
            count: Read only this many, drawn without replacement; None for all.
            seed: Seed of that draw.
            device: The device of pixels and labels.

        Raises:
            InputError: There are no images, or values outside [0, 1].
        """
        places = np.arange(len(split.images))
        if count is not None and count < len(places):
            drawn = np.random.default_rng(seed).choice(places, count, replace=False)
            places = np.sort(drawn)
        if not len(places):
            raise InputError("There are no images to attack.")
        picked = Picked(split.images, places)
        pixels = torch.cat([adapt(few, shape) for few in chunks(picked)])
        labels = None
        if split.labels is not None:
            labels = torch.from_numpy(split.labels[places]).to(device)
        return cls(pixels.to(device), torch.from_numpy(places), labels)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, places: Tensor) -> Images:
        """Returns the images at some places, `[M]`."""
        return Images(
            self.pixels[places],
            self.numbers[places.cpu()],
            None if self.labels is None else self.labels[places],
        )

    def noise(self, seed: int, purpose: str) -> ChainNoise:
        """Returns random numbers that depend on seed, purpose and image number."""
        key = int(key_of(seed, purpose)[:16], 16)
        return ChainNoise(key, self.numbers.tolist())

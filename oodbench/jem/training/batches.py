"""Training batches: images in a new order each epoch, augmented and noised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from oodbench.base.errors import InputError
from oodbench.base.processes import ALONE, Processes
from oodbench.jem.training.recipe import Augment

PAD = 4
"""Pixels by which a random crop may move an image, as in the JEM paper's code."""


@dataclass
class Shuffled:
    """Yields image numbers batch by batch, each epoch in a new order.

    An incomplete last batch is left out. All processes have the same order and take
    their share of each batch.

    Raises:
        InputError: There are fewer images than a batch holds, or the processes cannot
            share one.
    """

    numbers: Tensor
    """`[N]`, the images to choose from, on the generator's device."""
    batch_size: int
    """Of all processes together."""
    generator: torch.Generator
    processes: Processes = ALONE
    _order: Tensor = field(init=False, repr=False)
    _next: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if len(self.numbers) < self.batch_size:
            raise InputError(
                f"There are {len(self.numbers)} images to train on, fewer than a batch "
                f"of {self.batch_size}; lower the batch size."
            )
        if self.batch_size % self.processes.count:
            raise InputError(
                f"{self.processes.count} processes cannot share batches of "
                f"{self.batch_size}; take a multiple."
            )
        self._shuffle()

    @property
    def per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return len(self.numbers) // self.batch_size

    def next_batch(self) -> Tensor:
        """Returns this process's share of the next batch, `[batch_size / count]`."""
        if self._next + self.batch_size > len(self._order):
            self._shuffle()
        batch = self._order[self._next : self._next + self.batch_size]
        self._next += self.batch_size
        return batch[self.processes.rank :: self.processes.count]

    def state(self) -> dict[str, Any]:
        """Returns the position in the epoch, for `load`."""
        return {"order": self._order.cpu(), "next": self._next}

    def load(self, state: dict[str, Any]) -> None:
        """Restores a position."""
        self._order = state["order"].to(self.numbers.device)
        self._next = state["next"]

    def _shuffle(self) -> None:
        device = self.numbers.device
        places = torch.randperm(
            len(self.numbers), generator=self.generator, device=device
        )
        self._order, self._next = self.numbers[places], 0


def augmented(images: Tensor, kind: Augment, generator: torch.Generator) -> Tensor:
    """Returns images `[N, C, H, W]` cropped, and perhaps mirrored, at random.

    A crop moves an image by up to 4 pixels each way; reflection fills the border.
    """
    if kind == "none":
        return images
    count, _, height, width = images.shape
    device = images.device
    padded = F.pad(images, (PAD,) * 4, mode="reflect")
    shifts = torch.randint(
        2 * PAD + 1, (2, count, 1), generator=generator, device=device
    )
    rows = shifts[0] + torch.arange(height, device=device)  # [N, H]
    columns = shifts[1] + torch.arange(width, device=device)  # [N, W]
    if kind == "crop_flip":
        mirrored = torch.rand(count, 1, generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    number = torch.arange(count, device=device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None]]
    return moved.permute(0, 3, 1, 2)


def noised(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Returns images plus Gaussian noise of the given standard deviation."""
    if not deviation:
        return images
    noise = torch.empty_like(images).normal_(generator=generator)
    return images + deviation * noise


def check_sides(images: Tensor, kind: Augment) -> None:
    """Checks that images `[N, C, H, W]` can be augmented.

    Raises:
        InputError: They are too small to be cropped.
    """
    if kind != "none" and min(images.shape[2:], default=0) <= PAD:
        raise InputError(
            f"Images of {'x'.join(map(str, images.shape[1:]))} are too small to be "
            f"cropped at random by {PAD} pixels; train with --augment none."
        )


def first_of_each(labels: Tensor, per_class: int) -> Tensor:
    """Returns the numbers of the first images of each class; of all for 0, in order."""
    if not per_class:
        return torch.arange(len(labels), device=labels.device)
    kinds = labels.unique().tolist()
    first = [torch.nonzero(labels == kind)[:per_class, 0] for kind in kinds]
    return torch.cat(first).sort().values

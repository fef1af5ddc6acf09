"""The images that a network is trained on and measured with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Dataset, Picked, Shape, Split, SplitName, chunks
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset

CENTRE = 0.5
"""Mean and deviation of the normalisation, which maps pixels to [-1, 1]."""
SEED = 0
"""Of the images that are held out: the same for all seeds of a recipe."""


@dataclass(frozen=True)
class Labelled:
    """Images with their classes, in memory."""

    images: Tensor
    """`[N, C, H, W]`, in [-1, 1]."""
    labels: Tensor
    """`[N]`."""

    def to(self, device: torch.device) -> Labelled:
        """Returns both on a device."""
        return Labelled(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Material:
    """What a model is made of."""

    shape: Shape
    train: Labelled
    measured: dict[str, Labelled]
    """`val` and `test`, as far as there are any."""
    record: Record
    """Says what it is trained on."""

    @property
    def classes(self) -> int:
        """How many there are, from 0."""
        return int(self.train.labels.max()) + 1


def gather(
    inside: str,
    *,
    test: str | None = None,
    size: tuple[int, int] | None = None,
    held_out: int = 0,
) -> Material:
    """Reads a labelled set.

    Args:
        inside: The set, such as `digits:0-7`; of one with a single split, such as
            `npz:FILE`, that one is trained on.
        test: Another set to measure accuracy on; None for the set's own test split.
        size: Height and width that images are brought to; None for the first one's.
        held_out: Images to keep for validation where there is no val split.

    Raises:
        InputError: A set cannot be used, or too many images are held out.
    """
    dataset = open_dataset(inside)
    shape = native_shape(dataset)
    if size is not None:
        shape = Shape(shape.channels, *size)
    alone = len(dataset.splits) == 1
    stage: SplitName = dataset.splits[0] if alone else "train"
    sample = open_images(dataset, stage, shape)
    measured = {}
    train = whole = sample.split
    if "val" in dataset.splits and not alone:
        measured["val"] = _labelled(dataset, "val", shape)
    elif held_out:
        train, kept = _hold_out(whole, held_out, dataset.name)
        measured["val"] = _tensors(kept, shape, dataset.name)
    if test is not None:
        other = open_dataset(test)
        measured["test"] = _labelled(other, "test", shape)
    elif "test" in dataset.splits and not alone:
        measured["test"] = _labelled(dataset, "test", shape)
    record = {**sample.record(), "held_out": len(whole.images) - len(train.images)}
    known = _tensors(train, shape, dataset.name)
    _check_classes(known, measured, dataset.name)
    return Material(shape, known, measured, record)


def _check_classes(train: Labelled, measured: dict[str, Labelled], name: str) -> None:
    """Holds labels to the numbers from 0 on, each with an image."""
    kinds = train.labels.unique().tolist()
    if kinds != list(range(len(kinds))):
        missing = next(i for i in range(len(kinds)) if i not in kinds)
        raise InputError(
            f"{name} has labels up to {kinds[-1]} and no training image of class "
            f"{missing}; number the classes from 0, without a gap."
        )
    for stage, images in measured.items():
        if int(images.labels.max()) >= len(kinds):
            raise InputError(
                f"The {stage} images have labels up to {int(images.labels.max())}, and "
                f"{name} has {len(kinds)} classes (0-{len(kinds) - 1})."
            )


def _labelled(dataset: Dataset, stage: SplitName, shape: Shape) -> Labelled:
    return _tensors(open_images(dataset, stage, shape).split, shape, dataset.name)


def _tensors(split: Split, shape: Shape, name: str) -> Labelled:
    if split.labels is None:
        raise InputError(f"{name} has no labels to train a classifier with.")
    pixels = torch.cat([adapt(images, shape) for images in chunks(split.images)])
    return Labelled((pixels - CENTRE) / CENTRE, torch.as_tensor(split.labels))


def _hold_out(split: Split, count: int, name: str) -> tuple[Split, Split]:
    """Returns the images to train on and those to keep, drawn at random."""
    total = len(split.images)
    if count >= total:
        raise InputError(
            f"{name} has {total} images, of which {count} cannot be held out; keep "
            "fewer."
        )
    order = np.random.default_rng(SEED).permutation(total)
    return _pick(split, np.sort(order[count:])), _pick(split, np.sort(order[:count]))


def _pick(split: Split, places: np.ndarray) -> Split:
    labels = None if split.labels is None else split.labels[places]
    return Split(Picked(split.images, places), labels)

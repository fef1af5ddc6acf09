"""The images and labels of a training, and those that measure its accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.data.adapt import adapt
from oodbench.data.dataset import (
    Dataset,
    Shape,
    Split,
    SplitName,
    chunks,
)
from oodbench.data.fit_split import fit_split
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.jem.energy import to_states

CENTRE = 0.5
"""Mean and standard deviation of the normalisation, which is `to_states`."""
SEED = 0
"""Chooses the images that are held out: the same for all seeds of a recipe."""


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
    """All images of a training."""

    name: str
    """Of the set."""
    shape: Shape
    train: Labelled
    classes: int
    measured: dict[str, Labelled]
    """`val` and `test`, as far as there are any."""
    record: Record
    """Describes the training set."""
    class_names: tuple[str, ...] = ()
    """In the order of the labels, if the set names its classes."""


def gather(
    inside: str | Dataset,
    *,
    test: str | Dataset | None = None,
    size: tuple[int, int] | None = None,
    held_out: int = 0,
) -> Material:
    """Reads a labelled set into memory.

    Args:
        inside: The set, such as `digits:0-7`. Of one with a single split, such as
            `npz:FILE`, that split is trained on.
        test: Another set to measure accuracy on; None for the set's own test split.
        size: Height and width to which images are adapted; None for the first one's.
        held_out: Number of images to keep for validation if there is no val split.

    Raises:
        InputError: A set cannot be used, or too many images are held out.
    """
    dataset = open_dataset(inside)
    shape = native_shape(dataset, size)
    alone = len(dataset.splits) == 1
    stage = fit_split(dataset, "train", named=True)
    found = open_images(dataset, stage, shape)
    train, kept = found.split, None
    if held_out and (alone or "val" not in dataset.splits):
        train, kept = _hold_out(train, held_out, dataset.name)
    known = _tensors(train, shape, f"{dataset.name} has no labels to train with.")
    classes = _count_classes(known.labels, dataset.name)
    names, measured = found.split.class_names, {}
    if kept is not None:
        measured["val"] = _tensors(kept, shape, "")
    elif "val" in dataset.splits and not alone:
        measured["val"] = _measured(dataset, "val", shape, classes, names)
    if test is not None:
        measured["test"] = _measured(open_dataset(test), "test", shape, classes, names)
    elif "test" in dataset.splits and not alone:
        measured["test"] = _measured(dataset, "test", shape, classes, names)
    record = {**found.record(), "held_out": 0 if kept is None else held_out}
    return Material(dataset.name, shape, known, classes, measured, record, names)


def _count_classes(labels: Tensor, name: str) -> int:
    """Returns the number of classes, which must be 0, 1, 2 and so on."""
    kinds = labels.unique().tolist()
    if kinds[0] < 0:
        raise InputError(
            f"{name} has the label {kinds[0]}; number the classes from 0, and remove "
            "images without a class."
        )
    if kinds != list(range(len(kinds))):
        missing = next(i for i in range(len(kinds)) if i not in kinds)
        raise InputError(
            f"{name} has labels up to {kinds[-1]} and no training image of class "
            f"{missing}; number the classes from 0, without a gap."
        )
    return len(kinds)


def _measured(
    dataset: Dataset,
    stage: SplitName,
    shape: Shape,
    classes: int,
    names: tuple[str, ...],
) -> Labelled:
    found = open_images(dataset, stage, shape).numbered_by(names)
    found.check_classes("the trained network", classes)
    why = f"{dataset.name} has no labels to measure accuracy with."
    return _tensors(found.split, shape, why)


def _tensors(split: Split, shape: Shape, unlabelled: str) -> Labelled:
    if split.labels is None:
        raise InputError(unlabelled)
    pixels = torch.cat([adapt(images, shape) for images in chunks(split.images)])
    return Labelled(to_states(pixels), torch.as_tensor(split.labels))


def _hold_out(split: Split, count: int, name: str) -> tuple[Split, Split]:
    """Returns the images to train on, and those to keep, chosen at random."""
    total = len(split.images)
    if count >= total:
        raise InputError(
            f"{name} has {total} images, of which {count} cannot be held out; lower "
            "--held-out."
        )
    order = np.random.default_rng(SEED).permutation(total)
    return split.pick(np.sort(order[count:])), split.pick(np.sort(order[:count]))

"""The image lists and the preprocessing of OpenOOD v1.5."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.base.registry import unknown
from oodbench.data.dataset import Chunk, Images, manifest_of, select_classes
from oodbench.data.spec import open_dataset
from oodbench.datasets import imagenet_c
from oodbench.datasets._joined import Joined

SIZES = {
    "cifar10": (32, 32),
    "cifar100": (32, 32),
    "imagenet200": (256, 224),
    "imagenet1k": (256, 224),
}
"""The sides that images are scaled to and cropped to, by benchmark."""
OF_ALL_CLASSES = ("imagenet", "imagenet_v2")
"""Sets of all 1,000 classes, of which a benchmark may have some."""


def openood(argument: str) -> Dataset:
    """Opens a set as an OpenOOD benchmark has it: `openood:cifar10/tin`.

    Yang et al., OpenOOD, NeurIPS 2022, arXiv 2210.07242; Zhang et al., OpenOOD v1.5,
    arXiv 2306.09301. The set itself, here `tin`, is opened by its name, or as in
    `openood:cifar10/tin=npz:tin.npz`. Of its test
    images those on the list of the benchmark are taken, in their own order; val is a
    list of other test images, and train is all of train. MNIST is train and test
    together. The short side is scaled with Pillow (bilinear) and the middle cropped, in
    uint8.
    """
    place, _, spec = argument.partition("=")
    benchmark, _, name = place.partition("/")
    if benchmark not in SIZES or not name:
        raise InputError(
            unknown("benchmark of OpenOOD", benchmark, SIZES)
            if benchmark not in SIZES
            else "Name a set of the benchmark, as in openood:cifar10/tin."
        )
    inner = open_dataset(spec or name)
    origin, is_corrupted = inner.origin, name == "imagenet_c" and not spec
    if origin and is_corrupted:
        origin = replace(origin, sources=imagenet_c.LISTED_ARCHIVES)

    def load(split: SplitName, shape: Shape) -> Split:
        if is_corrupted:
            found = _corrupted(benchmark)
        else:
            found = _part(inner, place, split, shape)
        return replace(found, images=Resized(found.images, *SIZES[benchmark]))

    side = SIZES[benchmark][1]
    lists = [key.split("/")[2] for key in _lists() if key.startswith(f"{place}/")]
    splits: tuple[SplitName, ...] = ("val", "test") if "val" in lists else ("test",)
    return replace(
        inner,
        name=f"openood:{place}",
        load=load,
        splits=("train", *splits) if "train" in inner.splits else splits,
        shape=Shape(3, side, side),
        place=inner.place and f"openood:{benchmark}:{inner.place}",
        origin=origin,
    )


@cache
def _lists() -> dict[str, NDArray[Any]]:
    with np.load(Path(__file__).with_name("openood_lists.npz")) as stored:
        return dict(stored)


def _part(inner: Dataset, key: str, split: SplitName, shape: Shape) -> Split:
    """Returns the images of a split before they are scaled."""
    whole = ("train", "val", "test") if key.endswith("/mnist") else ("train", "val")
    if split == "train" or key.endswith("/mnist"):
        parts = [inner.load(each, shape) for each in whole if each in inner.splits]
        return _of_classes(_joined(parts), key)
    found = inner.load("test", shape)
    packed = _lists().get(f"{key}/{split}")
    if packed is None:
        return _of_classes(found, key)
    wanted = np.unpackbits(packed).astype(bool)
    if key.endswith("/cifar100"):
        wanted = _by_rank(wanted, found)
    if abs(wanted.size - len(found.images)) >= 8:  # lists are padded to whole bytes
        raise InputError(
            f"{inner.name} has {len(found.images)} test images, and OpenOOD's list is "
            "of another number; give the whole official set."
        )
    if key.endswith("/tin") and found.labels is not None:
        _check_order(inner.name, key, found.labels)
    picked = found.pick(np.flatnonzero(wanted))
    labels = _lists().get(f"{key}/{split}_labels")
    return picked if labels is None else _renumbered(picked, labels.astype(np.int64))


def _of_classes(split: Split, key: str) -> Split:
    """Returns the images of the benchmark's classes, of a set that has all of them."""
    benchmark, _, name = key.partition("/")
    chosen = _lists().get(f"{benchmark}/classes")
    if chosen is None or name not in OF_ALL_CLASSES or split.labels is None:
        return split
    if split.labels.max() < chosen.size:  # given with the benchmark's own numbers
        return split
    return select_classes(split, chosen.tolist())


def _renumbered(split: Split, labels: NDArray[np.int64]) -> Split:
    """Returns a split with other labels, which keep the names of their classes."""
    if split.labels is None or not split.class_names:
        return replace(split, labels=labels, class_names=(), wnids=())
    _, first = np.unique(labels, return_index=True)
    old = split.labels[first]
    return replace(
        split,
        labels=labels,
        class_names=tuple(split.class_names[label] for label in old),
        wnids=tuple(split.wnids[label] for label in old) if split.wnids else (),
    )


def _corrupted(benchmark: str) -> Split:
    """Returns the listed images of ImageNet-C."""
    lists, place = _lists(), f"{benchmark}/imagenet_c"
    chosen = lists.get(f"{benchmark}/classes", np.arange(1000)).tolist()
    return imagenet_c.listed(
        lists[f"{place}/numbers"], lists[f"{place}/corruptions"], chosen
    )


def _check_order(name: str, key: str, labels: NDArray[np.int64]) -> None:
    """Refuses Tiny ImageNet in another order than that of its image numbers."""
    either = _lists()[f"{key}/val"] | _lists()[f"{key}/test"]
    kept = np.unpackbits(either).astype(bool)[: len(labels)]
    # The lists leave out classes that CIFAR has, but for 3 images; another order none.
    if np.bincount(labels[kept], minlength=labels.max() + 1).min() > 3:
        raise InputError(
            f"{name} is not in the order of Tiny ImageNet's numbers (val_0, val_1, "
            "val_2, …), which OpenOOD's list needs; sort it by number."
        )


def _by_rank(wanted: NDArray[np.bool_], found: Split) -> NDArray[np.bool_]:
    """Returns `[N]` whether an image is wanted, from a list by class and rank."""
    labels = found.labels
    if labels is None or not np.array_equal(np.bincount(labels), np.full(100, 100)):
        raise InputError(
            "OpenOOD's list needs the 100 labels of CIFAR-100, 100 times each."
        )
    order = np.argsort(labels, kind="stable")
    chosen = np.empty(labels.size, dtype=bool)
    chosen[order] = wanted[: labels.size]
    return chosen


def _joined(parts: list[Split]) -> Split:
    """Returns the images of some splits, one after another."""
    known = [part.labels for part in parts if part.labels is not None]
    return Split(
        Joined([part.images for part in parts]),
        np.concatenate(known) if len(known) == len(parts) else None,
        class_names=parts[0].class_names,
    )


@dataclass(frozen=True)
class Resized:
    """Images scaled by Pillow until the short side fits, and cropped in the middle."""

    images: Images
    side: int
    crop: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        return [self._one(image) for image in self.images[chunk]]

    def manifest(self) -> str | None:
        """Returns the manifest of the images and the two sides."""
        return manifest_of(self.images, "openood", self.side, self.crop)

    def _one(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        if image.shape[:2] == (self.side, self.side) == (self.crop, self.crop):
            return image
        from torchvision.transforms import functional

        grey = image.shape[2] == 1
        picture = Image.fromarray(image[..., 0] if grey else image).convert("RGB")
        scaled = functional.resize(picture, [self.side])
        return np.asarray(functional.center_crop(scaled, [self.crop, self.crop]))

"""Tiny ImageNet."""

from __future__ import annotations

from pathlib import Path

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, labelled, several_splits

ARCHIVE = Source(
    "tin/tiny-imagenet-200.zip",
    ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
    checksum="md5:90528d7ca1a48142e341f4ef8d21d0de",
    stated_by="pytorch-ood and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="100,000 train, 10,000 test",
    citation="Le and Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, "
    "Stanford 2015",
    homepage="http://cs231n.stanford.edu/",
    trouble="It shares classes with CIFAR: OpenOOD takes 7,793 images for CIFAR-10 and "
    "6,526 for CIFAR-100.",
)


def tin(argument: str) -> Dataset:
    """Opens Tiny ImageNet, 200 classes; the official validation images are test.

    Images are `[N, 64, 64, 3]`, uint8, or grey; the test images are in the order of
    their numbers. The official test images have no labels and are not used.
    """
    return several_splits(
        "tin",
        argument,
        ORIGIN,
        _load,
        ("train", "test"),
        family="cifar",
        shape=Shape(3, 64, 64),
    )


def _load(split: SplitName) -> Split:
    folder = fetched(ARCHIVE) / "tiny-imagenet-200"
    if split == "train":
        return class_folders(folder / "train")
    rows = _rows(folder / "val" / "val_annotations.txt")
    paths = [folder / "val" / "images" / name for _, name, _ in rows]
    return labelled(paths, [wnid for *_, wnid in rows])


def _rows(path: Path) -> list[tuple[int, str, str]]:
    """Returns number, file and class of lines such as `val_7.JPEG n03444034 0 …`."""
    words = [line.split() for line in path.read_text("ascii").splitlines()]
    return sorted((int(name[4:-5]), name, wnid) for name, wnid, *_ in words)

"""CIFAR-10, CIFAR-100 and SVHN, downloaded and checked by torchvision."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.dataset import parse_classes, select_classes
from oodbench.data.download import data_folder


def cifar10(argument: str) -> Dataset:
    """Opens CIFAR-10, or some of its ten classes: `cifar10:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 5,000 training images are val.

    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _dataset("cifar10", argument, _read_cifar10, classes=10, family="cifar")


def cifar100(argument: str) -> Dataset:
    """Opens CIFAR-100 with its fine labels, or some of them: `cifar100:0-49`.

    Images, val and source are as those of `cifar10`.
    """
    return _dataset("cifar100", argument, _read_cifar100, classes=100, family="cifar")


def svhn(argument: str) -> Dataset:
    """Opens the cropped Street View House Numbers, or some of the digits: `svhn:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 7,325 training images are val.

    Netzer, Wang, Coates, Bissacco, Wu and Ng, Reading Digits in Natural Images with
    Unsupervised Feature Learning, NIPS Workshop on Deep Learning 2011.
    """
    return _dataset("svhn", argument, _read_svhn, classes=10, family="house numbers")


class Labelled(NamedTuple):
    """All images of a file."""

    images: NDArray[np.uint8]
    """`[N, 32, 32, 3]`."""
    labels: NDArray[np.int64]
    """`[N]`."""


def _dataset(
    name: str,
    argument: str,
    read: Callable[[bool], Labelled],
    *,
    classes: int,
    family: str,
) -> Dataset:
    chosen = parse_classes(argument, classes, dataset=name)

    def load(split: SplitName, shape: Shape) -> Split:
        part = _cut(read(split != "test"), split)
        return select_classes(part, chosen) if argument else part

    return Dataset(
        name=f"{name}:{argument}" if argument else name,
        load=load,
        role="far",
        splits=("train", "val", "test"),
        family=family,
    )


def _cut(whole: Labelled, split: SplitName) -> Split:
    """Returns a split's share; the last tenth of the training images is val."""
    count = len(whole.labels)
    border = count - count // 10
    parts = {"train": slice(border), "val": slice(border, count), "test": slice(count)}
    part = parts[split]
    return Split(np.ascontiguousarray(whole.images[part]), whole.labels[part])


def _read_cifar10(train: bool) -> Labelled:
    from torchvision.datasets import CIFAR10

    return _read_cifar("cifar10", CIFAR10, train)


def _read_cifar100(train: bool) -> Labelled:
    from torchvision.datasets import CIFAR100

    return _read_cifar("cifar100", CIFAR100, train)


def _read_cifar(name: str, kind: Any, train: bool) -> Labelled:
    def fetch(folder: Path) -> Any:
        return kind(folder, train=train, download=True)

    found = _fetched(name, kind.filename, kind.tgz_md5, fetch)
    return Labelled(found.data, np.array(found.targets, np.int64))


def _read_svhn(train: bool) -> Labelled:
    from torchvision.datasets import SVHN

    part = "train" if train else "test"
    _, file, md5 = SVHN.split_list[part]

    def fetch(folder: Path) -> Any:
        return SVHN(folder, split=part, download=True)

    found = _fetched("svhn", file, md5, fetch)
    return Labelled(found.data.transpose(0, 2, 3, 1), found.labels)  # from [N, C, H, W]


def _fetched(name: str, file: str, md5: str, fetch: Callable[[Path], Any]) -> Any:
    """Returns torchvision's set; `file` is what it downloads."""
    folder = data_folder()
    try:
        return fetch(folder)
    except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
        raise InputError(
            f"{name} cannot be read or downloaded ({type(error).__name__}: {error})."
            f"{_set_aside(folder / file, md5)} Put {file} into {folder} by hand, or "
            "name the folder that has it in the environment variable OODBENCH_DATA."
        ) from error


def _set_aside(path: Path, md5: str) -> str:
    """Renames a broken file, which torchvision leaves in place, and says so."""
    from torchvision.datasets.utils import check_integrity

    if not path.is_file() or check_integrity(path, md5):
        return ""
    aside = path.with_name(f"{path.name}.broken")
    try:
        path.replace(aside)
    except OSError:
        return f" The {path.name} there has a wrong checksum."
    return f" What was there had a wrong checksum and is now {aside.name}."

"""Street View House Numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oodbench import Dataset
from oodbench.data.download import fetched
from oodbench.datasets._torchvision import Labelled, labelled_set


def svhn(argument: str) -> Dataset:
    """Opens the cropped Street View House Numbers, or some of the digits: `svhn:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 7,325 training images are val.

    Netzer, Wang, Coates, Bissacco, Wu and Ng, Reading Digits in Natural Images with
    Unsupervised Feature Learning, NIPS Workshop on Deep Learning 2011.
    """
    return labelled_set("svhn", argument, _read, classes=10, family="house numbers")


def _read(train: bool) -> Labelled:
    from torchvision.datasets import SVHN

    part = "train" if train else "test"
    _, file, md5 = SVHN.split_list[part]

    def fetch(folder: Path) -> Any:
        return SVHN(folder, split=part, download=True)

    found = fetched("svhn", file, md5, fetch)
    return Labelled(found.data.transpose(0, 2, 3, 1), found.labels)  # from [N, C, H, W]

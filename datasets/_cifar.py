"""The archives of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import pickle
import tarfile
from typing import Any

import numpy as np

from oodbench import InputError
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Source
from oodbench.datasets._labelled import Labelled
from oodbench.datasets._pickled import ArraysAlone

CITATION = (
    "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical "
    "report, University of Toronto 2009"
)
HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SIDES = (3, 32, 32)


def read_batches(source: Source, names: list[str], labels: str) -> Labelled:
    """Returns the images of some files of an archive; no code in them is run.

    Args:
        source: The archive.
        names: Of the files.
        labels: The files' name for the labels.

    Raises:
        InputError: The archive is not what it should be.
    """
    path = fetched(source)
    try:
        with tarfile.open(path) as archive:
            batches = [_read(archive, name) for name in names]
        rows = np.concatenate([batch["data"] for batch in batches])
        numbers = np.concatenate([batch[labels] for batch in batches])
        images = rows.reshape(-1, *SIDES).transpose(0, 2, 3, 1)
    except (tarfile.TarError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error
    return Labelled(images, numbers.astype(np.int64))


def _read(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    found: dict[str, Any] = ArraysAlone(file, encoding="latin1").load()
    return found

"""PatchCamelyon."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.datasets._files import several_splits

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
TABLES = {
    ("train", "x"): (
        "1Ka0XfEMiwgCYPdTI-vv6eUElOBnKFKQ2",
        "1571f514728f59376b705fc836ff4b63",
    ),
    ("train", "y"): (
        "1269yhu3pZDP8UYFQs-NYs3FPwuK-nGSG",
        "35c2d7259d906cfc8143347bb8e05be7",
    ),
    ("val", "x"): (
        "1hgshYGWK8V-eGRy8LToWJJgDU_rXWVJ3",
        "d5b63470df7cfa627aeec8b9dc0c066e",
    ),
    ("val", "y"): (
        "1bH8ZRbhSVAhScTS0p9-ZzGnX91cHT3uO",
        "2b85f58b927af9964a4c15b8f7e8f179",
    ),
    ("test", "x"): (
        "1qV65ZqZvWzuIVthK8eVDhIwrbnsJdbg_",
        "d8c2d60d490dbd479f8199bdfa0cf6ec",
    ),
    ("test", "y"): (
        "17BHrSrwWKjYsOgTMmoqrIjDy6Fa2o_gP",
        "60a7035772fbdb7f34eb86d4420cf66a",
    ),
}
"""Google Drive's id and the MD5 of each split's images, x, and labels, y."""


def _source(split: SplitName, part: str) -> Source:
    drive_id, md5 = TABLES[split, part]
    name = "valid" if split == "val" else split
    return Source(
        f"pcam/camelyonpatch_level_2_split_{name}_{part}.h5.gz",
        (DRIVE + drive_id,),
        checksum=f"md5:{md5}",
        stated_by="torchvision 0.29.1",
        unpack=True,
        splits=(split,),
    )


SOURCES = {(split, part): _source(split, part) for split in SPLITS for part in "xy"}
ORIGIN = Origin(
    tuple(SOURCES.values()),
    images="262,144 train, 32,768 val, 32,768 test (unverified)",
    citation="Veeling, Linmans, Winkens, Cohen and Welling, Rotation Equivariant CNNs "
    "for Digital Pathology, MICCAI 2018, arXiv 1806.03962",
    homepage="https://github.com/basveeling/pcam",
    trouble="Its files need the package h5py: pip install 'oodbench[pcam]'.",
)


def pcam(argument: str) -> Dataset:
    """Opens patches of lymph nodes with and without tumour, in the official splits.

    Images are `[N, 96, 96, 3]`, uint8, read as they are needed.
    """
    return several_splits(
        "pcam",
        argument,
        ORIGIN,
        _load,
        SPLITS,
        family="tissue",
        shape=Shape(3, 96, 96),
    )


def _load(split: SplitName) -> Split:
    images, labels = (_table(fetched(SOURCES[split, part]), part) for part in "xy")
    return Split(images, np.asarray(labels[:]).reshape(-1).astype(np.int64))


def _table(folder: Path, key: str) -> Any:
    """Returns the array of the one file in a folder; its slices are read from there."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise InputError(
            "pcam needs the package h5py: pip install 'oodbench[pcam]'."
        ) from error
    (path,) = folder.iterdir()
    return h5py.File(path)[key]

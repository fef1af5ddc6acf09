"""ImageNet-1k, from a folder of the user's."""

from __future__ import annotations

import os
from pathlib import Path

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.folder import data_folder
from oodbench.data.sources.source import Origin
from oodbench.datasets._files import images_in, labelled

FOLDER = "OODBENCH_IMAGENET"
"""Environment variable with the folder."""
CLASSES = 1000
ORIGIN = Origin(
    (),
    images="1,281,167 train (unverified), 50,000 test",
    citation="Russakovsky and others, ImageNet Large Scale Visual Recognition "
    "Challenge, International Journal of Computer Vision 2015, arXiv 1409.0575",
    licence="terms of access, non-commercial (pytorch-ood)",
    homepage="https://www.image-net.org/",
    trouble="It may not be passed on. Put its folders train and val, each with a "
    f"folder per class, into one that ${FOLDER} names. OpenOOD tests on 45,000 of the "
    "val images and validates on 5 of each class.",
)
PARTS: dict[SplitName, str] = {"train": "train", "test": "val"}


def imagenet(argument: str) -> Dataset:
    """Opens ImageNet-1k from a folder: `imagenet:PATH`, or $OODBENCH_IMAGENET.

    The folder has the folders `train` and `val`, each with one folder per class, named
    as n01440764. The official validation images are the test split, in the order of
    their numbers. Images have various sizes; classes are numbered in the order of their
    folders' names, as is usual.
    """
    named = argument or os.environ.get(FOLDER)
    root = Path(named).expanduser() if named else data_folder() / "imagenet"

    def load(split: SplitName, shape: Shape) -> Split:
        folder = root / PARTS[split]
        if not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}; write imagenet:PATH, or name the folder "
                f"with train and val in the environment variable {FOLDER}."
            )
        paths = images_in(folder)
        if split == "test":  # lists of others name these images by number
            paths.sort(key=lambda path: path.name)
        found = labelled(paths, [path.relative_to(folder).parts[0] for path in paths])
        if len(found.class_names) != CLASSES:
            raise InputError(
                f"{folder} has {len(found.class_names)} folders of classes, and "
                f"ImageNet-1k has {CLASSES}; write folder:{folder} for another set."
            )
        return found

    return Dataset(
        name="imagenet",
        load=load,
        role="far",
        splits=("train", "test"),
        family="imagenet",
        label_space="imagenet",
        origin=ORIGIN,
    )

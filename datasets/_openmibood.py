"""The benchmarks of OpenMIBOOD: its lists, and images in a folder of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from oodbench import Dataset, InputError, Role, Shape, Split, SplitName
from oodbench.data.image_files import ImageFiles
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.folder import data_folder
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import chosen

LISTS = "https://raw.githubusercontent.com/remic-othr/OpenMIBOOD/main/data"
PREFIXES: dict[SplitName, str] = {"train": "train", "val": "valid", "test": "test"}


class Part(NamedTuple):
    """A part of a benchmark."""

    suffix: str
    """End of the names of its lists."""
    role: Role
    """For the benchmark's in-distribution set."""
    images: str
    split: SplitName = "test"
    """The only split."""


def medical_set(
    name: str,
    argument: str,
    inside: str,
    parts: Mapping[str, Part],
    shape: Shape | None,
) -> Dataset:
    """Returns a benchmark's in-distribution set, or the part that the argument names.

    Args:
        name: Of the benchmark.
        argument: The text behind its name.
        inside: How many images the in-distribution set has.
        parts: The others, by name.
        shape: Of the images, if all have one.

    Raises:
        InputError: There is no such part.
    """
    part = parts[chosen(name, argument, list(parts))] if argument else None
    splits: tuple[SplitName, ...] = (part.split,) if part else ("train", "val", "test")
    suffix, role, images, _ = part or Part("", "covariate", inside)
    sources = {split: _list(name, suffix, split) for split in splits}

    def load(split: SplitName, shape: Shape) -> Split:
        lines = fetched(sources[split]).read_text("ascii").splitlines()
        rows = [line.rsplit(" ", 1) for line in lines if line]
        folder = data_folder() / "openmibood" / name
        if not folder.is_dir():
            raise InputError(
                f"{name} needs its images in {folder}; prepare them with the scripts "
                "of https://github.com/remic-othr/OpenMIBOOD and link data there."
            )
        paths = [folder / place for place, _ in rows]
        labels = np.array([int(label) for _, label in rows], np.int64)
        # The lists of near parts have classes, too; as OOD images they have none here.
        return Split(ImageFiles(paths), labels if role == "covariate" else None)

    return Dataset(
        name=f"{name}:{argument}" if argument else name,
        load=load,
        role="far",
        splits=splits,
        family="" if role == "far" else name,
        label_space=name if role == "covariate" else "",
        shape=shape,
        origin=Origin(
            tuple(sources.values()),
            images,
            citation="Gutbrod, Rauber, Weber Nunes and Palm, OpenMIBOOD: Open Medical "
            "Imaging Benchmarks for Out-Of-Distribution Detection, CVPR 2025, arXiv "
            "2503.16247",
            homepage="https://github.com/remic-othr/OpenMIBOOD",
            trouble="Only the lists are fetched. The images come from many owners, "
            "with terms of their own, and OpenMIBOOD's scripts prepare them.",
        ),
    )


def _list(name: str, suffix: str, split: SplitName) -> Source:
    file = f"{PREFIXES[split]}_{name}{suffix}.txt"
    return Source(
        f"openmibood/lists/{name}/{file}",
        (f"{LISTS}/benchmark_imglist/{name}/{file}",),
        splits=(split,),
    )

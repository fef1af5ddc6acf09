"""The corrupted test images of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from oodbench import Dataset, Grade, InputError, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._joined import Joined

KINDS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost"),
    *("gaussian_blur", "gaussian_noise", "glass_blur", "impulse_noise"),
    *("jpeg_compression", "motion_blur", "pixelate", "saturate", "shot_noise", "snow"),
    *("spatter", "speckle_noise", "zoom_blur"),
)
SEVERITIES = 5
IMAGES = f"{len(KINDS)} corruptions x {SEVERITIES} severities x 10,000"
CITATION = (
    "Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common "
    "Corruptions and Perturbations, ICLR 2019, arXiv 1903.12261"
)


def corrupted_cifar(
    inner: str, argument: str, archive: Source, origin: Origin
) -> Dataset:
    """Returns the images of one corruption and severity, of one corruption, or all.

    They are read from the archive as they are needed.

    Args:
        inner: The name of the set that is corrupted.
        argument: `fog:3`, `fog` or nothing.
        archive: The tar archive.
        origin: Of the set.
    """
    name = f"{inner}c"
    kinds, severity = parse_corruption(name, argument, KINDS)

    def load(split: SplitName, shape: Shape) -> Split:
        path = fetched(archive)
        labels = _mapped(path, "labels")
        parts = [_mapped(path, kind) for kind in kinds]
        count = len(labels) // SEVERITIES
        if any(len(part) != len(labels) for part in parts):
            raise InputError(f"{path} has not one label per image; remove it.")
        first, stop = (severity - 1) * count, severity * count
        rows = slice(first, stop) if severity else slice(None)
        numbers = np.tile(labels[rows].astype(np.int64), len(parts))
        return Split(Joined([part[rows] for part in parts]), numbers)

    return Dataset(
        name=f"{name}:{argument}" if argument else name,
        load=load,
        role="far",
        family="cifar",
        label_space=inner,
        shape=Shape(3, 32, 32),
        origin=origin,
        grade=grade_of(name, kinds, severity),
    )


def parse_corruption(
    name: str, argument: str, kinds: Sequence[str]
) -> tuple[Sequence[str], int]:
    """Returns the corruptions and the severity that `fog:3` names; 0 for all five.

    Raises:
        InputError: There is no such corruption or severity.
    """
    match = re.fullmatch(r"(\w+)(?::([1-5]))?", argument)
    if argument and not (match and match[1] in kinds):
        raise InputError(
            f"{name}:{argument} names no corruption; write {name}:KIND or "
            f"{name}:KIND:SEVERITY with a severity from 1 to {SEVERITIES} and one of "
            f"{', '.join(kinds)}."
        )
    return ((match[1],), int(match[2] or 0)) if match else (kinds, 0)


def grade_of(name: str, kinds: Sequence[str], severity: int) -> Grade | None:
    """Returns the place of a set of one corruption and severity; None for several."""
    return Grade(f"{name}:{kinds[0]}", severity) if severity else None


def _mapped(path: Path, kind: str) -> NDArray[np.uint8]:
    """Returns an array in a tar archive, which is not read before it is needed."""
    try:
        with tarfile.open(path, "r:") as archive:
            member = next(m for m in archive if m.name.endswith(f"/{kind}.npy"))
            file = archive.extractfile(member)
            if file is None:
                raise ValueError(f"{member.name} is no file")
            npy.read_magic(file)
            shape, fortran, dtype = npy.read_array_header_1_0(file)
            place = member.offset_data + file.tell()
        if fortran or (dtype != np.uint8 and kind != "labels"):
            raise ValueError(f"{member.name} has another format")
        return np.memmap(path, dtype, "r", place, shape)
    except (tarfile.TarError, StopIteration, ValueError) as error:
        raise InputError(
            f"{path} cannot be read at {kind} ({error}); remove it."
        ) from error

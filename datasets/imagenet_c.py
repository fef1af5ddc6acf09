"""ImageNet-C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.data.sources.unpacked import UnpackedFiles
from oodbench.datasets._cifar_c import CITATION, SEVERITIES, grade_of, parse_corruption
from oodbench.datasets._files import images_in, inner, labelled
from oodbench.datasets.imagenet import CLASSES


def _archive(name: str, md5: str) -> Source:
    return Source(
        f"imagenet_c/{name}.tar",
        (f"https://zenodo.org/record/2235448/files/{name}.tar",),
        checksum=f"md5:{md5}",
        stated_by="pytorch-ood, torch-uncertainty and detectors",
        unpack=True,
    )


ARCHIVES = {
    _archive("blur", "2d8e81fdd8e07fef67b9334fa635e45c"): (
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    ),
    _archive("digital", "89157860d7b10d5797849337ca2e5c03"): (
        *("contrast", "elastic_transform", "jpeg_compression", "pixelate"),
    ),
    _archive("extra", "d492dfba5fc162d8ec2c3cd8ee672984"): (
        *("gaussian_blur", "saturate", "spatter", "speckle_noise"),
    ),
    _archive("noise", "e80562d7f6c3f8834afb1ecf27252745"): (
        *("gaussian_noise", "impulse_noise", "shot_noise"),
    ),
    _archive("weather", "33ffea4db4d93fe4a428c40a6ce0c25d"): (
        *("brightness", "fog", "frost", "snow"),
    ),
}
"""The archives, and the corruptions in each."""
LISTED_ARCHIVES = tuple(each for each in ARCHIVES if each.name != "extra.tar")
"""Those of OpenOOD's lists."""
LISTED = sorted(kind for archive in LISTED_ARCHIVES for kind in ARCHIVES[archive])
"""The 15 corruptions of the lists."""
ORIGIN = Origin(
    tuple(ARCHIVES),
    images="19 corruptions x 5 severities x 50,000",
    citation=CITATION,
    licence="CC-BY-4.0 (pytorch-ood)",
    homepage="https://zenodo.org/record/2235448",
    trouble="OpenOOD takes 10,000 of these images for ImageNet-1k and 2,000 for "
    "ImageNet-200: openood:imagenet1k/imagenet_c.",
)


def imagenet_c(argument: str) -> Dataset:
    """Opens corrupted ImageNet images: `imagenet_c:fog:3`, `imagenet_c:fog` or all.

    The number is the severity, from 1 to 5; without it there are all five, one behind
    another. Only the archives that are needed are fetched, 7 to 21 GB each. Images are
    224x224, all in the test split; classes have the names of ImageNet's folders.
    """
    every = sorted(kind for kinds in ARCHIVES.values() for kind in kinds)
    kinds, severity = parse_corruption("imagenet_c", argument, every)
    archives = {kind: archive for archive in ARCHIVES for kind in ARCHIVES[archive]}
    levels = [severity] if severity else range(1, SEVERITIES + 1)

    def load(split: SplitName, shape: Shape) -> Split:
        paths = [
            path
            for kind in kinds
            for level in levels
            for path in images_in(_root(archives[kind], kind) / str(level))
        ]
        return labelled(paths, [path.parent.name for path in paths])

    return Dataset(
        name=f"imagenet_c:{argument}" if argument else "imagenet_c",
        load=load,
        role="far",
        family="imagenet",
        label_space="imagenet",
        origin=replace(
            ORIGIN, sources=tuple(dict.fromkeys(archives[kind] for kind in kinds))
        ),
        grade=grade_of("imagenet_c", kinds, severity),
    )


def listed(
    numbers: NDArray[np.uint16], corruptions: NDArray[np.uint8], classes: Sequence[int]
) -> Split:
    """Returns ten images of each class, as the lists of OpenOOD name them.

    Args:
        numbers: `[10 K]`, the images' numbers in ImageNet's validation, from 1.
        corruptions: `[10 K]`, five times the place in `LISTED`, plus severity less 1.
        classes: K of the 1,000 classes, which are numbered from 0.

    Raises:
        InputError: An archive has other folders than one for each class.
    """
    archives = {kind: archive for archive in ARCHIVES for kind in ARCHIVES[archive]}
    roots = [_root(archives[kind], kind) for kind in LISTED]
    folders = sorted(path.name for path in (roots[0] / "1").iterdir() if path.is_dir())
    if len(folders) != CLASSES:
        raise InputError(
            f"{roots[0] / '1'} has {len(folders)} folders of classes, and ImageNet-C "
            f"has {CLASSES}; remove it and fetch imagenet_c again."
        )
    names = [folders[each] for each in classes]
    labels = np.repeat(np.arange(len(classes)), 10)
    paths = [
        roots[code // SEVERITIES]
        / str(code % SEVERITIES + 1)
        / names[label]
        / f"ILSVRC2012_val_{number:08}.JPEG"
        for number, code, label in zip(numbers, corruptions, labels, strict=True)
    ]
    return Split(UnpackedFiles(paths), labels, class_names=tuple(names))


def _root(archive: Source, kind: str) -> Path:
    """Returns a corruption's folder, at the top of its archive or one level below."""
    folder = fetched(archive)
    return folder / kind if (folder / kind).is_dir() else inner(folder) / kind

"""ImageNet-V2."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oodbench import Dataset, Split
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.data.sources.unpacked import UnpackedFiles
from oodbench.datasets._files import images_in, one_split

ARCHIVE = Source(
    "imagenet_v2/imagenet_v2.zip",
    (DRIVE + "1akg2IiE22HcbvTBpwXQoD7tgfPCdkoho",),
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="10,000",
    citation="Recht, Roelofs, Schmidt and Shankar, Do ImageNet Classifiers "
    "Generalize to ImageNet?, ICML 2019, arXiv 1902.10811",
    homepage="https://github.com/Jingkang50/OpenOOD",
    trouble="OpenOOD takes 2,000 of the images for ImageNet-200.",
)


def imagenet_v2(argument: str) -> Dataset:
    """Opens new photographs of the ImageNet classes, as OpenOOD distributes them.

    Images have various sizes and are all in the test split. Labels are the numbers of
    the 1,000 classes.
    """
    return one_split(
        "imagenet_v2",
        argument,
        ORIGIN,
        _load,
        family="imagenet",
        label_space="imagenet",
    )


def _load(root: Path) -> Split:
    paths = images_in(root)
    # The folders are called by number.
    labels = np.array([int(path.parent.name) for path in paths], np.int64)
    return Split(UnpackedFiles(paths), labels)

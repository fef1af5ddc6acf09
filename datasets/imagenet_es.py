"""ImageNet-ES."""

from __future__ import annotations

from pathlib import Path

from oodbench import Dataset, Split
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.datasets._files import images_in, labelled, one_split

ARCHIVE = Source(
    "imagenet_es/imagenet_es.zip",
    (DRIVE + "1ATz11vKmPqyzfEaEDRaPTF9TXiC244sw",),
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="64,000 (stated by pytorch-ood)",
    citation="Baek and others, Unexplored Faces of Robustness and "
    "Out-of-Distribution: Covariate Shifts in Environment and Sensor "
    "Domains, CVPR 2024, arXiv 2404.15882",
    homepage="https://github.com/Edw2n/ImageNet-ES",
    trouble="Its archive also holds the images before the shift, which are left out. "
    "It has 200 of the 1,000 classes.",
)
UNSHIFTED = "sampled_tin_no_resize2"
"""The folder of the images before the shift."""


def imagenet_es(argument: str) -> Dataset:
    """Opens photographs of a screen under many lights and camera settings.

    They show ImageNet images of 200 classes, as OpenOOD distributes them. Images have
    various sizes and are all in the test split. Classes have the names of ImageNet's
    folders.
    """
    return one_split(
        "imagenet_es",
        argument,
        ORIGIN,
        _load,
        family="imagenet",
        label_space="imagenet",
    )


def _load(root: Path) -> Split:
    paths = [p for p in images_in(root) if UNSHIFTED not in p.parts]
    return labelled(paths, [path.parent.name for path in paths])

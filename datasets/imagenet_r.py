"""ImageNet-R."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, one_split

ARCHIVE = Source(
    "imagenet_r/imagenet-r.tar",
    ("https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",),
    checksum="md5:a61312130a589d0ca1a8fca1f2bd3337",
    stated_by="pytorch-ood, torch-uncertainty and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="30,000",
    citation="Hendrycks and others, The Many Faces of Robustness: a Critical "
    "Analysis of Out-of-Distribution Generalization, ICCV 2021, arXiv "
    "2006.16241",
    homepage="https://github.com/hendrycks/imagenet-r",
    trouble="It has 200 of the 1,000 classes.",
)


def imagenet_r(argument: str) -> Dataset:
    """Opens drawings, sculptures and other renditions of 200 ImageNet classes.

    Images have various sizes and are all in the test split. Classes have the names of
    ImageNet's folders.
    """
    return one_split(
        "imagenet_r",
        argument,
        ORIGIN,
        lambda root: class_folders(root / "imagenet-r"),
        family="imagenet",
        label_space="imagenet",
    )

"""NINCO."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, one_split

ARCHIVE = Source(
    "ninco/NINCO_all.tar.gz",
    ("https://zenodo.org/record/8013288/files/NINCO_all.tar.gz",),
    checksum="md5:b9ffae324363cd900a81ce3c367cd834",
    stated_by="pytorch-ood and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="5,879",
    citation="Bitterwolf, Müller and Hein, In or Out? Fixing ImageNet "
    "Out-of-Distribution Detection Evaluation, ICML 2023, arXiv 2306.00826",
    licence="CC-BY-4.0 (pytorch-ood)",
    homepage="https://github.com/j-cb/NINCO",
    trouble="The archive also holds parts of other sets, which are left out.",
)


def ninco(argument: str) -> Dataset:
    """Opens photographs of 64 classes that are none of ImageNet's, each looked at.

    Images have various sizes and are all in the test split.
    """
    return one_split(
        "ninco",
        argument,
        ORIGIN,
        lambda root: class_folders(root / "NINCO" / "NINCO_OOD_classes"),
        family="imagenet",
    )

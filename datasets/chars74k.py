"""Chars74K, characters in photographs."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, one_split

ARCHIVE = Source(
    "chars74k/EnglishImg.tgz",
    (
        "https://info-ee.surrey.ac.uk/CVSSP/demos/chars74k/EnglishImg.tgz",
        "http://www.ee.surrey.ac.uk/CVSSP/demos/chars74k/EnglishImg.tgz",
    ),
    checksum="md5:85d157e0c58f998e1cda8def62bcda0d",
    stated_by="pytorch-ood and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="at most 7,705 (unverified)",
    citation="de Campos, Babu and Varma, Character Recognition in Natural Images, "
    "VISAPP 2009",
    licence="no explicit licence (pytorch-ood)",
    homepage="https://info-ee.surrey.ac.uk/CVSSP/demos/chars74k/",
    trouble="It has digits, too; the Outlier Exposure paper takes the letters alone.",
)


def chars74k(argument: str) -> Dataset:
    """Opens digits and letters cut out of photographs, 62 classes.

    Images have various sizes and are all in the test split.
    """
    return one_split(
        "chars74k",
        argument,
        ORIGIN,
        lambda root: class_folders(root / "English" / "Img" / "GoodImg" / "Bmp"),
        family="characters",
    )

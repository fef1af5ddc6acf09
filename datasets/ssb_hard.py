"""SSB-hard."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "ssb_hard/ssb_hard.zip", (DRIVE + "1PzkA-WGG8Z18h0ooL_pDdz9cO-DCIouE",), unpack=True
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="49,000",
    citation="Vaze, Han, Vedaldi and Zisserman, Open-Set Recognition: a Good "
    "Closed-Set Classifier is All You Need?, ICLR 2022, arXiv 2110.06207",
    homepage="https://github.com/Jingkang50/OpenOOD",
)


def ssb_hard(argument: str) -> Dataset:
    """Opens photographs of ImageNet-21k classes near those of ImageNet-1k.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("ssb_hard", argument, ORIGIN, loose, family="imagenet")

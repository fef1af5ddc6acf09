"""EuroSAT."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, one_split

ARCHIVE = Source(
    "eurosat/EuroSAT.zip",
    (
        "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
    ),
    checksum="md5:c8fa014336c82ac7804f0398fcb19387",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="27,000",
    citation="Helber, Bischke, Dengel and Borth, EuroSAT: a Novel Dataset and Deep "
    "Learning Benchmark for Land Use and Land Cover Classification, arXiv "
    "1709.00029",
    homepage="https://github.com/phelber/eurosat",
)


def eurosat(argument: str) -> Dataset:
    """Opens satellite images of ten kinds of land, in colour.

    Images are `[N, 64, 64, 3]`, uint8, all in the test split.
    """
    return one_split(
        "eurosat",
        argument,
        ORIGIN,
        lambda root: class_folders(root / "2750"),
        family="satellite images",
        shape=Shape(3, 64, 64),
    )

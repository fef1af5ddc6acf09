"""notMNIST."""

from __future__ import annotations

from dataclasses import replace

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import chosen, class_folders, inner

FOLDER = "https://zenodo.org/record/8274268/files"
SMALL = Source(
    "notmnist/notMNIST_small.zip",
    (f"{FOLDER}/notMNIST_small.zip",),
    checksum="md5:3de91fb69221d9c2d5c57387101ebc6c",
    stated_by="torch-uncertainty 0.13.0",
    unpack=True,
)
LARGE = Source(
    "notmnist/notMNIST_large.zip",
    (f"{FOLDER}/notMNIST_large.zip",),
    checksum="md5:c3f9e0862df000a897766593044e366a",
    stated_by="torch-uncertainty 0.13.0",
    unpack=True,
)
ORIGIN = Origin(
    (SMALL,),
    images="18,724 (unverified)",
    citation="Bulatov, notMNIST dataset, 2011",
    homepage="https://zenodo.org/record/8274268",
    trouble="A few files cannot be read and are left out.",
)


def notmnist(argument: str) -> Dataset:
    """Opens the letters A to J in many fonts: `notmnist`, or `notmnist:large`.

    Images are 28x28, grey, all in the test split.
    """
    large = chosen("notmnist", argument, ["small", "large"]) == "large"
    source = LARGE if large else SMALL

    def load(split: SplitName, shape: Shape) -> Split:
        return class_folders(inner(fetched(source)))

    return Dataset(
        name="notmnist:large" if large else "notmnist",
        load=load,
        role="far",
        family="characters",
        shape=Shape(1, 28, 28),
        skip_unreadable=True,
        origin=replace(ORIGIN, sources=(LARGE,), images="unknown") if large else ORIGIN,
    )

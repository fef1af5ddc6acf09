"""Food-101."""

from __future__ import annotations

import json

from oodbench import Dataset, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import labelled, several_splits

ARCHIVE = Source(
    "food101/food-101.tar.gz",
    ("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
    checksum="md5:85eeb15f3717b99a5da872d97d918f87",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="75,750 train, 25,250 test (unverified)",
    citation="Bossard, Guillaumin and Van Gool, Food-101: Mining Discriminative "
    "Components with Random Forests, ECCV 2014",
    homepage="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
)


def food101(argument: str) -> Dataset:
    """Opens photographs of 101 dishes.

    Images have various sizes; there are the splits train and test.
    """
    return several_splits(
        "food101", argument, ORIGIN, _load, ("train", "test"), family="food"
    )


def _load(split: SplitName) -> Split:
    folder = fetched(ARCHIVE) / "food-101"
    lists = json.loads((folder / "meta" / f"{split}.json").read_bytes())
    names = sorted(name for part in lists.values() for name in part)
    return labelled(
        [folder / "images" / f"{name}.jpg" for name in names],
        [name.partition("/")[0] for name in names],
    )

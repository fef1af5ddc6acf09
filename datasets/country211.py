"""Country211."""

from __future__ import annotations

from oodbench import Dataset, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, several_splits

ARCHIVE = Source(
    "country211/country211.tgz",
    ("https://openaipublic.azureedge.net/clip/data/country211.tgz",),
    checksum="md5:84988d7644798601126c29e9877aab6a",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="not counted",
    citation="Radford and others, Learning Transferable Visual Models From Natural "
    "Language Supervision, ICML 2021, arXiv 2103.00020",
    homepage="https://github.com/openai/CLIP/blob/main/data/country211.md",
)
FOLDERS: dict[SplitName, str] = {"train": "train", "val": "valid", "test": "test"}


def country211(argument: str) -> Dataset:
    """Opens photographs from 211 countries, the classes, in the official splits.

    Images have various sizes.
    """
    return several_splits(
        "country211",
        argument,
        ORIGIN,
        _load,
        ("train", "val", "test"),
        family="photographs",
    )


def _load(split: SplitName) -> Split:
    return class_folders(fetched(ARCHIVE) / "country211" / FOLDERS[split])

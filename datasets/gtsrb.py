"""German traffic signs."""

from __future__ import annotations

import csv

from oodbench import Dataset, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, labelled, several_splits

FOLDER = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
TRAIN = Source(
    "gtsrb/GTSRB-Training_fixed.zip",
    (f"{FOLDER}/GTSRB-Training_fixed.zip",),
    checksum="md5:513f3c79a4c5141765e10e952eaa2478",
    stated_by="torchvision 0.29.1",
    unpack=True,
    splits=("train",),
)
TEST = Source(
    "gtsrb/GTSRB_Final_Test_Images.zip",
    (f"{FOLDER}/GTSRB_Final_Test_Images.zip",),
    checksum="md5:c7e4e6327067d32654124b0fe9e82185",
    stated_by="torchvision 0.29.1",
    unpack=True,
    splits=("test",),
)
LABELS = Source(
    "gtsrb/GTSRB_Final_Test_GT.zip",
    (f"{FOLDER}/GTSRB_Final_Test_GT.zip",),
    checksum="md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    stated_by="torchvision 0.29.1",
    unpack=True,
    splits=("test",),
)
ORIGIN = Origin(
    (TRAIN, TEST, LABELS),
    images="26,640 train, 12,630 test (unverified)",
    citation="Stallkamp, Schlipsing, Salmen and Igel, The German Traffic Sign "
    "Recognition Benchmark, IJCNN 2011",
    homepage="https://benchmark.ini.rub.de/",
)


def gtsrb(argument: str) -> Dataset:
    """Opens photographs of German traffic signs, 43 classes.

    Images have various sizes; there are the splits train and test.
    """
    return several_splits(
        "gtsrb", argument, ORIGIN, _load, ("train", "test"), family="traffic signs"
    )


def _load(split: SplitName) -> Split:
    if split == "train":
        return class_folders(fetched(TRAIN) / "GTSRB" / "Training")
    folder = fetched(TEST) / "GTSRB" / "Final_Test" / "Images"
    table = fetched(LABELS) / "GT-final_test.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return labelled(
        [folder / row["Filename"] for row in rows],
        [f"{int(row['ClassId']):05d}" for row in rows],  # as the training folders
    )

"""LSUN's test images, from a folder of the user's."""

from __future__ import annotations

from dataclasses import replace

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.source import Origin
from oodbench.data.spec import open_dataset

ORIGIN = Origin(
    (),
    images="10,000 test",
    citation="Yu and others, LSUN: Construction of a Large-scale Image Dataset using "
    "Deep Learning with Humans in the Loop, arXiv 1506.03365",
    homepage="https://www.yf.io/p/lsun",
    trouble="It comes as an lmdb, which oodbench does not read. Export its test images "
    "to a folder and write lsun:FOLDER, in a benchmark --set lsun=lsun:FOLDER.",
)


def lsun(argument: str) -> Dataset:
    """Opens the test images of LSUN that were exported to a folder: `lsun:FOLDER`.

    Images have various sizes, are all in the test split and have no labels.
    """

    def absent(split: SplitName, shape: Shape) -> Split:
        raise InputError(f"There is no folder of lsun. {ORIGIN.trouble}")

    known = Dataset("lsun", absent, "far", family="scenes", origin=ORIGIN)
    if not argument:
        return known
    found = open_dataset(f"folder:{argument}")

    def load(split: SplitName, shape: Shape) -> Split:
        return Split(found.load(split, shape).images)

    return replace(known, load=load, shape=found.shape, place=found.place)

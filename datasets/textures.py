"""Textures for ImageNet: DTD without four classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from oodbench import Dataset, Split
from oodbench.datasets._dtd import ORIGIN
from oodbench.datasets._files import images_in, labelled, one_split

LEFT_OUT = ("bubbly", "cobwebbed", "honeycombed", "spiralled")
"""The classes that OpenOOD's list for ImageNet, `test_textures.txt`, does not have."""


def textures(argument: str) -> Dataset:
    """Opens the textures whose classes do not overlap ImageNet's, 43 classes.

    Images have various sizes and are all in the test split. It is the set for ImageNet
    in OpenOOD; texture has all 47 classes.
    """
    return one_split(
        "textures",
        argument,
        replace(
            ORIGIN, images="5,160", trouble="It is a part of texture, by whole classes."
        ),
        _load,
        family="textures",
    )


def _load(root: Path) -> Split:
    paths = images_in(root / "dtd" / "images")
    kept = [path for path in paths if path.parent.name not in LEFT_OUT]
    return labelled(kept, [path.parent.name for path in kept])

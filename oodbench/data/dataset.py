"""What a data set is: named splits of images, and its role beside an in-set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError

Role = Literal["near", "far", "covariate", "probe", "unstated"]
"""What a set is beside the in-distribution set.

near: other classes of the same kind. far: something else. covariate: the same classes,
shifted. probe: not out-of-distribution by meaning (interpolations, rotations, noise
that a JEM saw in training). unstated: its owner did not say.
"""
ROLES: tuple[Role, ...] = get_args(Role)

SplitName = Literal["train", "val", "test"]


class Shape(NamedTuple):
    """The shape of one image as the network takes it."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


Chunk: TypeAlias = NDArray[np.generic] | Sequence[NDArray[np.generic]]
"""Some images: `[N, H, W, C]`, or N arrays `[H, W, C]` of any sizes.

Values are uint8 in 0…255 or float32 in [0, 1]; C is 1 (grey) or 3 (RGB).
"""


CHUNK = 32
"""Images read at a time."""


class Images(Protocol):
    """Images that can be counted and cut out in order, in memory or not."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def __getitem__(self, chunk: slice, /) -> Chunk:
        """Returns the images of a slice without a step; it may reach past the end."""


@dataclass(frozen=True)
class Split:
    """Images with what is known of each."""

    images: Images
    labels: NDArray[np.int64] | None = None
    """`[N]`, class numbers from 0."""
    clusters: NDArray[np.int64] | None = None
    """`[N]`: images of one origin (one photograph, say) share a number."""

    @property
    def places(self) -> NDArray[np.int64]:
        """`[N]`, the places of the images in the split before `spread`."""
        if isinstance(self.images, Picked):
            return Split(self.images.images).places[self.images.places]
        return np.arange(len(self.images))

    def spread(self, limit: int) -> Split:
        """Returns `limit` images, evenly spread: files often lie sorted by class."""
        count = len(self.images)
        if limit >= count:
            return self
        places = np.arange(limit) * count // limit
        return Split(
            images=Picked(self.images, places),
            labels=None if self.labels is None else self.labels[places],
            clusters=None if self.clusters is None else self.clusters[places],
        )


@dataclass(frozen=True, eq=False)
class Picked:
    """Some of some images, none of them read yet."""

    images: Images
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        if isinstance(self.images, np.ndarray):
            return self.images[self.places[chunk]]
        return [self.images[place : place + 1][0] for place in self.places[chunk]]


@dataclass(frozen=True)
class Dataset:
    """A data set that can be opened; nothing is read before a split is loaded.

    A plug-in of the group `oodbench.datasets` is a function from the text behind the
    colon (`"0-7"` for `digits:0-7`, empty where there is none) to a `Dataset`.
    """

    name: str
    """As tables show it."""
    load: Callable[[SplitName, Shape], Split]
    """Reads a split. The shape is the network's, for sets that are made, not read."""
    role: Role
    splits: tuple[SplitName, ...] = ("test",)
    family: str = ""
    """Sets of one family hold the same kind of thing, and are near one another."""
    made_from: Dataset | None = None
    """The set that this one changes, if any."""
    spec: str = ""
    """What opens it again: `open_dataset` writes it here."""

    def beside(self, inside: Dataset) -> Dataset:
        """Returns this set with the role that it has beside the in-set `inside`."""
        if self.made_from is not None and self.made_from.name != inside.name:
            # What is made from another set than the in-set is as far as that one.
            return replace(self, role=self.made_from.beside(inside).role)
        kin = self.family and self.family == inside.family
        return replace(self, role="near") if kin and self.role == "far" else self


def chunks(images: Images, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
    """Yields images in order, a few at a time: those of a camera are large."""
    stop = len(images) if stop is None else min(stop, len(images))
    for first in range(start, stop, CHUNK):
        yield images[first : min(first + CHUNK, stop)]


def parse_classes(text: str, classes: int, *, dataset: str) -> list[int]:
    """Returns the class numbers that `0-3+7` names; all of them for an empty text.

    >>> parse_classes("0-2+7", 10, dataset="digits")
    [0, 1, 2, 7]

    Raises:
        InputError: The text is no such list, or names a class that does not exist.
    """
    if not text:
        return list(range(classes))
    chosen: set[int] = set()
    for part in text.split("+"):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not ends:
            raise InputError(
                f"{dataset}:{text} names no classes; write a range or a sum of them, "
                f"as in {dataset}:0-3 or {dataset}:0-3+8."
            )
        low, high = int(ends[1]), int(ends[2] or ends[1])
        if not low <= high < classes:
            raise InputError(
                f"{part!r} in {dataset}:{text} must rise and stay within "
                f"0-{classes - 1}, the classes of {dataset}."
            )
        chosen.update(range(low, high + 1))
    return sorted(chosen)


def select_classes(split: Split, classes: Sequence[int]) -> Split:
    """Returns the images of some classes, renumbered from 0 in the given order.

    Raises:
        InputError: The split has no labels, or its images are not an array.
    """
    if split.labels is None or not isinstance(split.images, np.ndarray):
        raise InputError("Classes can be chosen only from a labelled set in memory.")
    number = {label: new for new, label in enumerate(classes)}
    keep = np.isin(split.labels, list(classes))
    return Split(
        images=split.images[keep],
        labels=np.array([number[int(old)] for old in split.labels[keep]], np.int64),
        clusters=None if split.clusters is None else split.clusters[keep],
    )


def digest(image: NDArray[np.generic]) -> int:
    """Returns a hash of an image's values, shape and dtype, below 2^64."""
    content = np.ascontiguousarray(image)
    hashed = hashlib.blake2b(content.tobytes(), digest_size=8)
    hashed.update(f"{content.shape} {content.dtype}".encode())
    return int.from_bytes(hashed.digest(), "little")

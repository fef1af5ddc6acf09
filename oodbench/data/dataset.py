"""What a data set is: named splits of images, and a role."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import (
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    get_args,
    runtime_checkable,
)

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import key_of
from oodbench.data.sources.source import Origin

Role = Literal["near", "far", "covariate", "probe", "unstated"]
"""The relation of a set to the in-distribution set.

near: other classes of the same kind. far: something else. covariate: the same classes,
shifted. probe: not out-of-distribution by meaning (interpolations, rotations, noise
that a JEM saw in training). unstated: unknown.
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


CHUNK = 2**20
"""Values of the images taken at a time, if they come as an array; others, which may be
large, are taken one by one."""


class Images(Protocol):
    """Images that can be counted and read in order, in memory or not.

    Images that are slow to read may also be `Stored`.
    """

    def __len__(self) -> int:
        """Returns the number of images."""

    def __getitem__(self, chunk: slice, /) -> Chunk:
        """Returns the images of a slice without a step; it may reach past the end."""


@runtime_checkable
class Stored(Protocol):
    """Images with a manifest; images made of other images pass that on."""

    def manifest(self) -> str | None:
        """Returns a text that is equal for equal images; None if they must be read."""


def manifest_of(images: object, *changes: object) -> str | None:
    """Returns a hash that identifies images without reading them, None if none does.

    Args:
        images: Any images.
        changes: What is done to them, as JSON-able values.
    """
    manifest = images.manifest() if isinstance(images, Stored) else None
    if manifest is None or not changes:
        return manifest
    return key_of(manifest, *changes)


@dataclass(frozen=True)
class Split:
    """Images with what is known of each."""

    images: Images
    labels: NDArray[np.int64] | None = None
    """`[N]`, class numbers. Those of an in-distribution set count from 0."""
    clusters: NDArray[np.int64] | None = None
    """`[N]`: images of one origin (one photograph, say) share a number."""
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of their numbers; empty if unknown."""
    wnids: tuple[str, ...] = ()
    """WordNet ids of the classes, such as n01443537, likewise."""

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
        return self.pick(np.arange(limit) * count // limit)

    def pick(self, places: NDArray[np.int64]) -> Split:
        """Returns the images at some places, in that order; none is read."""
        return replace(
            self,
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

    def manifest(self) -> str | None:
        """Returns the manifest of the images and of the places."""
        return manifest_of(self.images, "picked", self.places.tolist())


class Grade(NamedTuple):
    """The place of a set in a series whose sets are shifted further and further."""

    series: str
    """Names the series; its sets differ in their level alone."""
    level: float
    """How far the images are shifted, finite; higher is further."""
    scale: str = "severity"
    """What levels measure, as an axis names it."""


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
    label_space: str = ""
    """Sets of one label space have the same classes: covariate shifts of each other."""
    made_from: Dataset | None = None
    """The set that this one changes, if any."""
    spec: str = ""
    """What opens it again: `open_dataset` writes it here."""
    shape: Shape | Callable[[], Shape] | None = None
    """Of the first test image, or what finds it without reading the set."""
    place: str = ""
    """The full path of a set in files; its name is the end of that. Of others, the name
    before one was stated. Not recorded."""
    skip_unreadable: bool = False
    """Whether images in files that cannot be read are left out, not an error."""
    origin: Origin | None = None
    """Where its files come from; None for made sets and for the user's files."""
    grade: Grade | None = None
    """Its place in a series, such as a corruption of rising severity, if any."""

    def relative_to(self, inside: Dataset) -> Dataset:
        """Returns this set with its role for the in-distribution set `inside`."""
        if self.made_from is not None:
            return replace(self, role=self._changed_role(self.made_from, inside))
        if self.label_space and self.label_space == inside.label_space:
            return replace(self, role="covariate")
        is_near = self.role == "far" and self.family and self.family == inside.family
        return replace(self, role="near") if is_near else self

    def _changed_role(self, origin: Dataset, inside: Dataset) -> Role:
        """Returns the role of this set, which is made from `origin`.

        Of changed OOD images it is unstated: how far they are is unknown, and copies
        of a near set must not enter the mean over near sets.
        """
        if origin.is_set(inside):
            return self.role
        found = origin.relative_to(inside).role
        if found == "covariate":
            return self.role  # a further change of the same classes
        return "probe" if found == "probe" else "unstated"

    def is_set(self, other: Dataset) -> bool:
        """Returns whether two sets are one: one place or, outside files, one name."""
        return (self.place or self.name) == (other.place or other.name)


def chunks(images: Images, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
    """Yields images in order, a few at a time."""
    stop = len(images) if stop is None else min(stop, len(images))
    size = _at_once(images)
    while start < stop:
        few = images[start : min(start + size, stop)]
        yield few
        start += size
        size = _at_once(few)


def _at_once(images: Images | Chunk) -> int:
    if not isinstance(images, np.ndarray) or not images.size:
        return 1
    return max(1, CHUNK * len(images) // images.size)


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


def outside_of_classes(labels: NDArray[np.int64], classes: int) -> str:
    """Returns in words which labels are not 0 to `classes` - 1; empty if all are.

    >>> outside_of_classes(np.array([0, 9]), 8)
    'labels up to 9'
    """
    if len(labels) and labels.max() >= classes:
        return f"labels up to {labels.max()}"
    return f"labels down to {labels.min()}" if len(labels) and labels.min() < 0 else ""


def check_labels(
    labels: NDArray[np.int64], images: str, network: str, classes: int
) -> None:
    """Checks that labels are classes of a network.

    Args:
        labels: `[N]`.
        images: What messages call the images.
        network: Its name.
        classes: The number of its classes.

    Raises:
        InputError: A label is not a class of the network.
    """
    if wrong := outside_of_classes(labels, classes):
        raise InputError(
            f"{images} has {wrong}, but {network} has {classes} classes "
            f"(0-{classes - 1}). Name a network or a set with the other's classes."
        )


def select_classes(split: Split, classes: Sequence[int]) -> Split:
    """Returns the images of some classes, renumbered from 0 in the given order.

    Images in memory are copied, others not read.

    Raises:
        InputError: The split has no labels.
    """
    if split.labels is None:
        raise InputError("Classes can be chosen only from a labelled set.")
    keep = np.isin(split.labels, list(classes))
    kept = split.pick(np.flatnonzero(keep))
    number = {label: new for new, label in enumerate(classes)}
    return replace(
        kept,
        images=split.images[keep]
        if isinstance(split.images, np.ndarray)
        else kept.images,
        labels=np.array([number[int(old)] for old in split.labels[keep]], np.int64),
        class_names=_of_classes(split.class_names, classes),
        wnids=_of_classes(split.wnids, classes),
    )


def _of_classes(texts: tuple[str, ...], classes: Sequence[int]) -> tuple[str, ...]:
    return tuple(texts[number] for number in classes) if texts else ()


def digests_of(images: Chunk) -> NDArray[np.uint64]:
    """Returns a hash of each image's values, shape and dtype, `[N]`."""
    if not isinstance(images, np.ndarray):
        parts = [digests_of(image[None]) for image in images]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    kind = f"{images.shape[1:]} {images.dtype}".encode()
    found = bytearray()
    # Without a copy, since one image may be large.
    for row in np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint8):
        hashed = hashlib.blake2b(row.data, digest_size=8)
        hashed.update(kind)
        found += hashed.digest()
    return np.frombuffer(found, "<u8").astype(np.uint64)

"""Finds images that two sets share, exactly or nearly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.names import listed
from oodbench.base.progress import Watch, unwatched
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Chunk, Dataset, Shape, SplitName, chunks, digests_of
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import distinct, open_dataset, split_specs

THUMBNAIL = Shape(1, 16, 16)
CORRELATION = 0.98
"""From which on two thumbnails are near-duplicates."""
BLOCK = 1024
"""Images compared at once with all others."""

Pair = tuple[int, int]
"""Numbers of two equal images, counted from 0: in the first set, in the second."""


class Overlap(NamedTuple):
    """What a split of the in-distribution set and another set have in common."""

    first: str
    """Name and split."""
    second: str
    images: int
    """Of the second set."""
    exact: list[Pair]
    """Each image of the second set whose pixels are those of one in the first."""
    near: list[Pair] | None
    """Each other image that has a near-duplicate in the first set, with the nearest;
    None if that was not wanted.
    """


class Seen(NamedTuple):
    """The images of a split, reduced to what is compared."""

    name: str
    digests: NDArray[np.uint64]
    thumbnails: Tensor | None
    """`[N, 256]` of length 1 and mean 0, or all 0 for an image of one colour."""


def overlap(
    inside: str | Dataset,
    out: str | Dataset | Iterable[str | Dataset],
    *,
    near: bool = False,
    watch: Watch = unwatched,
) -> list[Overlap]:
    """Returns what the in-distribution set shares with its own test split and others.

    Exact duplicates have equal pixels, size and type before adaptation, as `run` counts
    them. Near-duplicates have thumbnails whose Pearson correlation is at least 0.98;
    thumbnails are grey, 16x16, bilinear, antialiased, cropped at the centre. Images of
    one colour have none.

    Args:
        inside: The in-distribution set; all its splits are compared.
        out: The other sets, of which the test split is compared.
        near: Whether to look for near-duplicates.
        watch: Receives the progress.

    Raises:
        InputError: A set cannot be opened or read.
    """
    names = split_specs([out]) if isinstance(out, str) else listed(out)
    inset, *others = distinct([open_dataset(name) for name in (inside, *names)])
    shape = native_shape(inset)
    stages = sorted(inset.splits, key=lambda stage: stage == "test")
    seen = [_look(inset, stage, shape, near, watch) for stage in stages]
    found = [_compared(one, seen[-1]) for one in seen[:-1]]
    for other in others:
        second = _look(other, "test", shape, near, watch)
        found += [_compared(one, second) for one in seen]
    return found


def _look(
    dataset: Dataset, stage: SplitName, shape: Shape, near: bool, watch: Watch
) -> Seen:
    images = open_images(dataset, stage, shape)
    name = f"{dataset.name} ({stage})"
    if images.digests is not None and not near:
        return Seen(name, images.digests, None)
    tell = watch(f"read {name}", images.count)
    digests: list[NDArray[np.uint64]] = []
    thumbnails: list[Tensor] = []
    for chunk in chunks(images.split.images):
        digests.append(digests_of(chunk))
        if near:
            thumbnails.append(_thumbnails(chunk))
        tell(len(chunk))
    return Seen(name, np.concatenate(digests), torch.cat(thumbnails) if near else None)


def _thumbnails(images: Chunk) -> Tensor:
    pixels = adapt(images, THUMBNAIL).flatten(1)
    centred = pixels - pixels.mean(1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    # Rounding leaves a little of an image of one colour.
    return torch.where(lengths > 1e-4, centred / lengths, 0)


def _compared(first: Seen, second: Seen) -> Overlap:
    known, places = np.unique(first.digests, return_index=True)
    at = np.searchsorted(known, second.digests).clip(max=len(known) - 1)
    is_exact = known[at] == second.digests
    exact = [(int(places[at[n]]), int(n)) for n in np.flatnonzero(is_exact)]
    near = None
    if first.thumbnails is not None and second.thumbnails is not None:
        pairs = _near(first.thumbnails, second.thumbnails)
        near = [pair for pair in pairs if not is_exact[pair[1]]]
    return Overlap(first.name, second.name, len(second.digests), exact, near)


def _near(first: Tensor, second: Tensor) -> list[Pair]:
    pairs: list[Pair] = []
    for start in range(0, len(second), BLOCK):
        best = (second[start : start + BLOCK] @ first.T).max(1)
        for number in torch.nonzero(best.values >= CORRELATION).flatten().tolist():
            pairs.append((int(best.indices[number]), start + number))
    return pairs

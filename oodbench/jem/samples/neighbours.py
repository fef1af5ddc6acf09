"""Finds the training image nearest to each sample, to detect copies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.base.progress import Tell, Watch, silent, unwatched
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Dataset, Shape, chunks
from oodbench.data.feed import feed
from oodbench.data.fit_split import fit_split
from oodbench.data.image_set import ImageSet, open_images
from oodbench.data.spec import open_dataset
from oodbench.scoring.batches import cut
from oodbench.scoring.fitting.nearest import nearest

BATCH = 1024
"""Training images per comparison."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest training image of each of some images."""

    distances: Tensor
    """`[N]`, float64, Euclidean, of pixels in [0, 1]."""
    places: Tensor
    """`[N]`, int64, the number of that image in the split."""
    pixels: Tensor
    """`[N, C, H, W]`, that image, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Distances of samples, and of test images, to the training images.

    Test images are no copies. Samples that lie closer to the training images than test
    images do are suspicious.
    """

    training: ImageSet
    nearest: Nearest
    """Of the samples."""
    held_out: ImageSet | None
    """As many test images as samples; None if the set has no train split."""
    yardstick: Nearest | None
    """Of the test images."""


def open_training(name: str | Dataset, shape: Shape) -> ImageSet:
    """Opens the train split of a set or, of a set with a single split, that one."""
    dataset = open_dataset(name)
    return open_images(dataset, fit_split(dataset, "train", named=True), shape)


def compare(
    pixels: Tensor, training: ImageSet, *, watch: Watch = unwatched
) -> Comparison:
    """Compares samples with a training set.

    Args:
        pixels: `[N, C, H, W]` in [0, 1], on the host.
        training: From `open_training`.
        watch: Receives the progress.
    """

    def find(images: Tensor, what: str) -> Nearest:
        tell = watch(f"training images nearest to {what}", training.count)
        return nearest_images(images, training, tell)

    found, dataset = find(pixels, "samples"), training.dataset
    if training.stage != "train" or "test" not in dataset.splits:
        return Comparison(training, found, None, None)
    # As many: the least of more distances would be smaller.
    held_out = open_images(dataset, "test", training.shape, limit=len(pixels))
    images = [adapt(few, training.shape) for few in chunks(held_out.split.images)]
    yardstick = find(torch.cat(images), "test images")
    return Comparison(training, found, held_out, yardstick)


def nearest_images(pixels: Tensor, training: ImageSet, tell: Tell = silent) -> Nearest:
    """Returns the training image nearest to each image, by exact distances.

    Args:
        pixels: `[N, C, H, W]` in [0, 1], on the host, as are the results.
        training: Read once, batch by batch.
        tell: Receives the number of training images done.
    """
    # In single precision the search could miss the nearest by a little.
    queries = pixels.flatten(1).double()
    best = Nearest(
        torch.full((len(pixels),), torch.inf, dtype=torch.float64),
        torch.zeros(len(pixels), dtype=torch.int64),
        torch.zeros_like(pixels),
    )
    spans = list(cut(0, training.count, BATCH))
    fed = feed(training.split.images, spans, training.shape, device=torch.device("cpu"))
    for (first, last), batch in zip(spans, fed, strict=True):
        found = nearest(queries, batch.pixels.flatten(1).double())
        closer = found.distances < best.distances
        best.distances[closer] = found.distances[closer]
        best.places[closer] = found.places[closer] + first
        best.pixels[closer] = batch.pixels[found.places[closer]]
        tell(last - first)
    return best

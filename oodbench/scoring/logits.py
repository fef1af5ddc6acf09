"""Reads the logits of labelled images off a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.progress import Tell, silent
from oodbench.data.feed import feed
from oodbench.data.image_set import ImageSet
from oodbench.networks.hardware import first_batch_size, fitting_threads
from oodbench.networks.network import Network
from oodbench.scoring.batches import Batches, cut
from oodbench.scoring.forward import run_network


class LabelledLogits(NamedTuple):
    """A network's logits for some images, and their true classes."""

    logits: NDArray[np.float64]
    """`[N, K]`."""
    labels: NDArray[np.int64]
    """`[N]`, numbers of the network's classes."""


def labelled_logits(
    network: Network,
    sample: ImageSet,
    *,
    batch_size: int | None = None,
    workers: int = 0,
    tell: Tell = silent,
) -> LabelledLogits:
    """Returns the logits of a labelled sample, in its order.

    Args:
        network: On its device already.
        sample: The images, in the network's shape.
        batch_size: Images per pass of the network; None for a size that usually fits.
            It is halved when memory runs out.
        workers: Processes that read images ahead; 0 reads on demand.
        tell: Receives the number of images done, batch by batch.

    Raises:
        InputError: The images have no labels, or others than the network's classes; the
            network fails on them, or not even one image fits in memory.
    """
    sample = sample.numbered_by(network.class_names)
    labels = _labels(network, sample)
    size = batch_size or first_batch_size(network.shape, network.device)
    spans = list(cut(0, sample.count, size))
    images, shape, device = sample.split.images, network.shape, network.device
    fed = feed(images, spans, shape, device=device, workers=workers)
    numbers = torch.as_tensor(sample.split.places)
    batches = Batches(size)
    parts: list[NDArray[np.float64]] = []
    with fitting_threads(network):
        for (first, last), batch in zip(spans, fed, strict=True):
            pixels, own = batch.pixels, numbers[first:last]
            # `run` has called the work for all of this batch before the next one.
            parts += batches.run(
                lambda a, b: _logits(network, pixels[a:b], own[a:b]),  # noqa: B023
                last - first,
            )
            tell(last - first)
    return LabelledLogits(np.concatenate(parts), labels)


def _logits(network: Network, pixels: Tensor, numbers: Tensor) -> NDArray[np.float64]:
    logits = run_network(network, pixels, [], numbers).logits
    assert logits is not None
    return logits.double().cpu().numpy()


def _labels(network: Network, sample: ImageSet) -> NDArray[np.int64]:
    if sample.split.labels is None:
        raise InputError(
            f"The {sample.stage} split of {sample.dataset.name} has no labels; name a "
            "set that has the true classes."
        )
    sample.check_classes(network.name, network.classes)
    return sample.split.labels

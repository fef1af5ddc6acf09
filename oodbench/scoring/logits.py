"""Reads the logits of labelled images off a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.progress import Tell, silent
from oodbench.data.feed import feed
from oodbench.data.image_set import ImageSet
from oodbench.networks.hardware import (
    first_batch_size,
    fitting_threads,
    is_out_of_memory,
)
from oodbench.networks.network import Network
from oodbench.scoring.engine import cut
from oodbench.scoring.forward import run_network


class LabelledLogits(NamedTuple):
    """What a network says of some images, and the truth."""

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
        batch_size: Images a pass of the network; None for a size that mostly fits.
        workers: Processes that read images ahead; 0 reads when asked.
        tell: Is told of the number of images done, batch by batch.

    Raises:
        InputError: The images have no labels, or others than the network's classes; the
            network fails on them, or a batch does not fit in memory.
    """
    labels = _labels(network, sample)
    size = batch_size or first_batch_size(network.shape, network.device)
    spans = list(cut(0, sample.count, size))
    fed = feed(
        sample.split.images,
        spans,
        network.shape,
        device=network.device,
        workers=workers,
    )
    parts: list[NDArray[np.float64]] = []
    try:
        with fitting_threads(network):
            for span, batch in zip(spans, fed, strict=True):
                outputs = run_network(network, batch.pixels, [], torch.arange(*span))
                assert outputs.logits is not None
                parts.append(outputs.logits.double().cpu().numpy())
                tell(len(batch.pixels))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"Out of memory with batches of {size} images; give a smaller --batch-size."
        ) from error
    return LabelledLogits(np.concatenate(parts), labels)


def _labels(network: Network, sample: ImageSet) -> NDArray[np.int64]:
    labels = sample.split.labels
    what = f"The {sample.stage} split of {sample.dataset.name}"
    if labels is None:
        raise InputError(f"{what} has no labels; name a set that has the true classes.")
    if labels.max() >= network.classes:
        raise InputError(
            f"{what} has labels up to {labels.max()}, but {network.name} has "
            f"{network.classes} classes (0-{network.classes - 1}); name a network or a "
            "set with the other's classes."
        )
    return labels

"""Evaluates a module from a training script, and leaves it as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.progress import silent
from oodbench.data.dataset import Shape, Split, check_labels
from oodbench.metrics.table import METRICS, Sample
from oodbench.networks.hardware import first_batch_size
from oodbench.networks.network import Network
from oodbench.scoring.containment import RandomNumbers
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.scored import Scored
from oodbench.scoring.spec import open_detector

logger = logging.getLogger(__name__)

Loader: TypeAlias = Iterable[Tensor | Sequence[Any]]
"""Batches of images `[B, C, H, W]` as the module takes them, or of images and labels
`[B]`: a DataLoader, say."""

_ROUNDING = 1e-3
"""How far a normalisation that is undone may leave [0, 1]."""


def evaluate(
    module: nn.Module,
    inside: Loader,
    out: Loader | Mapping[str, Loader],
    detectors: str | Detector | Iterable[str | Detector] = "energy",
    *,
    fit: Loader | None = None,
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    limit: int = 500,
) -> dict[str, float]:
    """Returns the accuracy, and AUROC and FPR95 of detectors, in a training script.

        numbers = oodbench.evaluate(model, val_loader, {"svhn": svhn_loader},
                                    ["energy", "knn"], fit=train_loader)
        # {"accuracy": 0.91, "energy/svhn/auroc": 0.87, "energy/svhn/fpr95": 0.49, …}

    All are shares in [0, 1]; there is an accuracy where `inside` has labels. A detector
    that fails has NaN, and the log has the reason. The module keeps its mode,
    gradients, device and parameters, and global random numbers go on as if none had
    been drawn.

    Args:
        module: A classifier in float32, on its device; no wrapper for several devices.
        inside: In-distribution images, not those trained on.
        out: OOD images; several sets by their names.
        detectors: As in `run`: names, or instances.
        fit: Training images for detectors that are fitted, without augmentation.
        mean: Of the normalisation that is in the images already, one value or one per
            channel; the module is then given the same again.
        std: Likewise.
        limit: Take the first images of each loader, this many at most, into memory; a
            loader whose images are sorted by class should shuffle them.

    Raises:
        InputError: A detector is unknown, or needs what the module lacks or `fit`; or
            there are no images, or they are not pixels in [0, 1] after normalisation is
            undone.
    """
    named = out if isinstance(out, Mapping) else {"out": out}
    listed = [detectors] if isinstance(detectors, str | Detector) else detectors
    entries = [open_detector(one) for one in listed]
    with _left_as_it_was(module):
        known = _split("inside", inside, mean, std, limit)
        height, width, channels = known.images[:1][0].shape
        network = Network(module, Shape(channels, height, width), mean=mean, std=std)
        chosen = {entry.label: entry.detector for entry in entries}
        _check(network, chosen, fit)
        if known.labels is not None:
            check_labels(known.labels, "inside", "the module", network.classes)
        size = first_batch_size(network.shape, network.device)
        engine = Engine(network, chosen, size)
        faults: dict[str, str] = {}
        if fit is not None:
            training = _split("fit", fit, mean, std, limit)
            for stage in ("train", "val"):
                faults |= engine.fit(stage, training, tell=silent)
        here = engine.score(known, has_labels=known.labels is not None, tell=silent)
        numbers = {}
        if known.labels is not None:
            right = here.predictions["predictions"] == known.labels
            numbers["accuracy"] = float(right.mean())
        for name, loader in named.items():
            others = _split(name, loader, mean, std, limit)
            there = engine.score(others, has_labels=False, tell=silent)
            numbers |= _numbers(name, here, there, chosen, faults)
    return numbers


def _numbers(
    name: str,
    here: Scored,
    there: Scored,
    labels: Iterable[str],
    faults: Mapping[str, str],
) -> dict[str, float]:
    """Returns the metrics of each detector on one OOD set."""
    faults = {**there.failures, **here.failures, **faults}
    numbers = {}
    for label in labels:
        if label in faults:
            logger.warning("%s has no scores on %s: %s.", label, name, faults[label])
        for metric in ("auroc", "fpr95"):
            numbers[f"{label}/{name}/{metric}"] = (
                float("nan")
                if label in faults
                else float(
                    METRICS[metric].value(
                        Sample(here.scores[label], there.scores[label])
                    )
                )
            )
    return numbers


def _check(
    network: Network, detectors: Mapping[str, Detector], fit: Loader | None
) -> None:
    for label, detector in detectors.items():
        if why := lacks(network, detector):
            raise InputError(f"{label} cannot be used: {why}.")
        if detector.fitted_on is not None and fit is None:
            raise InputError(f"{label} has to be fitted; give training images as fit=.")


def _split(
    name: str,
    loader: Loader,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    limit: int,
) -> Split:
    """Returns the first images of a loader, normalisation undone, and their labels."""
    images: list[Tensor] = []
    labels: list[Tensor] = []
    count = 0
    for batch in loader:
        pixels, *rest = [batch] if isinstance(batch, Tensor) else batch
        if pixels.ndim != 4:
            raise InputError(
                f"The loader of {name} gives {list(pixels.shape)}; a batch of images "
                "is [B, C, H, W]."
            )
        images.append(pixels.detach().cpu())
        labels += [torch.as_tensor(rest[0]).cpu()] if rest else []
        count += len(pixels)
        if count >= limit:
            break
    if not count:
        raise InputError(f"The loader of {name} gives no images.")
    scale, shift = (torch.tensor(one).view(1, -1, 1, 1) for one in (std, mean))
    pixels = torch.cat(images)[:limit].float() * scale + shift
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN neither
        raise InputError(
            f"The images of {name} go from {low:g} to {high:g}, not in [0, 1]; give "
            "mean= and std= of their normalisation."
        )
    return Split(
        pixels.clamp(0, 1).movedim(1, -1).contiguous().numpy(),
        torch.cat(labels)[:limit].numpy().astype(np.int64) if labels else None,
    )


@contextmanager
def _left_as_it_was(module: nn.Module) -> Iterator[None]:
    """Puts back the modes of layers, what is differentiated, and random numbers."""
    tensors = [*module.parameters(), *module.buffers()]
    kinds = {one.dtype for one in tensors if one.is_floating_point()}
    if kinds - {torch.float32}:
        raise InputError(
            f"The module is in {', '.join(sorted(map(str, kinds)))}; evaluate one in "
            "float32, or a copy."
        )
    modes = {layer: layer.training for layer in module.modules()}
    learning = {one: one.requires_grad for one in module.parameters()}
    numbers = RandomNumbers()
    try:
        yield
    finally:
        numbers.restore()
        for one, was in learning.items():
            one.requires_grad_(was)
        for layer, was in modes.items():
            layer.training = was

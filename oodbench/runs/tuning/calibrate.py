"""Fits a network's temperature on one split and grades it on another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from oodbench.base.defaults import INSIDE, MODELS
from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.base.progress import Progress, Watch, unwatched
from oodbench.data.dataset import Dataset
from oodbench.data.fit_split import fit_split
from oodbench.data.image_set import ImageSet, native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.metrics.temperature import fit_temperature, grade
from oodbench.networks.hardware import first_batch_size, pick_device
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network
from oodbench.results.recalibrated import Recalibrated
from oodbench.scoring import provenance
from oodbench.scoring.logits import labelled_logits


def calibrate(
    models: Model | Iterable[Model] = MODELS,
    inside: str | Dataset = INSIDE,
    *,
    fit: str | Dataset | None = None,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
    batch_size: int | None = None,
    workers: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> list[Recalibrated]:
    """Measures calibration before and after temperature scaling, for each model.

    The temperature is fitted on the val split; all numbers are of the test split.

    Args:
        models: Bundled names, files, `NAME=FILE`, or networks.
        inside: The set that is graded, such as `digits:0-7`.
        fit: The set that the temperature is fitted on, its val split or its only one;
            None for the val split of `inside`.
        limit: Take only this many images of each split, evenly spread.
        size: Height and width of the images that networks of files take.
        checkpoint: Keywords of `load_network` for files.
        batch_size: Images per pass of the network; None for a size that mostly fits.
        workers: Processes that read images ahead.
        device: auto, cpu or cuda.
        quiet: Whether to print no progress on stderr.

    Raises:
        InputError: An argument is wrong, the labels are not the network's classes, the
            graded images would be fitted on, or no temperature is best.
    """
    place, inset = pick_device(device), open_dataset(inside)
    dataset = inset if fit is None else open_dataset(fit)
    stage = fit_split(dataset, "val", named=fit is not None)
    shape, found = native_shape(inset), []
    with Progress(quiet=quiet) as progress:
        for model in listed(models):
            network = as_network(model, shape=shape, size=size, **checkpoint)
            images = partial(open_images, shape=network.shape, limit=limit)
            found.append(
                recalibrate(
                    network.to(place),
                    images(inset, "test"),
                    images(dataset, stage),
                    batch_size=batch_size,
                    workers=workers,
                    watch=progress,
                )
            )
    return found


def recalibrate(
    network: Network,
    inside: ImageSet,
    fit: ImageSet,
    *,
    batch_size: int | None = None,
    workers: int = 0,
    watch: Watch = unwatched,
) -> Recalibrated:
    """Fits the temperature of a network and grades the network with and without it.

    Args:
        network: On its device already.
        inside: The images that are graded, in the network's shape.
        fit: The images that the temperature is fitted on, in the network's shape.
        batch_size: Images per pass of the network; None for a size that mostly fits.
        workers: Processes that read images ahead.
        watch: Receives the progress.

    Raises:
        InputError: The labels are not the network's classes, the graded images are
            those that are fitted on, or no temperature is best.
    """
    if fit.has_images_of(inside):
        raise InputError(
            f"The {fit.stage} split of {fit.dataset.name} holds the images that are "
            "graded; name another set with --fit."
        )
    began = time.perf_counter()
    size = batch_size or first_batch_size(network.shape, network.device)
    known, graded = (
        labelled_logits(
            network,
            images,
            batch_size=size,
            workers=workers,
            tell=watch(
                f"{network.title} on {images.dataset.name} {images.stage}", images.count
            ),
        )
        for images in (fit, inside)
    )
    try:
        temperature = fit_temperature(*known)
        before, after = (grade(*graded, temperature=t) for t in (1.0, temperature))
    except InputError as error:
        raise InputError(f"{network.title}: {error}") from error
    return Recalibrated(
        model=provenance.of_model(network, network.fingerprint()),
        fitted_on=fit.record(),
        inside=inside.record(),
        run=provenance.of_run(network, size, time.perf_counter() - began),
        temperature=temperature,
        before=before,
        after=after,
    )

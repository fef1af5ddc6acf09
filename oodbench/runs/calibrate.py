"""Fits a network's temperature on one split and says what it changes on another."""

from __future__ import annotations

import time

from oodbench.base.errors import InputError
from oodbench.base.progress import Watch, unwatched
from oodbench.data.dataset import Dataset, Shape, SplitName
from oodbench.data.image_set import ImageSet, open_images
from oodbench.metrics.temperature import fit_temperature, grade
from oodbench.networks.hardware import first_batch_size
from oodbench.networks.network import Network
from oodbench.results.recalibrated import Recalibrated
from oodbench.scoring import provenance
from oodbench.scoring.logits import LabelledLogits, labelled_logits


def recalibrate(
    network: Network,
    inside: ImageSet,
    fit: ImageSet,
    *,
    batch_size: int | None = None,
    workers: int = 0,
    watch: Watch = unwatched,
) -> Recalibrated:
    """Fits the temperature of a network and grades it with and without.

    Args:
        network: On its device already.
        inside: What is graded, in the network's shape.
        fit: What the temperature is fitted on, in the network's shape.
        batch_size: Images a pass of the network; None for a size that mostly fits.
        workers: Processes that read images ahead; 0 reads when asked.
        watch: Is told of the progress.

    Raises:
        InputError: The labels are not the network's classes, both samples hold the same
            images, or no temperature is best.
    """
    if fit.has_images_of(inside):
        raise InputError(
            f"The {fit.stage} split of {fit.dataset.name} holds the images that are "
            "graded; name another set with --fit."
        )
    began = time.perf_counter()
    size = batch_size or first_batch_size(network.shape, network.device)

    def run(sample: ImageSet) -> LabelledLogits:
        stage = f"{network.title} on {sample.dataset.name} {sample.stage}"
        tell = watch(stage, sample.count)
        return labelled_logits(
            network, sample, batch_size=size, workers=workers, tell=tell
        )

    known, graded = run(fit), run(inside)
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


def draw_fit(
    inside: Dataset, fit: Dataset | None, shape: Shape, limit: int | None = None
) -> ImageSet:
    """Draws what a temperature is fitted on: a val split, or a set's only split.

    Args:
        inside: Whose val split serves where no other set is named.
        fit: The set that is named instead.
        shape: Of the images that the network takes.
        limit: Take only this many of the images, evenly spread.

    Raises:
        InputError: There is no such split.
    """
    dataset = fit or inside
    # Who names a set with one split alone means that one.
    alone = fit is not None and len(fit.splits) == 1
    stage: SplitName = dataset.splits[0] if alone else "val"
    if stage not in dataset.splits:
        raise InputError(
            f"{dataset.name} has no val split to fit the temperature on; name a set "
            "that has the same classes with --fit."
        )
    return open_images(dataset, stage, shape, limit)

"""Opens the detectors whose scores are attacked, and fits those that need it."""

from __future__ import annotations

from collections.abc import Iterable

from oodbench.base.progress import Watch
from oodbench.data.dataset import Dataset, SplitName
from oodbench.data.image_set import open_images
from oodbench.networks.network import Network
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector


def fitted(
    network: Network, specs: Iterable[str], inside: Dataset, watch: Watch
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Returns the detectors by label, and why others cannot be used.

    Args:
        network: What they score.
        specs: Names with parameters, such as `energy:temperature=2`.
        inside: The in-distribution set, on whose train and val splits they are fitted.
        watch: Is told of the progress.

    Raises:
        InputError: A name or parameter is wrong.
    """
    found: dict[str, Detector] = {}
    faults: dict[str, str] = {}
    for spec in specs:
        entry = open_detector(spec)
        wanted = entry.detector.fitted_on
        if fault := lacks(network, entry.detector):
            faults[entry.label] = fault
        elif wanted and wanted not in inside.splits:
            faults[entry.label] = (
                f"fitted on {wanted} images, which {inside.name} has not"
            )
        else:
            found[entry.label] = entry.detector
    engine = Engine(network, found)
    stages: tuple[SplitName, ...] = ("train", "val")
    for stage in stages:
        if any(detector.fitted_on == stage for detector in found.values()):
            split = open_images(inside, stage, network.shape).split
            tell = watch(f"fit on {stage} of {inside.name}", len(split.images))
            faults.update(engine.fit(stage, split, tell=tell))
    return {k: found[k] for k in found if k not in faults}, faults

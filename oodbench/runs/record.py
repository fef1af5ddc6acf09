"""Stores the scores of a plan, with all that decided them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.base.files import Record
from oodbench.runs.execution import Execution
from oodbench.runs.plan import Plan
from oodbench.scoring import provenance
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.state import size_of
from oodbench.scoring.scored import Cost, Scored

Digests = NDArray[np.uint64]


def digests_of(plan: Plan, scored: Scored | None = None) -> Digests:
    """Returns the hash of each image of a set, `[N]`.

    Args:
        plan: The set's plan.
        scored: What this run computed of it; None where all was stored already.
    """
    if plan.images.digests is not None:
        return plan.images.digests
    if scored is not None:
        return scored.predictions["digests"]
    return plan.file.arrays()["digests"]


def write(
    plan: Plan,
    scored: Scored,
    *,
    shared_images: int,
    remarks: list[str],
    seconds: float,
    fit_seconds: Mapping[str, float],
    execution: Execution,
) -> dict[str, str]:
    """Stores all that was computed of a plan.

    Args:
        plan: The cells that were missing.
        scored: Their scores and failures, and the predictions.
        shared_images: Images of the set that the in-distribution set has, too.
        remarks: What the checks of the network found.
        seconds: What the computation took.
        fit_seconds: What fitting took, by detector.
        execution: How it was carried out.

    Returns:
        The detectors that failed, each with the reason.
    """
    setup, images = plan.setup, plan.images
    model = provenance.of_model(setup.network, setup.fingerprint)
    size = setup.batch_size(execution)
    common: Record = {
        "model": {
            **model,
            "name": setup.title,
            "input_noise": setup.input_noise,
            "remarks": remarks,
        },
        "inside": setup.inside.record(),
        "set": {**setup.about(images), "shared_images": shared_images},
        "run": provenance.of_run(setup.network, size, seconds),
    }
    plan.file.write(_arrays(plan, scored), common)
    failures = {}
    for label in plan.missing:
        entry, key = setup.entries[label], setup.keys[label]
        detector = provenance.of_detector(entry, key, setup.fits, setup.network)
        record = {**common, "detector": detector}
        if label in scored.scores:
            cost = _cost(scored.costs[label], images.count, entry.detector)
            record["cost"] = {**cost, "fit_seconds": fit_seconds.get(label)}
            plan.cell(label).write(scored.scores[label], record)
        else:
            failures[label] = scored.failures[label]
            plan.cell(label).write_failure(failures[label], record)
    return failures


def _cost(cost: Cost, images: int, detector: Detector) -> Record:
    """Returns what one image costs beyond the shared pass."""
    return {
        "microseconds": 1e6 * cost.seconds / images,
        "forward": cost.forward / images,
        "backward": cost.backward / images,
        "bytes": size_of(detector) if detector.fitted_on else 0,
    }


def _arrays(plan: Plan, scored: Scored) -> dict[str, NDArray[Any]]:
    arrays = {
        "digests": plan.images.digests,
        "labels": plan.images.split.labels,
        "clusters": plan.images.split.clusters,
        **scored.predictions,
    }
    return {name: values for name, values in arrays.items() if values is not None}

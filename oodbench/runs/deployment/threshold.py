"""Makes thresholds from stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.registry import unknown
from oodbench.base.tuning import protocol_of
from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.selective_threshold import selective_threshold
from oodbench.metrics.threshold import Certified
from oodbench.metrics.threshold import threshold as threshold_of
from oodbench.results import thresholds
from oodbench.results.clusters import count
from oodbench.results.groups import Group
from oodbench.results.opened import Source, open_results
from oodbench.runs.fitted import Fitted


def threshold(
    results: Source = RESULTS,
    *,
    model: str,
    detector: str,
    inside: str | None = None,
    rate: float = 0.95,
    certified: Certified | None = None,
    risk: float | None = None,
    delta: float = 0.05,
    to: str | Path | None = None,
) -> Record:
    """Returns the score that accepts a share of the in-distribution test images.

    The record holds `threshold`, what it guarantees in words as `guarantee`, its 95 %
    interval `threshold_interval` (None for an infinite end), the share `accepted` of
    these images, its 95 % interval `accepted_interval` for all images like them, and
    all that decided the scores. With `risk` it holds the share `wrong` of accepted
    predictions and its bound `wrong_at_most` in place of the intervals.

    `learnt` describes what a fitted detector has learnt; its tensors are written beside
    the file: `knn.json` and `knn.learnt.npz`. It is None where nothing is stored, as of
    controls; then `score` fits the detector again.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        model: Name of a model in these results.
        detector: Name of a detector in these results.
        inside: Name of the in-distribution set, where the model has several.
        rate: Share of the images to accept, in (0, 1].
        certified: For which images that holds. None: for these alone. For new ones like
            them: `mean`, on average over samples that these images could have been; or
            `delta`, for all but a share delta of such samples.
        risk: In place of a rate, the share of predictions that may be wrong among the
            accepted images, for all but a share delta of samples. In-distribution
            images alone count.
        delta: Share of samples for which the guarantee may fail, in (0, 1).
        to: A JSON file to write for `score` and `Scorer`.

    Raises:
        InputError: There are no such results, or the images are too few or too alike to
            certify that, or the file cannot be written.
    """
    if not 0 < rate <= 1:
        raise InputError(f"The rate must be above 0 and at most 1, got {rate}.")
    found = _choose(open_results(results).groups, model, inside)
    record, scores = _cell(found, detector)
    if certified is not None or risk is not None:
        _check_independent(found, detector)
    if risk is None:
        value = threshold_of(scores, rate, certified=certified, delta=delta)
        content = thresholds.accepting(record, value, rate, certified, delta)
    else:
        if found.correct is None:
            raise InputError(
                f"{found.inside.name} has no labels that are classes of {model}, so no "
                "risk can be certified; give a rate."
            )
        chosen = selective_threshold(scores, found.correct, risk, delta=delta)
        content = thresholds.selecting(record, chosen, risk, delta)
    if to is not None:
        if found.is_imported:
            raise InputError(
                f"The scores of {model} are imported, so `oodbench score` has no "
                "network for this threshold; leave out the file."
            )
        content["learnt"] = _ship(found, record["detector"], Path(to))
        thresholds.write(Path(to), content)
    return content


def _check_independent(group: Group, detector: str) -> None:
    """Refuses to certify for new images what holds for independent images alone."""
    if protocol_of(detector) == "oracle":
        raise InputError(
            f"{detector} was chosen on these test images, so they certify nothing for "
            "new ones; choose its parameters by another protocol."
        )
    inside, images = group.inside, group.inside.record["set"]["images"]
    if 0 < (origins := count(inside.arrays.get("clusters"))) < images:
        raise InputError(
            f"The {images} images of {inside.name} have {origins} origins and are not "
            "independent, so nothing can be certified for new ones; leave that out."
        )


def _ship(group: Group, detector: Record, to: Path) -> Record | None:
    """Copies what the detector has learnt beside its threshold, if it is stored."""
    if detector["fitted_on"] is None:
        return None
    fitted = Fitted(group.inside.file.path.parents[1] / "fitted")
    archive = thresholds.archive_of(to)
    return fitted.ship(detector["label"], detector["key"], archive)


def _choose(found: Sequence[Group], model: str, inside: str | None) -> Group:
    models = sorted({group.model for group in found})
    if model not in models:
        raise InputError(unknown("model in these results", model, models))
    sets = {g.inside.name: g for g in found if g.model == model}
    if inside is None and len(sets) > 1:
        raise InputError(
            f"{model} has several in-distribution sets; name one with --in: "
            f"{', '.join(sets)}."
        )
    name = inside or next(iter(sets))
    if name not in sets:
        raise InputError(unknown("in-distribution set in these results", name, sets))
    return sets[name]


def _cell(group: Group, detector: str) -> tuple[Record, FloatArray]:
    cells = group.inside.cells
    if detector not in cells:
        raise InputError(unknown("detector in these results", detector, cells))
    record, scores = cells[detector]
    if "failure" in record:
        raise InputError(
            f"{detector} of {group.model} has no scores: {record['failure']}."
        )
    if record["model"].get("input_noise"):
        raise InputError(
            f"The scores of {group.model} are of images with noise; take a model that "
            "was run without --input-noise."
        )
    return record, scores

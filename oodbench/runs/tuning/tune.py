"""Chooses parameters of detectors by a stated protocol, and scores the chosen ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from oodbench.base.defaults import INSIDE, MODELS, RESULTS
from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.base.processes import join
from oodbench.base.progress import Progress, Watch
from oodbench.base.tuning import TuningProtocol
from oodbench.data.dataset import Dataset
from oodbench.data.spec import open_dataset
from oodbench.networks.hardware import pick_device
from oodbench.networks.load import Model
from oodbench.networks.precision import Precision
from oodbench.results.groups import Group
from oodbench.results.rows import Measured
from oodbench.runs.execution import Overwrite
from oodbench.runs.result import RunResult
from oodbench.runs.run import run
from oodbench.runs.sets import default_out, named_sets
from oodbench.runs.tuning.validation import check_unseen, validation
from oodbench.scoring.spec import Tuned, expanded, open_detector

FOLDER = "tuning"
"""Where the scores of candidates are stored, beside the results."""
UNCOUNTED = ("covariate", "probe")
"""Roles of sets that do not count where there are others."""

Sweep = Mapping[str, str]
"""The candidates of one sweep by their labels, in order."""


class Options(TypedDict, total=False):
    """Further arguments of `run`, for the candidates and for the chosen ones."""

    limit: int | None
    size: tuple[int, int] | None
    checkpoint: Mapping[str, Any]
    precision: Precision
    compiled: bool
    input_noise: float
    skip_unreadable: bool
    skip_missing: bool
    batch_size: int | None
    workers: int | None
    device: str
    overwrite: Overwrite


class Candidate(NamedTuple):
    """A detector of a sweep, as one model sees it."""

    model: str
    detector: str
    auroc: float | None
    """The mean over the validation sets, in [0, 1]; None if it failed on one."""
    chosen: bool


@dataclass(repr=False)
class TuneResult(RunResult):
    """The scores of the chosen detectors, and what they were chosen from."""

    candidates: list[Candidate] = field(default_factory=list)


def tune(
    models: Model | Iterable[Model] = MODELS,
    inside: str | Dataset = INSIDE,
    out: str | Dataset | Iterable[str | Dataset] | None = None,
    *,
    detectors: str | Iterable[str],
    protocol: TuningProtocol,
    in_val: str | Dataset | None = None,
    out_val: str | Dataset | Iterable[str | Dataset] = (),
    fit: str | Dataset | None = None,
    results: str | Path = RESULTS,
    quiet: bool = False,
    watch: Watch | None = None,
    **options: Unpack[Options],
) -> TuneResult:
    """Chooses parameters by a stated protocol, and scores the chosen detectors.

    Of each sweep and for each model the candidate with the highest mean AUROC over the
    validation sets is chosen, of equal ones the first. Sets of the roles covariate and
    probe count only where there are no others. It is then scored on the test sets under
    a name with the protocol: `knn:k=5@oracle`. Candidates are stored in the folder
    `tuning` beside the results, so that a second call computes only what is missing.

    Args:
        models: As for `run`.
        inside: The in-distribution set.
        out: The test sets; None for those that need no download.
        detectors: Sweeps, such as `knn:k=1|5|50`.
        protocol: in-distribution: on the in-distribution val images against the same
            ones corrupted, inverted and rotated. ood-validation: on the val images
            against `out_val`. oracle: on the test sets themselves, which is shown apart
            and never ranked.
        in_val: In-distribution images to choose on: the val split of this set, or its
            test split if it has none. None for the val split of `inside`: images at
            even places to choose on, and at odd places for detectors that are fitted on
            val images, unless `fit` names another set.
        out_val: OOD images to choose on, taken from these sets in the same way.
        fit: As for `run`.
        results: The folder to store in.
        quiet: Whether to print no progress, warnings and summary on stderr.
        watch: Receives the progress instead of stderr.
        **options: Other arguments of `run`.

    Raises:
        InputError: An argument is wrong, a detector is no sweep, a named validation
            image is a test image, or a model cannot be scored.
    """
    sweeps = _sweeps(detectors)
    root = Path(results).absolute()
    processes, _ = join(pick_device(options.get("device", "auto")))
    result = TuneResult(root, is_first=processes.is_first)
    with Progress(quiet=quiet or not processes.is_first) as progress:
        watch = watch or progress
        tests = (
            default_out(open_dataset(inside).spec) if out is None else named_sets(out)
        )
        pair = validation(
            protocol,
            inside,
            tests,
            in_val=in_val,
            out_val=named_sets(out_val),
            is_divided=fit is None,
        )
        check_unseen(pair.named, [inside, *tests], watch)
        for model in listed(models):
            scored = partial(run, [model], quiet=True, watch=watch, **options)
            found = scored(
                pair.inside,
                pair.out,
                detectors=[spec for sweep in sweeps for spec in sweep.values()],
                fit=fit,
                results=root.parent / FOLDER,
            )
            result.add_remarks(found)
            candidates, chosen = processes.agree(_choose(found, sweeps, protocol))
            result.candidates += candidates
            if chosen:
                result.add(scored(inside, out, detectors=chosen, fit=fit, results=root))
    if not quiet and processes.is_first:
        sys.stderr.write("".join(f"{line}\n" for line in result.summary()))
    return result


def _sweeps(detectors: str | Iterable[str]) -> list[Sweep]:
    """Returns the candidates of each sweep.

    Raises:
        InputError: There is none, or nothing to choose in one.
    """
    sweeps: list[Sweep] = []
    for text in listed(detectors):
        entries = [(open_detector(spec), spec) for spec in expanded(text)]
        if any(entry.tuned for entry, _ in entries):
            raise InputError(f"{text} names a protocol; leave it out, tune adds it.")
        sweeps.append({entry.label: spec for entry, spec in entries})
        if len(sweeps[-1]) < 2:
            raise InputError(
                f"There is nothing to choose in {text}; write several values, as in "
                "knn:k=1|5."
            )
    if not sweeps:
        raise InputError("There is no detector to tune; name one, as in knn:k=1|5.")
    return sweeps


def _choose(
    found: RunResult, sweeps: Sequence[Sweep], protocol: TuningProtocol
) -> tuple[list[Candidate], list[Tuned]]:
    """Returns the candidates of one model with their means, and the chosen ones."""
    candidates: list[Candidate] = []
    chosen: list[Tuned] = []
    for measured in found.opened().measured:
        _, *outside = sets = _sets(measured.group)
        means = _means(measured, {one["name"] for one in outside})
        for sweep in sweeps:
            rated = [label for label in sweep if label in means]
            best = max(rated, key=means.__getitem__, default="")  # of ties the first
            candidates += [
                Candidate(measured.group.model, label, means.get(label), label == best)
                for label in sweep
            ]
            if best:
                how = {"protocol": protocol, "candidates": len(sweep), "sets": sets}
                chosen.append(Tuned(sweep[best], how))
    return candidates, chosen


def _sets(group: Group) -> list[dict[str, str]]:
    """Returns name, role and key of the sets that decide, `inside` first."""
    inside, *outside = [
        {"name": one.name, **{key: one.record["set"][key] for key in ("role", "key")}}
        for one in (group.inside, *group.outside)
    ]
    counted = [one for one in outside if one["role"] not in UNCOUNTED]
    return [inside, *(counted or outside)]


def _means(measured: Measured, sets: Set[str]) -> dict[str, float]:
    """Returns the mean AUROC of each detector that has one on all of some sets."""
    values: dict[str, list[float]] = {}
    for row in measured.rows:
        if row.outside in sets and not row.failure:
            values.setdefault(row.detector, []).append(row.values["auroc"])
    return {
        label: sum(own) / len(own)
        for label, own in values.items()
        if len(own) == len(sets)
    }

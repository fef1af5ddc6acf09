"""Completes the cells of one network and one in-distribution set."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from oodbench.base.errors import InputError, reason
from oodbench.data.image_set import ImageSet
from oodbench.runs.execution import Execution
from oodbench.runs.plan import Plan, Setup, plan
from oodbench.runs.record import Digests, digests_of, write
from oodbench.runs.result import Planned, RunResult
from oodbench.runs.score import Scorer

logger = logging.getLogger(__name__)


def complete(
    setup: Setup, sets: Sequence[ImageSet], execution: Execution, result: RunResult
) -> None:
    """Computes and stores what is missing of some sets.

    A set that cannot be scored is a failure in the result, and the next set follows.

    Args:
        setup: Network, in-distribution set and detectors.
        sets: The in-distribution set first.
        execution: Where the scores are stored, and how they are computed.
        result: Receives what was done and what failed.

    Raises:
        InputError: The network cannot be benchmarked.
    """
    scorer = Scorer(setup, execution)
    inside: Digests | None = None
    missing: list[Plan] = []
    for images in sets:
        todo = plan(setup, images, execution)
        if execution.is_dry:
            missing.append(todo)
            continue
        if todo.is_complete:
            execution.whole(images.count)
        else:
            found = scorer.check()
            result.warnings += [each for each in found if each not in result.warnings]
        try:
            digests = _complete(todo, scorer, inside, result)
        except (Exception, SystemExit) as error:
            if execution.processes.count > 1:
                raise  # the other processes would wait for this one
            logger.debug("%s failed.", todo.name, exc_info=True)
            result.failed[todo.name] = _sentence(error)
            if inside is None:
                return
        else:
            inside = digests if inside is None else inside
    result.planned += _planned(setup, missing)


def _complete(
    todo: Plan, scorer: Scorer, inside: Digests | None, result: RunResult
) -> Digests | None:
    """Completes one set; returns its digests in the process that stores them."""
    began = time.perf_counter()
    scored = None if todo.is_complete else scorer.score(todo)
    if not scorer.execution.processes.is_first:
        return None
    digests = digests_of(todo, scored)
    shared = 0 if inside is None else int(np.isin(digests, inside).sum())
    if shared:
        result.warnings.append(
            f"{shared} of {len(digests)} images of {todo.images.dataset.name} are in "
            f"{todo.setup.inside.dataset.name}, too (`oodbench overlap` lists them)"
        )
    if scored is not None:
        failures = write(
            todo,
            scored,
            shared_images=shared,
            remarks=scorer.check(),
            seconds=time.perf_counter() - began,
            fit_seconds=scorer.fit_seconds,
            execution=scorer.execution,
        )
        result.computed += len(todo.missing) - len(failures)
        logger.info(
            "%s: %d images, %d detectors in %.1f s",
            todo.name,
            todo.images.count,
            len(todo.missing),
            time.perf_counter() - began,
        )
        for label, fault in failures.items():
            result.failed[f"{label} of {todo.name}"] = fault
    result.sets.append(todo.file)
    result.methods.update(todo.setup.keys.values())
    result.reused += len(todo.setup.keys) - len(todo.missing)
    return digests


def _planned(setup: Setup, missing: Sequence[Plan]) -> Iterator[Planned]:
    """Yields what fitting and scoring would compute."""
    labels = {label for todo in missing for label in todo.missing}
    for stage, images in setup.fits.items():
        fitted = [
            label
            for label in labels
            if setup.entries[label].detector.fitted_on == stage
        ]
        if fitted:
            yield Planned(setup.fit_name(stage), images.count, len(fitted))
    for todo in missing:
        if not todo.is_complete:
            yield Planned(todo.name, todo.images.count, len(todo.missing))


def _sentence(error: BaseException) -> str:
    """Returns why a set could not be scored."""
    if isinstance(error, InputError):
        return str(error)
    return f"{reason(error)} (`oodbench --debug` shows where)"

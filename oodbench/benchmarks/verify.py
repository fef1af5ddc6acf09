"""Compares a run of a benchmark with published figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.benchmarks.benchmark import Benchmark, read
from oodbench.benchmarks.figures import ERRORS, FULL, IN, Figure
from oodbench.benchmarks.published import Collection, Published, collection
from oodbench.benchmarks.stored import Entry, Outcome, outcome
from oodbench.results.opened import Source, open_results

ROUNDING = 0.00005
"""Half of the last digit of a published figure, 0.01 %."""
ERRORS_ALLOWED = 2
"""Standard errors of the difference that count as noise."""

Verdict = Literal[
    "reached", "within noise", "not reached", "not comparable", "not attempted"
]


@dataclass(frozen=True)
class Check:
    """One published figure and what a run gives for it."""

    published: Published
    model: str
    """The stored model."""
    own: Figure | None
    """None where there is none."""
    verdict: Verdict
    why: str = ""

    @property
    def difference(self) -> float | None:
        """The own figure minus the published one."""
        if self.own is None:
            return None
        return self.own.value - self.published.figure.value


@dataclass(frozen=True)
class Verification:
    """All checks of a run."""

    outcome: Outcome
    collection: Collection
    checks: list[Check]
    left_out: list[Published]
    """Figures of detectors that the run does not have, or not with these settings."""


def verify(
    results: Source = RESULTS, *, benchmark: str, against: str | None = None
) -> Verification:
    """Compares stored results with the published figures of a benchmark.

    A figure is reached if it rounds to the published one. It is within noise if the
    difference is at most two standard errors more. With a population deviation s over n
    draws or networks, v = s² n / (n − 1); the squared error of a mean over m of them is
    v / m. A side without a deviation has that of the other; half of the last digit is
    added to a published one, which is rounded. Where images are drawn anew or replaced,
    both sides have the error of the pool, too: v times the images of a draw over those
    of the pool.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        benchmark: The name of the benchmark.
        against: The published model; None for the one of the stored model's name.

    Raises:
        InputError: Nothing is stored or known of the benchmark or the model.
    """
    rules, known = read(benchmark), collection(benchmark)
    found = outcome(rules, open_results(results).groups)
    others = _published_models(found, known, against)
    checks: list[Check] = []
    left_out: list[Published] = []
    entries = {(entry.model, entry.detector): entry for entry in found.entries}
    for model, other in others.items():
        for each in known.figures:
            if each.model != other:
                continue
            entry = entries.get((model, known.detectors.get(each.detector, "")))
            if entry is None:
                left_out.append(each)
            else:
                checks.append(check(found, entry, each))
    return Verification(found, known, checks, left_out)


def _published_models(
    found: Outcome, known: Collection, against: str | None
) -> dict[str, str]:
    """Returns the published model of each stored one that has one."""
    if against is not None and against not in known.models:
        raise InputError(unknown("published model", against, known.models))
    stored = sorted({entry.model for entry in found.entries})
    pairs = {model: against or model for model in stored}
    pairs = {own: other for own, other in pairs.items() if other in known.models}
    if not pairs:
        raise InputError(
            f"No published model is called {' or '.join(stored)}; name one of "
            f"{', '.join(known.models)} by --against."
        )
    return pairs


def check(found: Outcome, entry: Entry, published: Published) -> Check:
    """Compares a published figure with the one of a detector on a model."""
    own = entry.figures.get(published.place)
    sets = _sets(found.benchmark, published.place.set)
    doubts = [f"{each}: {found.doubts[each]}" for each in sets if each in found.doubts]
    missing = [each for each in sets if each in found.missing]
    replaced = [each for each in sets if each in found.substitutes]
    if own is None:
        why = f"missing: {', '.join(missing)}" if missing else "no scores"
        return Check(published, entry.model, None, "not attempted", why)
    if doubts:
        return Check(published, entry.model, own, "not comparable", "; ".join(doubts))
    why = f"other files for {', '.join(replaced)}" if replaced else ""
    difference = abs(own.value - published.figure.value)
    if difference <= ROUNDING + 1e-12:
        return Check(published, entry.model, own, "reached", why)
    error = math.sqrt(_squared_error(found, published, own))
    if difference <= ROUNDING + ERRORS_ALLOWED * error:
        return Check(published, entry.model, own, "within noise", why)
    return Check(published, entry.model, own, "not reached", why)


def _sets(benchmark: Benchmark, place: str) -> list[str]:
    """Returns the labels of the sets of a figure, the in-distribution set first."""
    name = place.removesuffix(FULL)
    shifted = [each.label for each in benchmark.shifted] if name != place else []
    inside = [benchmark.inside.label, *shifted]
    if name in (IN, ERRORS):
        return inside
    return inside + (benchmark.group(name) if name in benchmark.means else [name])


def _squared_error(found: Outcome, published: Published, own: Figure) -> float:
    """Returns the squared standard error of the difference of two figures."""
    benchmark, place = found.benchmark, published.place.set
    spreads = {
        id(one): (one.deviation + rounding) ** 2 * one.runs / (one.runs - 1)
        for one, rounding in ((published.figure, ROUNDING), (own, 0.0))
        if one.deviation is not None
    }
    if not spreads:
        return 0.0
    is_other = place in found.substitutes or place in benchmark.random
    share = benchmark.images_per_draw / found.images[place] if is_other else 0.0
    either = next(iter(spreads.values()))
    return sum(
        spreads.get(id(one), either) * (1 / one.runs + share)
        for one in (published.figure, own)
    )

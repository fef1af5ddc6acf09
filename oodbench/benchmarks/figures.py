"""The figures of a benchmark, from scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.benchmarks.benchmark import Benchmark
from oodbench.metrics.ranking import FloatArray

IN = "in"
ERRORS = "errors"
FULL = " (full spectrum)"
"""Behind a set's label where covariate-shifted images count as in-distribution."""


@dataclass(frozen=True)
class Scores:
    """The scores of one detector on one network."""

    inside: FloatArray
    """`[N]`."""
    outside: Mapping[str, FloatArray]
    """`[M]` each, by the label of the set; covariate-shifted sets, too."""
    correct: NDArray[np.bool_] | None = None
    """`[N]`, whether the prediction of each image is right; None if unknown."""
    correct_outside: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """The same of each covariate-shifted set where it is known, by its label."""


class Place(NamedTuple):
    """What a figure is about."""

    set: str
    """A set's label, a mean's name, `errors` or `in`."""
    metric: str
    """`auroc`, `fpr95`, `aupr_in`, `aupr_out`; `accuracy` of `in`, of the full
    spectrum over all in-distribution and covariate-shifted images together."""


@dataclass(frozen=True)
class Figure:
    """A number of a benchmark, in [0, 1]."""

    value: float
    deviation: float | None
    """Of the population of runs; None for one run."""
    runs: int
    """Networks or, of one network, draws."""


@dataclass
class _Runs:
    """The values of one network by place, `[draws]` each."""

    benchmark: Benchmark
    scores: Scores
    values: dict[Place, FloatArray] = field(default_factory=dict)

    def fill(self) -> dict[Place, FloatArray]:
        scores, shifted = self.scores, [each.label for each in self.benchmark.shifted]
        if scores.correct is not None:
            self._add(IN, [{"accuracy": float(scores.correct.mean())}])
            if shifted and scores.correct_outside.keys() >= set(shifted):
                more = [scores.correct_outside[label] for label in shifted]
                whole = np.concatenate([scores.correct, *more])
                self._add(IN + FULL, [{"accuracy": float(whole.mean())}])
            if self.benchmark.errors and 0 < scores.correct.mean() < 1:
                right = scores.correct
                wrong = [scores.inside[~right]]  # only OOD images are drawn
                self._measure(ERRORS, scores.inside[right], wrong)
        self._fill_sets(scores.inside, "")
        if shifted and scores.outside.keys() >= set(shifted):
            others = [scores.outside[label] for label in shifted]
            self._fill_sets(np.concatenate([scores.inside, *others]), FULL)
        return self.values

    def _fill_sets(self, inside: FloatArray, suffix: str) -> None:
        draws, count = range(self.benchmark.draws), self.benchmark.images_per_draw
        for member in self.benchmark.sought:
            if (outside := self.scores.outside.get(member.label)) is not None:
                drawn = [outside[_drawn(outside.size, count, draw)] for draw in draws]
                self._measure(member.label + suffix, inside, drawn)
        for mean in self.benchmark.means:
            for metric in self.benchmark.figures:
                places = [
                    Place(label + suffix, metric)
                    for label in self.benchmark.group(mean)
                ]
                # A mean over fewer sets than the benchmark has is another figure.
                if places and self.values.keys() >= set(places):
                    values = [self.values[place] for place in places]
                    self.values[Place(mean + suffix, metric)] = np.mean(values, axis=0)

    def _measure(
        self, label: str, inside: FloatArray, outsides: Iterable[FloatArray]
    ) -> None:
        rules = self.benchmark.rules
        self._add(label, [rules.figures(inside, outside) for outside in outsides])

    def _add(self, label: str, found: Sequence[Mapping[str, float]]) -> None:
        for metric in found[0]:
            if metric in ("accuracy", *self.benchmark.figures):
                values = np.array([each[metric] for each in found])
                self.values[Place(label, metric)] = values


def figures(benchmark: Benchmark, networks: Sequence[Scores]) -> dict[Place, Figure]:
    """Returns the figures of one detector on networks that differ in the seed alone.

    The deviation is over networks where there are several, else over draws. A mean is
    left out where a set of its group is missing.

    Args:
        benchmark: The benchmark.
        networks: The scores on each network.
    """
    found = [_Runs(benchmark, scores).fill() for scores in networks]
    return dict(_summaries(found))


def _summaries(
    networks: Sequence[Mapping[Place, FloatArray]],
) -> Iterator[tuple[Place, Figure]]:
    for place in networks[0]:
        if not all(place in each for each in networks):
            continue  # a mean over fewer networks would not be comparable
        runs = [each[place] for each in networks]
        values = runs[0] if len(runs) == 1 else np.array([run.mean() for run in runs])
        deviation = float(values.std()) if values.size > 1 else None
        yield place, Figure(float(values.mean()), deviation, values.size)


def _drawn(images: int, count: int, draw: int) -> NDArray[np.intp] | slice:
    """Returns the places of the images of a draw, the same for every detector."""
    if not 0 < count < images:
        return slice(None)
    return np.random.default_rng(draw).permutation(images)[:count]

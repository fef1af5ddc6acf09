"""All metrics of a detector in one table; tables, help, rows and reports read it.

A new metric is one entry of `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.metrics import bootstrap, intervals, ranking, selective
from oodbench.metrics.intervals import INDEPENDENT, Clusters, Interval, Placements
from oodbench.metrics.ranking import Counts, FloatArray


@dataclass(frozen=True)
class Sample:
    """The scores of one detector on one pair of sets, sorted once for all metrics."""

    inside: FloatArray
    """`[N]`, the scores of ID images, finite."""
    outside: FloatArray
    """`[M]`, the scores of OOD images, finite."""
    clusters: Clusters = INDEPENDENT
    """Images that share an origin."""
    correct: NDArray[np.bool_] | None = None
    """`[N]`, whether the prediction of each ID image is right; None without labels."""

    @cached_property
    def counts(self) -> Counts:
        """The images that score at least each threshold, ID images as positives."""
        return ranking.count(self.inside, self.outside)

    @cached_property
    def mirrored(self) -> Counts:
        """The counts of the negated scores, OOD images as positives."""
        return self.counts.mirrored()

    @cached_property
    def placements(self) -> Placements:
        """The share of the other class that each image is on the right side of."""
        return intervals.placements(self.inside, self.outside)

    @cached_property
    def errors(self) -> FloatArray:
        """`[N + M]`, the expected errors among the images that are accepted first."""
        if self.correct is None:
            raise InputError(
                "This metric needs to know which predictions are right; give `correct`."
            )
        return selective.expected_errors(self.inside, self.outside, self.correct)


@dataclass(frozen=True)
class Metric:
    """One number of a sample, and how to show it."""

    name: str
    title: str
    """The words above a table of this metric in %."""
    higher_is_better: bool
    value: Callable[[Sample], float]
    """Returns the metric, in [0, 1]."""
    interval: Callable[[Sample], Interval] | None = None
    """Returns its 95 % interval within [0, 1]; None where there is no such method."""
    needs_correct: bool = False
    """Whether the sample needs `correct`."""


def _fpr_interval(sample: Sample, convention: ranking.Convention) -> Interval:
    return bootstrap.fpr_interval(
        sample.inside, sample.outside, sample.clusters, convention=convention
    )


_ENTRIES = (
    Metric(
        "auroc",
        "AUROC in %, higher is better",
        higher_is_better=True,
        value=lambda sample: ranking.area(sample.counts),
        interval=lambda sample: intervals.placements_interval(
            sample.placements, sample.clusters
        ),
    ),
    Metric(
        "fpr95",
        "FPR95 in %, lower is better: the share of OOD images accepted at the "
        "threshold that accepts 95 % of the in-distribution images",
        higher_is_better=False,
        value=lambda sample: ranking.fpr(sample.counts),
        interval=lambda sample: _fpr_interval(sample, "id"),
    ),
    Metric(
        "fpr95_openood",
        "FPR95 in %, OpenOOD convention, lower is better: the share of "
        "in-distribution images rejected at the threshold that detects 95 % of the OOD "
        "images",
        higher_is_better=False,
        value=lambda sample: ranking.fpr(sample.mirrored),
        interval=lambda sample: _fpr_interval(sample, "openood"),
    ),
    Metric(
        "aupr_in",
        "AUPR in %, in-distribution images positive, at 50 % prevalence, "
        "higher is better",
        higher_is_better=True,
        value=lambda sample: ranking.average_precision(sample.counts),
    ),
    Metric(
        "aupr_out",
        "AUPR in %, OOD images positive, at 50 % prevalence, higher is better",
        higher_is_better=True,
        value=lambda sample: ranking.average_precision(sample.mirrored),
    ),
    Metric(
        "aurc",
        "AURC in %, lower is better: the risk of an accepted image to be OOD or "
        "wrongly classified, mean over coverages, images as drawn",
        higher_is_better=False,
        value=lambda sample: selective.mean_risk(sample.errors),
        needs_correct=True,
    ),
    Metric(
        "augrc",
        "AUGRC in %, lower is better: the share of images that are accepted and "
        "OOD or wrongly classified, mean over coverages, images as drawn",
        higher_is_better=False,
        value=lambda sample: selective.mean_generalised_risk(sample.errors),
        needs_correct=True,
    ),
)
METRICS = MappingProxyType({metric.name: metric for metric in _ENTRIES})
"""Every metric by its name, in the order of tables."""

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
from oodbench.metrics import bootstrap, influence, intervals, ranking, selective
from oodbench.metrics.intervals import Intervals
from oodbench.metrics.order import Order, order_of
from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.spreads import INDEPENDENT, Clusters, Placements


@dataclass(frozen=True)
class Sample:
    """The scores of one detector, or of several in rows, on one pair of sets.

    They are sorted once for all metrics.
    """

    inside: FloatArray
    """`[…, N]`, the scores of ID images, finite."""
    outside: FloatArray
    """`[…, M]`, the scores of OOD images, finite."""
    clusters: Clusters = INDEPENDENT
    """Images that share an origin."""
    correct: NDArray[np.bool_] | None = None
    """`[N]`, whether the prediction of each ID image is right; None without labels."""

    @cached_property
    def order(self) -> Order:
        """The order of all images by their scores."""
        return order_of(self.inside, self.outside)

    @cached_property
    def mirrored(self) -> Order:
        """Their order by the negated scores, OOD images as positives."""
        return self.order.mirrored()

    @cached_property
    def precision(self) -> FloatArray:
        """The average precision, ID images as positives."""
        return ranking.average_precision(self.order.counts)

    @cached_property
    def mirrored_precision(self) -> FloatArray:
        """The average precision, OOD images as positives."""
        return ranking.average_precision(self.mirrored.counts)

    @cached_property
    def placements(self) -> Placements:
        """The share of the other class that each image is on the right side of."""
        return intervals.placements_of(self.order)

    @cached_property
    def errors(self) -> FloatArray:
        """`[…, n]`, the expected errors among the images that are accepted first."""
        return selective.errors_of(self.order, self.known_correct)

    @property
    def known_correct(self) -> NDArray[np.bool_]:
        """`correct`, or one sentence where it is missing."""
        if self.correct is None:
            raise InputError(
                "This metric needs to know which predictions are right; give `correct`."
            )
        return np.asarray(self.correct, dtype=bool)


@dataclass(frozen=True)
class Metric:
    """One number of each row of a sample, and how to show it."""

    name: str
    label: str
    """As the field writes it."""
    about: str
    """What it is, in a few words behind a colon; empty where everybody knows it."""
    higher_is_better: bool
    value: Callable[[Sample], FloatArray]
    """Returns the metric `[…]`, in [0, 1]."""
    interval: Callable[[Sample], Intervals] | None = None
    """Returns its 95 % intervals within [0, 1]; None where there is no such method."""
    method: str = ""
    """The method of the interval, in a few words for the note below a table."""
    needs_correct: bool = False
    """Whether the sample needs `correct`."""

    @property
    def heading(self) -> str:
        """The label, with an arrow towards better values."""
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"

    @property
    def title(self) -> str:
        """The words above a table of this metric."""
        better = "higher" if self.higher_is_better else "lower"
        about = f": {self.about}" if self.about else ""
        return f"{self.heading} in %, {better} is better{about}"


def _aupr_in_interval(sample: Sample) -> Intervals:
    return influence.influence_intervals(
        sample.precision,
        influence.on_average_precision(sample.order),
        sample.clusters,
        lowest=influence.lowest_precision,
    )


def _aupr_out_interval(sample: Sample) -> Intervals:
    return influence.influence_intervals(
        sample.mirrored_precision,
        influence.on_average_precision(sample.mirrored),
        sample.clusters.swapped(),
        lowest=influence.lowest_precision,
    )


def _aurc_interval(sample: Sample) -> Intervals:
    return influence.influence_intervals(
        selective.mean_risk(sample.errors),
        influence.on_mean_risk(sample.errors, sample.order, sample.known_correct),
        sample.clusters,
    )


def _augrc_interval(sample: Sample) -> Intervals:
    return influence.influence_intervals(
        selective.mean_generalised_risk(sample.errors),
        influence.on_mean_generalised_risk(
            sample.errors, sample.order, sample.known_correct
        ),
        sample.clusters,
    )


_ENTRIES = (
    Metric(
        "auroc",
        "AUROC",
        "",
        higher_is_better=True,
        value=lambda sample: ranking.area(sample.order.counts),
        interval=lambda sample: intervals.placements_intervals(
            sample.placements, sample.clusters
        ),
        method="DeLong, logit scale, Student's t",
    ),
    Metric(
        "fpr95",
        "FPR95",
        "the share of OOD images accepted at the threshold that accepts 95 % of the "
        "in-distribution images",
        higher_is_better=False,
        value=lambda sample: ranking.fpr(sample.order.counts),
        interval=lambda sample: bootstrap.rate_intervals(sample.order, sample.clusters),
        method="threshold and rate binomial; with origins, bootstrap",
    ),
    Metric(
        "fpr95_openood",
        "FPR95",
        "OpenOOD convention, the share of in-distribution images rejected at the "
        "threshold that detects 95 % of the OOD images",
        higher_is_better=False,
        value=lambda sample: ranking.fpr(sample.mirrored.counts),
        interval=lambda sample: bootstrap.rate_intervals(
            sample.mirrored, sample.clusters.swapped()
        ),
        method="threshold and rate binomial; with origins, bootstrap",
    ),
    Metric(
        "aupr_in",
        "AUPR",
        "in-distribution images positive, at 50 % prevalence",
        higher_is_better=True,
        value=lambda sample: sample.precision,
        interval=_aupr_in_interval,
        method="influence of each image",
    ),
    Metric(
        "aupr_out",
        "AUPR",
        "OOD images positive, at 50 % prevalence",
        higher_is_better=True,
        value=lambda sample: sample.mirrored_precision,
        interval=_aupr_out_interval,
        method="influence of each image",
    ),
    Metric(
        "aurc",
        "AURC",
        "the risk of an accepted image to be OOD or wrongly classified, mean over "
        "coverages, images as drawn",
        higher_is_better=False,
        value=lambda sample: selective.mean_risk(sample.errors),
        interval=_aurc_interval,
        method="influence of each image",
        needs_correct=True,
    ),
    Metric(
        "augrc",
        "AUGRC",
        "the share of images that are accepted and OOD or wrongly classified, mean "
        "over coverages, images as drawn",
        higher_is_better=False,
        value=lambda sample: selective.mean_generalised_risk(sample.errors),
        interval=_augrc_interval,
        method="influence of each image",
        needs_correct=True,
    ),
)
METRICS = MappingProxyType({metric.name: metric for metric in _ENTRIES})
"""Every metric by its name, in the order of tables."""


def numbers(sample: Sample) -> list[dict[str, float]]:
    """Returns for each detector of a sample `[D, N]` all metrics that can be computed.

    The ends of their intervals are `auroc_low`, `auroc_high`, …; `tied` is the share of
    tied scores, `deciding` how many images decide the AUROC.
    """
    columns: dict[str, FloatArray] = {}
    for name, metric in METRICS.items():
        if metric.needs_correct and sample.correct is None:
            continue
        columns[name] = metric.value(sample)
        if metric.interval is not None:
            columns[f"{name}_low"], columns[f"{name}_high"] = metric.interval(sample)
    columns["tied"] = ranking.tied(sample.order.shared)
    columns["deciding"] = intervals.few_decide(sample.placements, sample.clusters)
    rows = np.transpose(list(columns.values())).tolist()
    return [dict(zip(columns, row, strict=True)) for row in rows]

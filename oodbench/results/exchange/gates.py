"""Limits that stored numbers must keep, for a build that fails when one does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.base.text import printable
from oodbench.metrics.table import METRICS
from oodbench.results.rows import Measured, Row

GRADED = ("near", "far", "unstated")
"""Roles of the sets that a gate without a set is about."""


class Gate(NamedTuple):
    """The limit of one metric of one detector."""

    detector: str
    outside: str
    """The OOD set; empty for all near, far and unstated ones."""
    metric: str
    bound: float
    """In [0, 1]: the least value, or the greatest of a metric where lower is better."""

    def is_about(self, row: Row) -> bool:
        """Returns whether the gate limits a row."""
        here = row.outside == self.outside if self.outside else row.role in GRADED
        return here and row.detector == self.detector

    def is_kept_by(self, value: float) -> bool:
        """Returns whether a value is within the limit; NaN is not."""
        is_high = METRICS[self.metric].higher_is_better
        return value >= self.bound if is_high else value <= self.bound


class Verdict(NamedTuple):
    """Whether one row keeps a gate."""

    model: str
    what: str
    """In words, what is demanded."""
    fault: str
    """What is the case instead; empty where the gate is kept."""


def parse(text: str) -> Gate:
    """Returns the gate that `DETECTOR[@SET]:METRIC=BOUND` describes.

    >>> parse("energy@svhn:auroc=0.9")
    Gate(detector='energy', outside='svhn', metric='auroc', bound=0.9)

    Raises:
        InputError: It describes none, or there is no such metric.
    """
    left, _, number = text.rpartition("=")
    name, _, metric = left.rpartition(":")
    detector, _, outside = name.partition("@")
    try:
        bound = float(number)
    except ValueError:
        bound = -1
    if not (detector and 0 <= bound <= 1):
        raise InputError(
            f"{text!r} is no gate; write DETECTOR:METRIC=BOUND with a bound in [0, 1], "
            "as in energy:auroc=0.9 or energy@svhn:fpr95=0.2."
        )
    if metric not in METRICS:
        raise InputError(unknown("metric", metric, METRICS))
    return Gate(detector, outside, metric, bound)


def judge(gates: Iterable[Gate], measured: Iterable[Measured]) -> list[Verdict]:
    """Returns whether each row that a gate is about keeps it.

    Raises:
        InputError: A gate is about no row.
    """
    rows = [row for one in measured for row in one.rows]
    found = []
    for gate in gates:
        own = [row for row in rows if gate.is_about(row)]
        if not own:
            detectors = sorted({row.detector for row in rows})
            sets = sorted({row.outside for row in rows})
            raise InputError(
                unknown("set in these results", gate.outside, sets)
                if gate.detector in detectors
                else unknown("detector in these results", gate.detector, detectors)
            )
        found += [_verdict(gate, row) for row in own]
    return found


def _verdict(gate: Gate, row: Row) -> Verdict:
    sign = "≥" if METRICS[gate.metric].higher_is_better else "≤"
    place = f"{row.detector} on {row.outside} against {row.inside}"
    value = row.values.get(gate.metric)
    if value is None:
        fault = row.failure or f"it has no {gate.metric}"
    else:
        fault = "" if gate.is_kept_by(value) else f"it is {value:.6f}"
    return Verdict(row.model, f"{place}: {gate.metric} {sign} {gate.bound:g}", fault)


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """Returns verdicts as a JUnit XML file, one test case each."""
    failures = sum(bool(one.fault) for one in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failures)}
    suite = ElementTree.Element("testsuite", {"name": "oodbench", **counts})
    for one in verdicts:
        names = {"classname": printable(one.model), "name": printable(one.what)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if one.fault:
            ElementTree.SubElement(case, "failure", {"message": printable(one.fault)})
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)

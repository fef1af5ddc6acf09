"""The effect of temperature scaling, with everything that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.base.files import Record, json_bytes
from oodbench.metrics.calibration import BINS, reliability

if TYPE_CHECKING:
    from oodbench.metrics.temperature import Graded

SCHEMA = 1
KIND = "oodbench calibration"


@dataclass(frozen=True)
class Recalibrated:
    """One network before and after temperature scaling."""

    model: Record
    fitted_on: Record
    """The set that the temperature is fitted on."""
    inside: Record
    """The set that accuracy and calibration are computed on."""
    run: Record
    temperature: float
    before: Graded
    after: Graded


def to_json(found: Sequence[Recalibrated]) -> bytes:
    """Returns the results of some networks as JSON."""
    models = [
        {**vars(one), "before": _numbers(one.before), "after": _numbers(one.after)}
        for one in found
    ]
    content = {"kind": KIND, "schema": SCHEMA, "bins": BINS, "models": models}
    return json_bytes(content)


def _numbers(graded: Graded) -> Record:
    bins = reliability(graded.confidence, graded.correct)
    in_bins = {name: each.tolist() for name, each in bins._asdict().items()}
    return {**graded.values, "reliability": in_bins}

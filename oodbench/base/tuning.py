"""The protocols by which parameters are chosen; a tuned detector is named by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

TuningProtocol = Literal["in-distribution", "ood-validation", "oracle"]
PROTOCOLS: tuple[TuningProtocol, ...] = get_args(TuningProtocol)
NOTES = {
    "in-distribution": "parameters chosen without OOD images, on changed validation "
    "images of the in-distribution set",
    "ood-validation": "parameters chosen on OOD validation images",
    "oracle": "parameters chosen on the test sets themselves: a bound, never ranked",
}


def protocol_of(label: str) -> TuningProtocol | None:
    """Returns the protocol in a detector's label; None for one that is not tuned.

    >>> protocol_of("knn:k=5@oracle")
    'oracle'
    """
    named = label.rpartition("@")[2]
    return next((one for one in PROTOCOLS if label != named == one), None)


def notes(labels: Iterable[str]) -> list[str]:
    """Returns what the protocols in some labels mean, for the notes of a table."""
    found = {protocol_of(label) for label in labels}
    return [f"@{one}: {NOTES[one]}" for one in PROTOCOLS if one in found]

"""The metrics that travel with scores, and what the scores say to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oodbench.base.files import json_bytes
from oodbench.results.rows import Measured, Row

FILE = "metrics.json"
"""Name of the file beside the stored scores."""
TOLERANCE = 1e-9
"""Between a claimed metric and the one that is computed from the scores."""
NAMES = ("model", "inside", "outside", "detector")


def to_json(measured: Iterable[Measured]) -> bytes:
    """Returns all metrics as JSON, one entry per model, detector and pair of sets."""
    entries = [
        {**{name: getattr(row, name) for name in NAMES}, "values": row.values}
        for row in _rows(measured)
    ]
    return json_bytes(entries)


def contradictions(content: bytes, measured: Iterable[Measured]) -> Iterator[str]:
    """Yields each claimed metric that the scores do not give, in words.

    Args:
        content: What `to_json` returned, or what somebody made of it.
        measured: The stored scores.
    """
    try:
        claimed = {_name(entry): entry["values"] for entry in json.loads(content)}
    except (ValueError, KeyError, TypeError, RecursionError):
        yield "it does not hold metrics as `oodbench export` writes them"
        return
    own = {_name(vars(row)): row.values for row in _rows(measured)}
    for name in sorted(claimed.keys() - own.keys()):
        yield f"{' / '.join(name)} has metrics and no scores"
    for name, values in own.items():
        if name not in claimed:
            yield f"{' / '.join(name)} has scores and no metrics"
            continue
        for metric, value in values.items():
            if not _is_near(claimed[name], metric, value):
                yield (
                    f"{' / '.join(name)}: {metric} is {value:.6f} by the scores, not "
                    f"{claimed[name].get(metric)}"
                )


def _rows(measured: Iterable[Measured]) -> list[Row]:
    return [row for one in measured for row in one.rows]


def _name(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry[name]) for name in NAMES)


def _is_near(claimed: Mapping[str, Any], metric: str, value: float) -> bool:
    claim = claimed.get(metric)
    return isinstance(claim, int | float) and abs(claim - value) <= TOLERANCE

"""Writes all numbers as JSON, one object per row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows as objects with the names of the head; NaN becomes null.

    There is no place for a title and notes.

    >>> print(listing(["detector", "auroc"], [["msp", 0.5]]), end="")
    [{"detector": "msp", "auroc": 0.5}]
    """
    found = [dict(zip(head, map(_value, row), strict=True)) for row in rows]
    lines = ",\n ".join(json.dumps(one, allow_nan=False) for one in found)
    return f"[{lines}]\n"


def _value(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value

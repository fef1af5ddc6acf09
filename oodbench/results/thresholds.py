"""Stored thresholds: what `oodbench threshold --to` writes and `score` reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from oodbench.base.errors import InputError
from oodbench.base.files import Record, json_bytes, write_atomically
from oodbench.metrics.threshold import Threshold
from oodbench.results.schema import Form, fits, is_count, is_count_or_none, is_text

SCHEMA = 2
KIND = "oodbench threshold"


def _is_number(value: object) -> bool:
    # In Python true is an integer, and comparisons with NaN are false.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _is_row(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


FIT: Form = {
    "name": is_text,
    "key": is_text,
    "split": lambda value: value in ("train", "val", "test"),
    "limit": is_count_or_none,
    "spec": is_text,
}
LEARNT: Form = {
    "parts": lambda value: isinstance(value, list),
    "tensors": lambda value: isinstance(value, list) and all(map(is_text, value)),
}
FORM: Form = {
    "kind": lambda value: value == KIND,
    "schema": lambda value: value == SCHEMA,
    "threshold": _is_number,
    "model": {
        "name": is_text,
        "key": is_text,
        "shape": lambda value: (
            isinstance(value, list) and len(value) == 3 and all(map(is_count, value))
        ),
        "mean": _is_row,
        "std": _is_row,
        "precision": lambda value: value in ("fp32", "bf16"),
    },
    "detector": {
        "label": is_text,
        "key": is_text,
        "fitted_on": lambda value: value is None or fits(value, FIT),
    },
    "learnt": lambda value: value is None or fits(value, LEARNT),
}
"""The form of the file that `oodbench score` reads."""


def record(cell: Record, found: Threshold, rate: float) -> Record:
    """Returns the record of a threshold, with everything that decides it.

    Args:
        cell: The record of the detector's scores on the in-distribution set.
        found: The threshold.
        rate: The share of in-distribution images that it should accept.
    """
    finite_ends = [end if np.isfinite(end) else None for end in found.likely]
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "threshold": found.value,
        "threshold_interval": finite_ends,
        "rate": rate,
        "accepted": found.share,
        "accepted_interval": list(found.true_share),
        "level": 0.95,
        "model": cell["model"],
        "inside": cell["set"],
        "detector": cell["detector"],
        "run": cell["run"],
        "learnt": None,
    }


def archive_of(path: Path) -> Path:
    """Returns the place of what the detector has learnt, beside its threshold."""
    return path.with_suffix(".learnt.npz")


def write(path: Path, content: Record) -> None:
    """Writes the record of a threshold."""
    write_atomically(path, json_bytes(content))


def read(path: Path) -> Record:
    """Returns the record of a threshold.

    Raises:
        InputError: The file is missing, or it is no record of a threshold.
    """
    try:
        content: Record = json.loads(path.read_bytes())
        if not fits(content, FORM):
            raise ValueError("another kind or version, or damaged")
    except OSError as error:
        raise InputError(
            f"Cannot read {path}: {error.strerror}. `oodbench threshold --to` writes "
            "such a file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} holds no threshold that this version reads; write it again with "
            "`oodbench threshold --to`."
        ) from error
    return content

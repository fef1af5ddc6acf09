"""Stored thresholds: what `oodbench threshold --to` writes and `score` reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from oodbench.base.errors import InputError
from oodbench.base.files import Record, json_bytes, write_atomically
from oodbench.metrics.selective_threshold import SelectiveThreshold
from oodbench.metrics.threshold import Certified, Threshold
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
    "guarantee": is_text,
    "model": {
        "name": is_text,
        "key": is_text,
        "shape": lambda value: (
            isinstance(value, list) and len(value) == 3 and all(map(is_count, value))
        ),
        "mean": _is_row,
        "std": _is_row,
        "precision": lambda value: value in ("fp32", "tf32", "bf16"),
    },
    "detector": {
        "label": is_text,
        "key": is_text,
        "fitted_on": lambda value: value is None or fits(value, FIT),
    },
    "learnt": lambda value: value is None or fits(value, LEARNT),
}
"""The form of the file that `oodbench score` reads."""


def accepting(
    cell: Record,
    found: Threshold,
    rate: float,
    certified: Certified | None,
    delta: float,
) -> Record:
    """Returns the record of a threshold that accepts a share of the images.

    Args:
        cell: The record of the detector's scores on the in-distribution set.
        found: The threshold.
        rate: The share of in-distribution images that it should accept.
        certified: Whether that holds for new images.
        delta: Of `metrics.threshold.threshold`.
    """
    finite_ends = [end if np.isfinite(end) else None for end in found.likely]
    guarantees = {
        None: f"{100 * rate:g} % of these test images are accepted, at least",
        "mean": f"new images like these are accepted at a rate of {100 * rate:g} % or "
        "more, on average over samples like this one (conformal risk control)",
        "delta": f"new images like these are accepted at a rate of {100 * rate:g} % or "
        f"more, for all but {100 * delta:g} % of samples like this one",
    }
    return {
        **_common(cell, found.value, guarantees[certified]),
        "threshold_interval": finite_ends,
        "rate": rate,
        "certified": certified,
        "accepted": found.share,
        "accepted_interval": list(found.true_share),
        "level": 0.95,
        **({"delta": delta} if certified == "delta" else {}),
    }


def selecting(
    cell: Record, found: SelectiveThreshold, risk: float, delta: float
) -> Record:
    """Returns the record of a threshold with a certified risk.

    Args:
        cell: The record of the detector's scores on the in-distribution set.
        found: The threshold.
        risk: The share of accepted predictions that may be wrong.
        delta: Of `metrics.selective_threshold.selective_threshold`.
    """
    guarantee = (
        f"at most {100 * risk:g} % of the predictions for accepted images like these "
        f"are wrong, for all but {100 * delta:g} % of samples like this one (SGR)"
    )
    return {
        **_common(cell, found.value, guarantee),
        "risk": risk,
        "certified": "delta",
        "delta": delta,
        "accepted": found.accepted / cell["set"]["images"],
        "wrong": found.wrong / found.accepted,
        "wrong_at_most": found.risk,
    }


def _common(cell: Record, value: float, guarantee: str) -> Record:
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "threshold": value,
        "guarantee": guarantee,
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

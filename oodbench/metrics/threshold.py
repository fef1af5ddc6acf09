"""Finds the score from which an image is accepted, and how sure that is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.intervals import Interval, tail_of
from oodbench.metrics.ranking import finite, threshold_at_tpr
from oodbench.results.schema import Form, fits, is_count, is_count_or_none, is_text
from oodbench.results.store import Record, write_atomically

SCHEMA = 1
KIND = "oodbench threshold"


def _is_number(value: object) -> bool:
    # To Python true is a number too; NaN is no less than anything.
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
}
"""Of what `oodbench score` reads."""


class Threshold(NamedTuple):
    """A score that accepts a share of the in-distribution images, at least."""

    value: float
    """Images that score no less are accepted."""
    likely: Interval
    """Interval of the score that accepts exactly the wanted share of all images like
    these; infinite where the sample is too small to bound it."""
    share: float
    """Of this sample's images that it accepts."""
    true_share: Interval
    """Interval of the share that it accepts of all images like these."""


def threshold(
    id_scores: ArrayLike, rate: float = 0.95, *, level: float = 0.95
) -> Threshold:
    """Returns the highest score that at least the share `rate` of `[N]` images reaches.

    Nothing is assumed of the scores but that the images are independent. The K-th
    highest of N accepts a share of all images whose distribution is Beta(K, N + 1 - K)
    (Wilks, Annals of Mathematical Statistics, 1941), or more where scores are tied; the
    upper end is Clopper and Pearson's (Biometrika, 1934) for all that it accepts. The
    interval of the score goes from order statistic to order statistic by the binomial
    distribution (David and Nagaraja, Order Statistics, Wiley, 2003).

    Args:
        id_scores: `[N]`.
        rate: The wanted share, in (0, 1].
        level: Share of samples whose interval holds the truth, in (0, 1).

    >>> found = threshold([4, 3, 2, 1], 0.75)
    >>> found.value, found.share
    (2.0, 0.75)
    """
    from scipy.special import bdtr, betaincinv

    tail = tail_of(level)
    descending = np.sort(finite(id_scores, "id_scores"))[::-1]
    value = threshold_at_tpr(descending, rate)
    count = descending.size
    rank = count - int(threshold_at_tpr(np.arange(count), rate))
    accepted = int(np.count_nonzero(descending >= value))
    low = betaincinv(rank, count + 1 - rank, tail)
    high = (
        1 if accepted == count else betaincinv(accepted + 1, count - accepted, 1 - tail)
    )
    # The chance that no more than 0, 1, … N of N images reach the true score.
    at_most = bdtr(np.arange(count + 1), count, rate)
    above = int(np.count_nonzero(at_most <= tail))
    below = int(np.count_nonzero(1 - at_most > tail)) + 1
    likely = Interval(
        float(descending[below - 1]) if below <= count else -np.inf,
        float(descending[above - 1]) if above >= 1 else np.inf,
    )
    return Threshold(value, likely, accepted / count, Interval(float(low), float(high)))


def record(cell: Record, found: Threshold, rate: float) -> Record:
    """Returns a threshold with all that decided it.

    Args:
        cell: The record of the detector's scores on the in-distribution set.
        found: The threshold.
        rate: The share that was wanted.
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
    }


def write(path: Path, content: Record) -> None:
    """Writes the record of a threshold."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(path, text.encode() + b"\n")


def read(path: Path) -> Record:
    """Returns the record of a threshold.

    Raises:
        InputError: The file is missing, or is no such record.
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

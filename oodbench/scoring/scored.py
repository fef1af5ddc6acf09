"""Predictions and scores of some images, in parts that can be joined and stored."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.files import npz_bytes
from oodbench.scoring.stopwatch import Stopwatch


class Cost(NamedTuple):
    """What a detector's scores of some images cost beyond the shared pass."""

    seconds: float = 0.0
    """In `score`, with further passes. What detectors share counts for the first."""
    forward: int = 0
    """Images times further forward passes."""
    backward: int = 0
    """Images times backward passes."""

    def plus(self, other: Cost) -> Cost:
        """Returns the cost of both."""
        return Cost(
            self.seconds + other.seconds,
            self.forward + other.forward,
            self.backward + other.backward,
        )


class Scored(NamedTuple):
    """Predictions and scores of some images."""

    predictions: dict[str, NDArray[Any]]
    """Per image `[N]`: `predictions`, `confidences`; with labels `nll`, `brier` too."""
    scores: dict[str, NDArray[np.float64]]
    """By detector, `[N]`."""
    failures: dict[str, str]
    """The reason for each detector without scores."""
    costs: Mapping[str, Cost] = MappingProxyType({})
    """By detector with scores."""


class Spent(NamedTuple):
    """What a detector's scores of some images cost, while a GPU may still work."""

    time: Stopwatch
    forward: int
    backward: int

    def cost(self) -> Cost:
        """Returns the same, when the work is done."""
        return Cost(self.time.seconds(), self.forward, self.backward)


class Pending(NamedTuple):
    """Predictions and scores of some images, on the network's device."""

    predictions: dict[str, Tensor]
    """As in `Scored`."""
    scores: dict[str, Tensor]
    """By detector, `[N]`, float64."""
    failures: dict[str, str]
    """The reason for each detector without scores."""
    spent: Mapping[str, Sequence[Spent]]
    """By detector with scores, one for each of its batches."""


def fetched(parts: Sequence[Pending]) -> Scored:
    """Joins parts in order, in one transfer from the device."""
    failures = _failures(parts)
    names = list(parts[0].predictions)
    labels = [label for label in parts[0].scores if label not in failures]
    joined = [torch.cat([part.predictions[name] for part in parts]) for name in names]
    joined += [torch.cat([part.scores[label] for part in parts]) for label in labels]
    # Class numbers are small enough to be exact in float64.
    whole = torch.stack([values.double() for values in joined]).cpu().numpy()
    predictions = dict(zip(names, whole, strict=False))
    predictions["predictions"] = predictions["predictions"].astype(np.int64)
    scores = dict(zip(labels, whole[len(names) :], strict=True))
    costs = {
        label: reduce(
            Cost.plus, [one.cost() for part in parts for one in part.spent[label]]
        )
        for label in labels
    }
    return Scored(predictions, scores, failures, costs)


def merge(parts: Sequence[Scored]) -> Scored:
    """Joins parts in order. A detector that failed in one part has failed in all."""
    failures = _failures(parts)
    first = parts[0]
    return Scored(
        {
            name: np.concatenate([part.predictions[name] for part in parts])
            for name in first.predictions
        },
        {
            label: np.concatenate([part.scores[label] for part in parts])
            for label in first.scores
            if label not in failures
        },
        failures,
        {
            label: reduce(Cost.plus, [part.costs[label] for part in parts])
            for label in first.costs
            if label not in failures
        },
    )


def without_bad_scores(scored: Scored) -> Scored:
    """Returns the same, but detectors with NaN or infinite scores as failed."""
    bad = {
        label: fault
        for label, values in scored.scores.items()
        if (fault := _not_finite(values))
    }
    good = {label: v for label, v in scored.scores.items() if label not in bad}
    return scored._replace(scores=good, failures={**scored.failures, **bad})


def to_bytes(scored: Scored) -> bytes:
    """Returns the content of an `.npz` file of predictions, scores and failures."""
    names = {"predictions": list(scored.predictions), "scores": list(scored.scores)}
    about = {**names, "failures": scored.failures, "costs": dict(scored.costs)}
    # Arrays are numbered, since the label of a detector can be any text.
    arrays = [*scored.predictions.values(), *scored.scores.values()]
    numbered = {f"arr_{index}": array for index, array in enumerate(arrays)}
    return npz_bytes({"about": np.array(json.dumps(about)), **numbered})


def from_bytes(content: bytes) -> Scored | None:
    """Returns the argument of `to_bytes`; None if the content is damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            arrays = iter([stored[f"arr_{i}"] for i in range(len(stored.files) - 1)])
            predictions = {name: next(arrays) for name in about["predictions"]}
            scores = {label: next(arrays) for label in about["scores"]}
            costs = {label: Cost(*cost) for label, cost in about["costs"].items()}
            return Scored(predictions, scores, dict(about["failures"]), costs)
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        StopIteration,
        BadZipFile,
    ):
        return None


def _failures(parts: Sequence[Scored | Pending]) -> dict[str, str]:
    """Returns why detectors have failed, by the first part in which they did."""
    failures: dict[str, str] = {}
    for part in reversed(parts):
        failures |= part.failures
    return failures


def _not_finite(scores: NDArray[np.float64]) -> str:
    bad = np.flatnonzero(~np.isfinite(scores))
    if not len(bad):
        return ""
    return (
        f"{len(bad)} of {len(scores)} scores are not finite; "
        f"the first, of image {bad[0]}, is {scores[bad[0]]}"
    )

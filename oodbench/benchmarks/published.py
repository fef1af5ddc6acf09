"""Figures that others have published under the rules of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.benchmarks.figures import Figure, Place

SHIPPED = files(__package__) / "published"


@dataclass(frozen=True)
class Published:
    """One published figure."""

    model: str
    detector: str
    """As its source calls it."""
    place: Place
    figure: Figure
    source: int
    """Its place in `Collection.sources`."""


@dataclass(frozen=True)
class Collection:
    """All figures that are shipped for a benchmark."""

    sources: tuple[Record, ...]
    """Title, repository, commit, path and how the figures were read."""
    detectors: Mapping[str, str]
    """The label here of each detector whose settings are the same."""
    figures: tuple[Published, ...]

    @property
    def models(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted({each.model for each in self.figures})


def collection(benchmark: str) -> Collection:
    """Returns the published figures of a benchmark.

    Raises:
        InputError: None are shipped.
    """
    file = SHIPPED / f"{benchmark}.json"
    if not file.is_file():
        known = ", ".join(
            sorted(file.name.removesuffix(".json") for file in SHIPPED.iterdir())
        )
        raise InputError(
            f"No published figures of {benchmark} are known, so nothing is compared; "
            f"there are some of {known}. `oodbench table --benchmark {benchmark}` "
            "shows your own."
        )
    content = json.loads(file.read_text("utf-8"))
    return Collection(
        tuple(content["sources"]),
        content["detectors"],
        tuple(_published(*row) for row in content["rows"]),
    )


def _published(
    source: int,
    model: str,
    detector: str,
    set_: str,
    metric: str,
    value: float,
    deviation: float | None,
    runs: int,
) -> Published:
    spread = None if deviation is None else deviation / 100
    figure = Figure(value / 100, spread, runs)
    return Published(model, detector, Place(set_, metric), figure, source)

"""Stores scores that another program computed, marked as imported."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.files import Record, folder_name, key_of
from oodbench.results.exchange import score_file
from oodbench.results.exchange.score_file import Given, GivenSet
from oodbench.results.store import SetFile, Store


class Imported(NamedTuple):
    """What was stored, and what looks wrong in it."""

    cells: int
    warnings: list[str]


def import_scores(
    file: str | Path,
    *,
    results: str | Path = RESULTS,
    model: str = "",
    seed: str = "",
    detector: str = "",
    inside: str = "",
    near: Collection[str] = (),
    far: Collection[str] = (),
    higher_is_ood: bool = False,
) -> Imported:
    """Stores scores made elsewhere, so that tables, tests and reports read them.

    Their images are unknown: sets count as equal where name and number of images are.
    Metrics are those of the same scores from `oodbench run`.

    Args:
        file: An .npz or .csv file, or a folder of OpenOOD's `save_scores`; see
            docs/results.md.
        results: Folder of the stored scores.
        model: The model's name; empty for the file's, or else the name of the file.
        seed: The seed of the model's training; the name is then MODEL@SEED.
        detector: The detector's name; empty for the file's.
        inside: The name of the in-distribution set; empty for the file's.
        near: Names of sets that are near OOD, where the file does not say so.
        far: Names of sets that are far OOD.
        higher_is_ood: Whether a higher score means OOD; scores are then negated.

    Raises:
        InputError: The file cannot be read, or something in it is wrong or missing.
    """
    path = Path(file)
    found, digest = score_file.read(path, inside, near, far)
    source = {"file": path.name, "sha256": digest}
    known = sorted({one.name for given in found for one in given.outside})
    if absent := [name for name in (*near, *far) if name not in known]:
        raise InputError(f"{path} has no set {absent[0]}; it has {', '.join(known)}.")
    if not all(detector or given.detector for given in found):
        raise InputError(f"{path} does not name the detector; add --detector NAME.")
    cells, warnings = 0, []
    for given in found:
        part = _Part(
            source,
            given,
            model or given.model or path.stem,
            seed or given.seed,
            detector or given.detector,
            -1.0 if higher_is_ood else 1.0,
        )
        for one in (given.inside, *given.outside):
            part.write(Store(Path(results)), one)
            cells += 1
        warnings += part.doubts()
    return Imported(cells, warnings)


class _Part(NamedTuple):
    """The scores of one model and detector, and where they come from."""

    imported: Record
    given: Given
    model: str
    seed: str
    detector: str
    sign: float

    @property
    def title(self) -> str:
        return f"{self.model}@{self.seed}" if self.seed else self.model

    def write(self, store: Store, one: GivenSet) -> None:
        """Stores one set and the scores on it."""
        model, inside = self._model(), self._images(self.given.inside)
        about = {**self._images(one), "role": one.role, "shared_images": 0}
        record: Record = {
            "model": model,
            "inside": inside,
            "set": about,
            "run": {
                "oodbench": version("oodbench"),
                "finished": datetime.datetime.now(datetime.UTC).isoformat(),
            },
            "imported": self.imported,
        }
        parts = (model, inside, about)
        file = store.set(*(folder_name(part["name"], part["key"]) for part in parts))
        arrays = {name: part for name, part in one.arrays.items() if name != "scores"}
        file.write(_joined(file, arrays, self.title, one.name), record)
        cell = {**record, "detector": self._detector()}
        file.cell(self.detector, cell["detector"]["key"]).write(self._scores(one), cell)

    def doubts(self) -> list[str]:
        """Returns a warning where the scores seem to have the wrong sign."""
        inside = np.median(self._scores(self.given.inside))
        if all(np.median(self._scores(one)) > inside for one in self.given.outside):
            return [
                f"{self.detector} of {self.title}: every OOD set scores higher than "
                f"{self.given.inside.name}. If higher means OOD in this file, import "
                "it with --higher-is-ood."
            ]
        return []

    def _scores(self, one: GivenSet) -> NDArray[np.float64]:
        return self.sign * one.arrays["scores"]

    def _model(self) -> Record:
        arrays = self.given.inside.arrays
        numbers = [values.max() for what, values in arrays.items() if what != "scores"]
        return {
            "name": self.title,
            "key": key_of("imported", self.model, self.seed),
            "seed": self.seed,
            "classes": int(max(numbers)) + 1 if numbers else None,
            "density_head": None,
            "source": {"imported from": self.imported["file"]},
        }

    def _images(self, one: GivenSet) -> Record:
        count = len(one.arrays["scores"])
        return {
            "name": one.name,
            "spec": f"imported from {self.imported['file']}",
            "key": key_of("imported", one.name, count),
            "key_of": "name and number of images",
            "split": "unknown",
            "images": count,
            "adaptation": "unknown",
            "limit": None,
        }

    def _detector(self) -> Record:
        # Files with the same in-distribution scores are of one detector.
        scores = self._scores(self.given.inside).tolist()
        return {
            "label": self.detector,
            "key": key_of("imported", self.detector, scores),
            # Never the name of an installed detector, whose source differs.
            "name": f"imported {self.detector}",
            "parameters": {},
            "source": self.imported["sha256"],
            "control": False,
            "fitted_on": None,
        }


def _joined(
    file: SetFile, arrays: dict[str, NDArray[Any]], model: str, name: str
) -> dict[str, NDArray[Any]]:
    """Returns the arrays with those that an earlier import has stored.

    Raises:
        InputError: They contradict each other.
    """
    earlier = file.arrays() if file.read() is not None else {}
    for what in arrays.keys() & earlier.keys():
        if not np.array_equal(arrays[what], earlier[what]):
            raise InputError(
                f"Other {what} of {name} are imported for {model} already; they are of "
                "another model or other images. Name this one with --model."
            )
    return {**earlier, **arrays}

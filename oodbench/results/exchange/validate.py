"""Checks stored results: files, keys, labels, fitting and claimed metrics."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oodbench.base.errors import InputError
from oodbench.base.files import folder_name, key_of
from oodbench.results import groups
from oodbench.results.exchange import archive, claims
from oodbench.results.fitness import GRADES
from oodbench.results.groups import StoredSet
from oodbench.results.opened import Results, of_sets
from oodbench.results.store import Cell, Store

SAME = {
    "model": ("name", "key", "classes"),
    "inside": ("name", "key"),
    "set": ("name", "key", "images", "limit"),
}
"""What the record of a cell has in common with that of its set."""


class Finding(NamedTuple):
    """Something in stored results that a reader must know."""

    place: str
    """The file, relative to the results, or the cell in words."""
    text: str
    is_fault: bool = True
    """Whether the results must not be used; else it is a remark."""


def check_results(results: str | Path) -> list[Finding]:
    """Returns all that is wrong or remarkable in a folder of results or its archive.

    All that can be is computed again: hashes of files, keys of sets from the digests
    and labels of images, images shared with the in-distribution set, and the metrics
    that `metrics.json` claims. Invented scores whose metrics agree with them are found
    only by running the detector again.

    Args:
        results: The folder or the archive; where there is none, that is a finding.
    """
    place = Path(results)
    try:
        with archive.unpacked(place) as folder:
            found = _of_folder(folder)
    except InputError as error:
        return [Finding(place.name, str(error))]
    return [one._replace(text=one.text.replace(f"{folder}/", "")) for one in found]


def _of_folder(folder: Path) -> list[Finding]:
    store = Store(folder)
    found = list(_of_store(store))
    opened = of_sets(store.sets(), results=folder)
    if not opened.groups and not opened.notes:
        raise InputError("It holds no results.")
    found += _of_groups(opened)
    if (file := folder / claims.FILE).is_file():
        wrong = claims.contradictions(file.read_bytes(), opened.recomputed())
        found += [Finding(claims.FILE, text) for text in wrong]
    return found


def entries(folder: Path) -> dict[str, Path]:
    """Returns the results in a folder by their names: folders and archives.

    Args:
        folder: It holds such folders and archives, or is one itself.

    Raises:
        InputError: There is no such folder, or it is empty.
    """
    if folder.is_file() or any(folder.glob("*/*/*.json")):
        return {folder.name: folder}
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    found = {
        path.stem if path.is_file() else path.name: path
        for path in sorted(folder.iterdir())
        if (path.is_dir() or path.suffix == ".zip") and path.name[0] != "."
    }
    if not found:
        raise InputError(f"{folder} holds no results: no folder and no .zip file.")
    return found


def _of_store(store: Store) -> Iterator[Finding]:
    """Yields what is wrong with single files."""
    for file in store.sets():
        notes: list[str] = []
        one = groups.read_set(file, notes)
        if one is not None:
            notes += _of_set(one)
            for place in file.cells():
                wrong: list[str] = []
                cell = groups.read_cell(place, one, wrong)
                wrong += _of_cell(cell, one, place.path.stem) if cell else []
                yield from _findings(place.path, store, wrong)
        yield from _findings(file.path, store, notes)


def _findings(path: Path, store: Store, notes: list[str]) -> Iterator[Finding]:
    for note in notes:
        # The place is named before the text.
        text = note.removeprefix("Left out: ").removeprefix(f"{path} ")
        yield Finding(path.relative_to(store.root).as_posix(), text)


def _of_set(one: StoredSet) -> Iterator[str]:
    """Yields what contradicts itself in the images of a set."""
    about, arrays, model = one.record["set"], one.arrays, one.record["model"]
    plain = re.sub(r"[^/:]*/", "", about["name"])
    if one.file.path.stem != folder_name(plain, about["key"]):
        yield f"the set {about['name']} is not the one that the file is named after"
    if about.get("key_of") == "pixels" and "digests" in arrays:
        labels = arrays.get("labels")
        key = key_of(
            hashlib.sha256(arrays["digests"].tobytes()).hexdigest(),
            None if labels is None else labels.tolist(),
            model.get("shape"),
            about.get("adaptation"),
        )
        if key != about["key"]:
            yield "its images or labels are not those that its key was made of"
    if arrays.keys() >= GRADES:
        p = np.exp(-arrays["nll"])
        right = arrays["labels"] == arrays["predictions"]
        confidence = arrays["confidences"]
        if not (
            np.allclose(p[right], confidence[right], atol=1e-9)
            and (p[~right] <= confidence[~right] + 1e-9).all()
        ):
            yield "its labels, predictions and losses contradict each other"


def _of_cell(cell: Cell, one: StoredSet, stem: str) -> Iterator[str]:
    """Yields what contradicts itself in the scores of a detector."""
    record, label = cell.record, cell.record["detector"]["label"]
    if stem != folder_name(label, record["detector"]["key"]):
        yield f"the detector {label} is not the one that the file is named after"
    for part, names in SAME.items():
        for name in names:
            own, of_set = (each[part].get(name) for each in (record, one.record))
            if own != of_set:
                yield f"{part} {name} is {own}, and {of_set} for its set"
    if (fitted := record["detector"].get("fitted_on")) is not None:
        if fitted.get("key") == record["set"]["key"]:
            yield "it is fitted on the images that it scores"
        elif fitted.get("split") == "test":
            yield f"it is fitted on a test split, {fitted.get('name')}"


def _of_groups(opened: Results) -> Iterator[Finding]:
    """Yields what is wrong between sets, and what a reader must know of them."""
    for note in opened.notes:
        if "is left out" in note or "no counterpart" in note:
            yield Finding("results", note.removeprefix("Left out: "))
    for group in opened.groups:
        known = group.inside.arrays.get("digests")
        if (limit := group.inside.record["set"]["limit"]) is not None:
            place = f"{group.inside.name} of {group.model}"
            yield Finding(place, f"cut by --limit {limit}", False)
        for one in group.outside:
            about = one.record["set"]
            place = f"{one.name} of {group.model}"
            if known is not None and "digests" in one.arrays:
                shared = int(np.isin(one.arrays["digests"], known).sum())
                if shared != about["shared_images"]:
                    text = (
                        f"it shares {shared} images with {group.inside.name}, not "
                        f"{about['shared_images']}"
                    )
                    yield Finding(place, text)
            if about["limit"] is not None:
                yield Finding(place, f"cut by --limit {about['limit']}", False)
            if about["role"] == "unstated":
                yield Finding(place, "its role, near or far, is not stated", False)
        if group.is_imported:
            text = "imported: which images the scores are of is not known"
            yield Finding(group.model, text, False)

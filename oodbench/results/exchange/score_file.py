"""Reads scores that another program computed; no pickle, since that is code.

A file .npz holds `in.scores`, `in.labels`, `in.predictions`, `ROLE.SET.scores` and so
on. A file .csv has a row per image, with the columns `set`, `role`, `score` and more. A
folder holds SET.npz with `conf`, `pred` and `label`, as OpenOOD's `save_scores` does.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError, reason
from oodbench.base.registry import unknown
from oodbench.results.schema import is_role

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1 << 33
"""Bytes that the arrays of a file may unpack to."""
NAMES = ("model", "seed", "detector")
COLUMNS = (*NAMES, "in", "set", "role", "score", "label", "prediction")
"""What a CSV file may hold; other columns are ignored."""
ARRAYS = {"scores": "score", "labels": "label", "predictions": "prediction"}
"""Arrays of a set, and the columns of a CSV file that hold them."""
OPENOOD = {"scores": "conf", "labels": "label", "predictions": "pred"}
"""The same in OpenOOD's files."""


@dataclass(frozen=True)
class GivenSet:
    """One set as a file gives it."""

    name: str
    role: str
    """`in`, `near`, `far`, `covariate`, `probe` or `unstated`."""
    arrays: dict[str, NDArray[Any]]
    """`[N]` each: `scores`, finite float64; `labels` and `predictions` where known."""


@dataclass(frozen=True)
class Given:
    """The scores of one detector and model as a file gives them."""

    inside: GivenSet
    outside: list[GivenSet]
    model: str = ""
    """Empty where the file names none; so are the next two."""
    seed: str = ""
    detector: str = ""


def read(
    path: Path, inside: str = "", near: Collection[str] = (), far: Collection[str] = ()
) -> tuple[list[Given], str]:
    """Returns what a file or folder gives, and the SHA-256 of its bytes.

    Args:
        path: The file or folder.
        inside: Name of the in-distribution set; in a folder, its file.
        near: Sets that are near OOD, whatever the file says.
        far: Sets that are far OOD.

    Raises:
        InputError: It is no such file, or something in it is wrong.
    """
    if path.suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, which is code and was not run. Load it where you "
            "trust it, and save its arrays by numpy.savez as in.scores, "
            "far.svhn.scores, …"
        )
    roles = {**dict.fromkeys(near, "near"), **dict.fromkeys(far, "far")}
    try:
        if path.is_dir():
            files = {
                file.stem: file.read_bytes() for file in sorted(path.glob("*.npz"))
            }
            content = b"".join(files.values())
            given = [_of_folder(files, inside, roles)]
        else:
            content = path.read_bytes()
            of_file = _of_csv if path.suffix == ".csv" else _of_npz
            given = list(of_file(content, inside, roles))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # hostile bytes can raise anything
        raise InputError(f"{path} holds no scores: {reason(error)}.") from error
    return given, hashlib.sha256(content).hexdigest()


def _of_npz(content: bytes, inside: str, roles: Mapping[str, str]) -> Iterator[Given]:
    """Yields what an .npz file holds."""
    arrays = _load(content)
    named = {key: str(arrays.pop(key)) for key in NAMES if key in arrays}
    sets: dict[tuple[str, str], dict[str, NDArray[Any]]] = {}
    for key, values in arrays.items():
        place, _, what = key.rpartition(".")
        if not place or what not in ARRAYS:
            continue  # OpenOOD's users store more beside the scores
        role, _, name = place.partition(".")
        if role == "in":
            name = inside or name or "in"
        sets.setdefault((name, role), {})[what] = values
    yield _given([_set(*key, found, roles) for key, found in sets.items()], **named)


def _of_folder(
    files: Mapping[str, bytes], inside: str, roles: Mapping[str, str]
) -> Given:
    """Returns what a folder of OpenOOD's files holds."""
    if inside not in files:
        known = unknown("in-distribution set", inside, files)
        raise InputError(f"name the in-distribution set with --in. {known}")
    sets = []
    for name, content in files.items():
        stored = _load(content)
        if "conf" not in stored:
            raise InputError(f"{name}.npz has no array conf, as OpenOOD's files have.")
        found = {own: stored[key] for own, key in OPENOOD.items() if key in stored}
        role = "in" if name == inside else "unstated"
        sets.append(_set(name, role, found, roles))
    return _given(sets)


def _of_csv(content: bytes, inside: str, roles: Mapping[str, str]) -> Iterator[Given]:
    """Yields what a CSV file holds, by model, seed and detector."""
    import pandas as pd

    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    if missing := [name for name in ("set", "role", "score") if name not in table]:
        raise InputError(
            f"there is no column {missing[0]}; the columns are {', '.join(COLUMNS)}, "
            "of which set, role and score are needed."
        )
    apart = [*NAMES, "in"]
    table = table.assign(**{name: "" for name in apart if name not in table})
    for key, part in table.groupby(apart, sort=False):
        model, seed, detector, _ = map(str, key)
        sets = []
        for place, rows in part.groupby(["set", "role"], sort=False):
            name, role = map(str, place)
            found = {
                array: _numbers(rows[column], column)
                for array, column in ARRAYS.items()
                if column in rows and (rows[column] != "").any()
            }
            name = inside or name if role == "in" else name
            sets.append(_set(name, role, found, roles))
        yield _given(sets, model=model, seed=seed, detector=detector)


def _numbers(texts: pd.Series[str], column: str) -> NDArray[np.float64]:
    """Returns a column of texts as numbers, each the nearest float."""
    try:
        return np.array([float(text) for text in texts])
    except ValueError as error:
        raise InputError(f"a {column} is no number: {error}.") from error


def _load(content: bytes) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an .npz file without running code."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > LARGEST:
        raise InputError(f"it unpacks to {unpacked / 1e9:.0f} GB.")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return dict(stored)


def _set(
    name: str, role: str, found: Mapping[str, NDArray[Any]], roles: Mapping[str, str]
) -> GivenSet:
    """Returns a set whose arrays are checked."""
    if "scores" not in found:
        raise InputError(f"{name} has no scores.")
    role = roles.get(name, role)
    if not is_role(role):
        raise InputError(
            f"{name} has the role {role!r}; it must be in, near, far, covariate, probe "
            "or unstated."
        )
    arrays = {
        what: _checked(values, f"{name}: {what}") for what, values in found.items()
    }
    if len({len(values) for values in arrays.values()}) > 1:
        held = ", ".join(f"{len(values)} {what}" for what, values in arrays.items())
        raise InputError(f"{name} has {held}; give one of each per image.")
    for what in arrays.keys() - {"scores"}:
        if (arrays[what] % 1 != 0).any():
            raise InputError(f"{name}: {what} must be class numbers.")
        arrays[what] = arrays[what].astype(np.int64)
    return GivenSet(name, role, arrays)


def _checked(values: NDArray[Any], what: str) -> NDArray[np.float64]:
    if values.ndim != 1 or values.dtype.kind not in "biuf" or not len(values):
        raise InputError(
            f"{what} must be numbers, one per image, not {values.dtype} of shape "
            f"{values.shape}."
        )
    numbers = values.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise InputError(
            f"{what} are not finite in {len(wrong)} places, first at {wrong[0]}."
        )
    return numbers


def _given(sets: list[GivenSet], **named: str) -> Given:
    """Returns the sets of one detector, the in-distribution set apart."""
    inside = [one for one in sets if one.role == "in"]
    outside = [one for one in sets if one.role != "in"]
    if len(inside) != 1 or not outside:
        raise InputError(
            f"it has {len(inside)} in-distribution and {len(outside)} OOD sets; one of "
            "the role in and at least one of another role are needed."
        )
    names = [one.name for one in sets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two sets are called {twice[0]}; give each its own name.")
    return Given(inside[0], outside, **named)

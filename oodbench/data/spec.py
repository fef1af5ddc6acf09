"""Opens data sets by the texts of the command line: `near=digits:8-9`."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from oodbench.base import registry, user_code
from oodbench.base.errors import InputError, reason
from oodbench.data.dataset import ROLES, Dataset, Role

SETS_OF_FILE = re.compile(r"(?P<where>.+?\.py):(?P<function>[^:]*)(?::(?P<rest>.*))?")
"""`file.py:function` or `file.py:function:ARGUMENT`."""
READERS = {".npz": "npz", ".csv": "csv", ".tsv": "csv", ".tar": "webdataset"}
"""What reads files, for a message; files are not guessed."""


def open_dataset(spec: str | Dataset, *, skip_unreadable: bool = False) -> Dataset:
    """Returns the data set that a text names, or the data set itself.

    The text is `NAME` or `NAME:ARGUMENT` for a plug-in such as `digits:0-7`, or
    `file.py:function` or `file.py:function:ARGUMENT` for a function of the user's,
    from ARGUMENT to a `Dataset`; this runs the file. Before it may stand a role and the
    name that tables show, in any order: `far=night=folder:x/test`.

    Args:
        spec: The text, or a data set.
        skip_unreadable: Leave out images in files that cannot be read, and say how
            many, instead of an error. Every image is then decoded once more.

    Raises:
        InputError: Unknown name or role, or an argument that the set refuses.
    """
    if isinstance(spec, Dataset):
        dataset = spec
    else:
        role, name, plain = stated(spec)
        dataset = replace(_open(plain), spec=spec)
        if name is not None:
            dataset = replace(dataset, name=name, place=dataset.place or dataset.name)
        if role is not None:
            # Without these no in-distribution set changes the role that was stated.
            dataset = replace(
                dataset, role=role, family="", label_space="", made_from=None
            )
    if skip_unreadable:
        # The first image may be one that is left out.
        dataset = replace(dataset, skip_unreadable=True, shape=None)
    return dataset


def split_specs(texts: Iterable[str]) -> list[str]:
    """Returns the parts of comma lists that name data sets, without the empty ones.

    A comma that belongs to an existing path is kept: of the ways to join the parts from
    the left, the longest that opens is taken. Parts with alternatives are `swept`.

    >>> split_specs(["digits:0-7,noise:uniform", "photos"])
    ['digits:0-7', 'noise:uniform', 'photos']
    """
    found = []
    for text in texts:
        parts = text.split(",")
        while parts:
            joined = next(
                count
                for count in range(len(parts), 0, -1)
                if count == 1
                or _path_start(",".join(parts[:count]).strip()) is not None
            )
            found.append(",".join(parts[:joined]).strip())
            del parts[:joined]
    return [each for spec in found if spec for each in swept(spec)]


def swept(spec: str) -> list[str]:
    """Returns a text for each combination of alternatives that | separates.

    A | in an existing path is kept.

    >>> swept("near=corrupted:fog:1|2:digits")
    ['near=corrupted:fog:1:digits', 'near=corrupted:fog:2:digits']
    """
    start = _path_start(spec)
    pieces = [piece.split("|") for piece in spec[:start].split(":")]
    path = "" if start is None else spec[start:]
    return [":".join(chosen) + path for chosen in itertools.product(*pieces)]


def distinct(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Returns data sets with names that differ, for one run.

    Names of sets in files that are equal for different places become longer, by as much
    of the path as is needed: `x/test` and `y/test`.

    Raises:
        InputError: One name was stated for two sets.
    """
    places: dict[str, set[str]] = {}
    for dataset in datasets:
        places.setdefault(dataset.name, set()).add(dataset.place)
    named = [
        replace(dataset, name=_longer(dataset, places[dataset.name]))
        for dataset in datasets
    ]
    for one in named:
        for other in named:
            if one.name == other.name and one.spec and other.spec:
                (_, name, first), (*_, second) = map(stated, (one.spec, other.spec))
                if name is not None and first != second:
                    raise InputError(
                        f"{first} and {second} are both called {name!r}; state two "
                        "names."
                    )
    return named


def _longer(dataset: Dataset, places: set[str]) -> str:
    parts = dataset.place.split("/")
    if len(places) == 1 or not (parts[-1] and dataset.name.endswith(parts[-1])):
        return dataset.name
    ends = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    unique = (
        end
        for end in ends
        if sum(f"/{place}".endswith(f"/{end}") for place in places) == 1
    )
    return dataset.name.removesuffix(parts[-1]) + next(unique, dataset.place)


class Stated(NamedTuple):
    """The parts of a text that names a data set."""

    role: Role | None
    name: str | None
    plain: str
    """The text without role and name."""


def stated(spec: str) -> Stated:
    """Returns the parts of a text such as `far=night=folder:x/test`."""
    role: Role | None = None
    name: str | None = None
    rest = spec
    while True:
        word, equals, behind = rest.partition("=")
        # An equals sign behind a colon or in a path belongs to the set.
        if not equals or not word or re.search(r"[:/\\]", word):
            return Stated(role, name, rest)
        found = next((known for known in ROLES if known == word), None)
        if found is None and _is_near_a_role(word):
            raise InputError(registry.unknown("role", word, ROLES))
        if (role if found else name) is not None:
            kind = "roles" if found else "names"
            raise InputError(f"{spec!r} states two {kind}; write ROLE=NAME=SET.")
        role, name, rest = found or role, name if found else word, behind


def _is_near_a_role(word: str) -> bool:
    """Returns whether a word is one typing error from a role, or nearly as close."""
    close = difflib.get_close_matches(word.lower(), ROLES, n=1, cutoff=0.8)
    return bool(close) or any(_shorter(word.lower()) & _shorter(r) for r in ROLES)


def _shorter(word: str) -> set[str]:
    """Returns a word and what remains without one of its letters."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _open(spec: str) -> Dataset:
    name, _, argument = spec.partition(":")
    known = registry.names("datasets")
    if name not in known and (match := SETS_OF_FILE.fullmatch(spec)):
        return _from_file(match["where"], match["function"], match["rest"] or "")
    if not name:
        raise InputError(
            f"{spec!r} names no data set; write NAME or NAME:ARGUMENT, "
            "as in digits:0-7."
        )
    if name not in known and name.lower() in ROLES:
        raise InputError(
            f"{name} is a role; write {name.lower()}={spec[len(name) + 1 :]}."
        )
    if name not in known:
        raise InputError(_unknown(name, known, path=spec))
    make = registry.load("datasets", name)
    with registry.foreign(f"The data set {spec!r} failed with"):
        dataset = make(argument)
    if not isinstance(dataset, Dataset):
        raise registry.PluginError(
            f"The data set {spec!r} is a {type(dataset).__name__}; its plug-in must "
            "return an oodbench.Dataset."
        )
    return dataset


def _from_file(where: str, function: str, argument: str) -> Dataset:
    text = f"{where}:{function}"
    if not Path(where).is_file():
        raise InputError(f"There is no file {where!r}; write file.py:function.")
    try:
        with user_code.imported(where) as module:
            dataset = getattr(module, function)(argument)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{text} failed with {reason(error)}") from error
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"{text} returned a {type(dataset).__name__}; it must return an "
            "oodbench.Dataset."
        )
    return dataset


def _path_start(text: str) -> int | None:
    """Returns where the path begins that a text ends in; None if it ends in none.

    The path exists and holds all commas of the text.
    """
    for start in [0, *(m.end() for m in re.finditer("[:=]", text.partition(",")[0]))]:
        # Longer than a file's name may be, or `~` and the name of no user.
        with suppress(OSError, ValueError, RuntimeError):
            if Path(text[start:]).expanduser().exists():
                return start
    return None


def _unknown(name: str, known: Iterable[str], *, path: str) -> str:
    with suppress(OSError):  # longer than a file's name may be
        if Path(path).is_dir():
            return f"{path!r} is a folder; write folder:{path}."
        reader = READERS.get(Path(path).suffix)
        if reader and Path(path).is_file():
            return f"{path!r} is a file; write {reader}:{path}."
    return registry.unknown("data set", name, known)

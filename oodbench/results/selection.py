"""Selects models, detectors and sets of stored results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.names import split_commas
from oodbench.base.registry import unknown
from oodbench.results.groups import Group, StoredSet
from oodbench.results.opened import Results, Source, open_results
from oodbench.results.store import Cell

Names = str | Iterable[str]
"""Names or a comma list of them, in any case; * stands for any text."""


def select(
    results: Source = RESULTS,
    *,
    models: Names = (),
    detectors: Names = (),
    out: Names = (),
    roles: Names = (),
) -> Results:
    """Returns some of the stored results, for tables, plots, reports and `rows`.

    A string may be a comma list. Names are matched in any case, and `*` stands for any
    text: `react*`. What is empty selects everything. Tests for significant differences
    are over the detectors that are selected. Controls that are not selected still mark
    the sets whose images pixels alone separate.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        models: Names of models.
        detectors: Detectors, with their parameters as tables show them.
        out: Out-of-distribution sets.
        roles: near, far, covariate, probe or unstated.

    Raises:
        InputError: A name fits nothing that is stored, or nothing fits all of them.
    """
    found = open_results(results)
    sets = [(group, one) for group in found.groups for one in group.outside]
    cells = [cell for group in found.groups for cell in group.inside.cells.values()]
    is_model = _matcher("model", models, (group.model for group in found.groups))
    is_set = _matcher("set", out, (_shown(*each) for each in sets))
    is_role = _matcher("role", roles, (_role(one) for _, one in sets))
    is_detector = _matcher("detector", detectors, map(_label, cells))
    groups = []
    for group in found.groups:
        outside = [
            one
            for one in group.outside
            if is_set(_shown(group, one)) and is_role(_role(one))
        ]
        if is_model(group.model) and outside:
            groups.append(_with(group, outside, is_detector))
    hidden = {label for label in map(_label, cells) if not is_detector(label)}
    if not any(group.inside.cells.keys() - hidden for group in groups):
        raise InputError(
            f"Nothing in {found.results} fits all of the selected models, detectors, "
            "sets and roles."
        )
    notes = [f"{len(hidden)} detectors are not selected; tests are over the others"]
    notes = notes if hidden else []
    groups[0].notes += notes
    return replace(
        found, groups=groups, notes=found.notes + notes, hidden=found.hidden | hidden
    )


def matching(noun: str, pattern: str, known: Iterable[str]) -> list[str]:
    """Returns the names that a name or a pattern with * means, in any case.

    Args:
        noun: What the names are, for the message.
        pattern: What the user wrote.
        known: All names.

    Raises:
        InputError: There is none.
    """
    names = list(dict.fromkeys(known))
    regex = re.compile(re.escape(pattern).replace(r"\*", ".*"), re.IGNORECASE)
    # A name in the right case means itself alone.
    found = [name for name in names if name == pattern] or [
        name for name in names if regex.fullmatch(name)
    ]
    if not found:
        raise InputError(unknown(f"{noun} in these results", pattern, names))
    return found


def _matcher(noun: str, wanted: Names, known: Iterable[str]) -> Callable[[str], bool]:
    patterns = split_commas([wanted] if isinstance(wanted, str) else wanted)
    known = list(known)
    fitting = {name for each in patterns for name in matching(noun, each, known)}
    return lambda name: not patterns or name in fitting


def _with(
    group: Group, outside: Sequence[StoredSet], is_wanted: Callable[[str], bool]
) -> Group:
    """Returns a group with some sets and detectors, and all controls."""

    def chosen(one: StoredSet) -> StoredSet:
        cells = {
            label: cell
            for label, cell in one.cells.items()
            if is_wanted(label) or cell.record["detector"]["control"]
        }
        return replace(one, cells=cells)

    return replace(
        group,
        inside=chosen(group.inside),
        outside=list(map(chosen, outside)),
        notes=list(group.notes),
    )


def _shown(group: Group, one: StoredSet) -> str:
    """Returns the name of a set as tables show it."""
    return one.name.removesuffix(f":{group.inside.name}")


def _role(one: StoredSet) -> str:
    return str(one.record["set"]["role"])


def _label(cell: Cell) -> str:
    return str(cell.record["detector"]["label"])

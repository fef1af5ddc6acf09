"""The marks of doubtful numbers, and the notes below a table."""

from __future__ import annotations

from collections.abc import Sequence

from oodbench.base import tuning
from oodbench.metrics.intervals import FEW_IMAGES
from oodbench.metrics.table import METRICS
from oodbench.results import clusters
from oodbench.results.fitness import lack
from oodbench.results.groups import Group
from oodbench.results.rows import CONTROL_SEPARATES, MANY_TIES, Row

ROW_FLAGS = ("ties", "few", "even", "even_seeds")
"""Flags of one detector on a set; the other flags belong to the set."""
AUROC_FLAGS = ("few", "even", "even_seeds")
"""Flags that are about the AUROC only."""
MARKS = {
    "control": "†",
    "overlap": "‡",
    "limit": "§",
    "ties": "¶",
    "few": "◊",
    "even": "≈",
    "even_seeds": "≈",
}
FLAG_NOTES = {
    "control": "a control reaches an AUROC of "
    f"{100 * CONTROL_SEPARATES:.0f} %: pixels alone separate these images from the "
    "in-distribution set",
    "overlap": "shares images with the in-distribution set",
    "limit": "cut by --limit: for trying out, not for reporting",
    "ties": f"more than {100 * MANY_TIES:.0f} % of the scores are tied",
    "few": f"fewer than {FEW_IMAGES} images or origins decide this AUROC: another "
    "sample may give quite another one",
    "even": "not significantly different from the model's best detector (paired "
    "DeLong test, Holm-corrected, 5 %)",
    "even_seeds": "not significantly different from the best detector (Student's t "
    "paired by model, Holm-corrected, 5 %)",
}
ROLE_NOTES = {
    "covariate": "classes of the in-distribution set, shifted",
    "probe": "not OOD by meaning",
    "unstated": "role not given; write near=SET or far=SET",
}


def left_out(model: str, group: Group) -> list[str]:
    """Returns what a model lacks, each with the reason."""
    notes = [f"{model} has no accuracy: {why}"] if (why := lack(group)) else []
    return notes + group.notes


def notes_of(
    rows: Sequence[Row], metrics: Sequence[str], *, intervals: bool
) -> list[str]:
    """Returns the notes below a table of some metrics of some rows."""
    notes = []
    if intervals:
        methods = dict.fromkeys(METRICS[name].method for name in metrics)
        named = "; ".join(method for method in methods if method)
        notes.append(
            f"in brackets the 95 % interval{f' ({named})' if named else ''}, over "
            "images, for one checkpoint"
        )
    flags = {flag for row in rows for flag in row.flags}
    if "auroc" not in metrics:
        flags -= set(AUROC_FLAGS)
    if intervals or "even" in flags:
        notes += clusters.notes({row.outside: row.clusters_out for row in rows})
    roles = {row.role for row in rows}
    notes += [f"{role}: {text}" for role, text in ROLE_NOTES.items() if role in roles]
    notes += [f"{MARKS[flag]} {FLAG_NOTES[flag]}" for flag in MARKS if flag in flags]
    if any(row.control for row in rows):
        notes.append("controls see only pixels, never the network")
    notes += tuning.notes(row.detector for row in rows)
    return notes + sorted(
        {
            f"{row.detector} of {row.model} on {row.outside} failed: {row.failure}"
            for row in rows
            if row.failure
        }
    )

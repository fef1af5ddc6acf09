"""Removes the cells that a run has made stale."""

from __future__ import annotations

from oodbench.results.stale import stale_cells
from oodbench.results.store import Store
from oodbench.runs.fitted import Fitted
from oodbench.runs.result import RunResult


def remove_stale(store: Store, result: RunResult) -> None:
    """Removes the cells that a run has made stale; never a cell of the run itself."""
    models = set()
    for stale in stale_cells(store.sets()):
        key = stale.record["detector"]["key"]
        is_own = stale.file in result.sets and key in result.methods
        if stale.latest in result.sets and not is_own:
            stale.cell.remove()
            stale.file.remove_if_empty()
            result.removed += 1
            models.add(stale.file.path.parents[1])
    for model in models:
        files = [file for file in store.sets() if file.path.parents[1] == model]
        records = [cell.read() for file in files for cell in file.cells()]
        keys = {record["detector"]["key"] for record in records if record}
        Fitted(model / "fitted").sweep(keys)

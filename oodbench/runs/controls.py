"""Scores of controls that another network's run has stored: they need no network."""

from __future__ import annotations

from oodbench.results.pair import DistrustedError
from oodbench.results.store import Cell, CellFile, Store
from oodbench.runs.plan import Plan


def stored_elsewhere(plan: Plan, store: Store) -> dict[str, Cell]:
    """Returns the cells of controls that a plan misses and another network has.

    The names of in-set, set and detector end in their keys, which hold the size of the
    images and all that decides the pixels but the noise that is added.
    """
    found = {}
    for label in plan.missing:
        if not plan.setup.entries[label].detector.control:
            continue
        place = plan.cell(label).path.relative_to(store.root)
        for path in store.root.glob(f"*/{'/'.join(place.parts[1:])}"):
            if cell := _cell(CellFile(path), plan, label):
                found[label] = cell
                break
    return found


def _cell(file: CellFile, plan: Plan, label: str) -> Cell | None:
    """Returns a stored cell if its scores are those of the plan."""
    try:
        cell = file.load()
    except DistrustedError:
        return None
    if cell is None or "failure" in cell.record or "cost" not in cell.record:
        return None
    keys = [cell.record[part]["key"] for part in ("inside", "set", "detector")]
    wanted = [plan.setup.inside.key, plan.images.key, plan.setup.keys[label]]
    noise = cell.record["model"].get("input_noise")
    is_same = keys == wanted and noise == plan.setup.input_noise
    return cell if is_same and len(cell.scores) == plan.images.count else None

"""What detectors cost: passes of the network, time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oodbench.base.defaults import RESULTS
from oodbench.results.opened import Source, open_results
from oodbench.results.rows import Measured

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CostRow:
    """What one detector costs on one model, beyond the shared pass."""

    model: str
    inside: str
    detector: str
    forward: float
    """Further forward passes an image."""
    backward: float
    """Backward passes an image."""
    microseconds: float
    """Of `score` an image, further forward passes included."""
    fit_seconds: float | None
    """Of `fit`, without the pass over the fitting images; None without `fit`."""
    mebibytes: float | None
    """Of what it has learnt; None if that is not known."""
    auroc: float
    """Mean over the OOD sets, unweighted; NaN without any."""


def costs(results: Source = RESULTS) -> pd.DataFrame:
    """Returns what every detector costs as a DataFrame.

    There is a row per model, in-distribution set and detector; the columns are the
    fields of `CostRow`. Times are those of the run that made the scores; runs on other
    machines or devices cannot be compared.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.

    Raises:
        InputError: There are no finished results.
    """
    import pandas as pd

    return pd.DataFrame(list(cost_rows(open_results(results).measured)))


def cost_rows(measured: Iterable[Measured]) -> Iterator[CostRow]:
    """Yields the cost of every detector; results of older versions hold none."""
    for one in measured:
        group = one.group
        for detector in group.inside.cells:
            sets = [group.inside, *group.outside]
            cells = [each.cells[detector] for each in sets if detector in each.cells]
            known = [cell for cell in cells if "cost" in cell.record]
            if not known:
                continue
            found = [cell.record["cost"] for cell in known]
            images = [len(cell.scores) for cell in known]
            first = found[0]
            yield CostRow(
                group.model,
                group.inside.name,
                detector,
                first["forward"],
                first["backward"],
                float(np.average([f["microseconds"] for f in found], weights=images)),
                first["fit_seconds"],
                None if first["bytes"] is None else first["bytes"] / 2**20,
                _mean_auroc(one, detector),
            )


def _mean_auroc(measured: Measured, detector: str) -> float:
    rows = [row for row in measured.rows if row.detector == detector and row.values]
    return float(np.mean([row.values["auroc"] for row in rows])) if rows else np.nan

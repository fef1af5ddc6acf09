"""Measured rows as a pandas DataFrame."""

from dataclasses import fields

import pandas as pd

from oodbench.base.defaults import RESULTS
from oodbench.results.opened import Source, read
from oodbench.results.rows import Row

NAMES = ["model", "inside", "outside", "detector"]
"""What identifies a row. The metrics follow, so that a notebook shows them."""


def rows(results: Source = RESULTS) -> pd.DataFrame:
    """Returns all stored results, one row per model, detector and pair of sets.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.

    Returns:
        Columns: `model`, `inside`, `outside`, `detector`; every metric in [0, 1], from
        `auroc` on, each with the ends of its 95 % interval as `NAME_low` and
        `NAME_high`; `role`, `control`, `images_in`, `images_out`, `failure`, `flags`,
        `clusters_out`, `tuned`; `series`, `level` and `scale` of sets that are shifted
        by degrees; `accuracy_out` on covariate-shifted sets.
        `attrs["notes"]` lists what is left out, each with the reason.

    Raises:
        InputError: There is no such folder.
    """
    results = read(results)
    found = [row for one in results.measured for row in one.rows]
    about = pd.DataFrame(map(vars, found), columns=[each.name for each in fields(Row)])
    values = pd.DataFrame([row.values for row in found])
    others = about.drop(columns=[*NAMES, "values", "seeds"])
    frame = pd.concat([about[NAMES], values, others], axis=1)
    frame.attrs["notes"] = list(results.notes)
    return frame

"""Measured rows as a pandas DataFrame."""

import pandas as pd

from oodbench.results.opened import RESULTS, Results, Source, folder_of, of_sets
from oodbench.results.store import Store


def rows(results: Source = RESULTS) -> pd.DataFrame:
    """Returns all stored results, one row per model, detector and pair of sets.

    Args:
        results: The folder, or what `run` returned.

    Returns:
        Columns: `model`, `inside`, `outside`, `role`, `detector`, `control`,
        `images_in`, `images_out`, `failure`, `flags`, `clusters_out`, and every metric
        in [0, 1] with the ends of its 95 % interval as `NAME_low` and `NAME_high`.
        `attrs["notes"]` lists what is left out, each with the reason.

    Raises:
        InputError: There is no such folder.
    """
    if not isinstance(results, Results):
        folder = folder_of(results)
        results = of_sets(Store(folder).sets(), results=folder)
    records = [vars(row) | row.values for one in results.measured for row in one.rows]
    frame = pd.DataFrame(records).drop(columns="values", errors="ignore")
    frame.attrs["notes"] = list(results.notes)
    return frame

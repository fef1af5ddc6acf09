"""Measured rows as a pandas DataFrame."""

from pathlib import Path

import pandas as pd

from oodbench.results.rows import groups, measure
from oodbench.results.store import Store


def rows(results: str | Path = "results/runs") -> pd.DataFrame:
    """Returns all stored results, one row a model, detector and pair of sets.

    Columns: `model`, `inside`, `outside`, `role`, `detector`, `control`, `images_in`,
    `images_out`, `failure`, `flags`, `clusters_out`, and every metric in [0, 1].

    Raises:
        InputError: There is no such folder.
    """
    found = [
        row for group in groups(Store(Path(results)).sets()) for row in measure(group)
    ]
    records = [vars(row) | row.values for row in found]
    return pd.DataFrame(records).drop(columns="values", errors="ignore")

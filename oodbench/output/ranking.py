"""Ranks of detectors, as rows and as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.base.defaults import RESULTS
from oodbench.output.numbers import DIGITS, percent
from oodbench.output.tables import chosen
from oodbench.results.opened import Source, open_results
from oodbench.results.ranked import Ranked, ranked

if TYPE_CHECKING:
    import pandas as pd


def rank(results: Source = RESULTS, metric: str = "auroc") -> pd.DataFrame:
    """Returns the mean ranks of detectors over all models and near and far sets.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        metric: A name such as auroc or fpr95.

    Returns:
        One row per detector, the best first: `rank`, from 1; `alike`, letters that it
        shares with those that do not differ significantly; the metric's mean; `pairs`,
        the number of pairs of sets. `attrs["notes"]` lists the tests.

    Raises:
        InputError: There is no such metric, or there are fewer than two detectors or
            pairs.
    """
    import pandas as pd

    (name,) = chosen([metric])
    found = ranked(open_results(results).measured, name)
    head, rows = all_numbers(found)
    frame = pd.DataFrame(rows, columns=head)
    frame.attrs["notes"] = list(found.notes)
    return frame


def texts(one: Ranked, decimals: int = DIGITS) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of ranks as text, the best first."""
    rows = [
        [
            label,
            one.groups[label],
            f"{mean:.{decimals}f}",
            percent(one.values[label], decimals),
        ]
        for label, mean in one.ranks.means.items()
    ]
    return ["detector", "alike", "mean rank", f"mean {one.metric.label} %"], rows


def all_numbers(one: Ranked) -> tuple[list[str], list[list[object]]]:
    """Returns head and rows of ranks and means as they are, the best first."""
    rows: list[list[object]] = [
        [label, one.groups[label], mean, one.values[label], one.ranks.pairs]
        for label, mean in one.ranks.means.items()
    ]
    return ["detector", "alike", "rank", one.metric.name, "pairs"], rows

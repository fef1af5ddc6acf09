"""The figures of a benchmark as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from oodbench.base.defaults import RESULTS
from oodbench.benchmarks.benchmark import read
from oodbench.benchmarks.layout import all_figures
from oodbench.benchmarks.stored import outcome
from oodbench.results.opened import Source, open_results


def benchmark_figures(
    results: Source = RESULTS,
    *,
    benchmark: str,
    replaced: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """Returns what `oodbench table --benchmark` shows, one row per figure.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        benchmark: The name of the benchmark, or its file.
        replaced: Sets that were opened in place of some of the benchmark, by their
            labels.

    Returns:
        Columns: `benchmark`, `model`, `detector`; `set`, a label or the name of a mean;
        `metric`; `value` and its `deviation` in [0, 1], over so many `runs`.
        `attrs["notes"]` lists what differs from the benchmark.

    Raises:
        InputError: There is no such benchmark, or nothing is stored of it.
    """
    chosen = read(benchmark, [f"{label}={spec}" for label, spec in replaced.items()])
    found = outcome(chosen, open_results(results).groups)
    head, figures = all_figures(found)
    frame = pd.DataFrame(figures, columns=head)
    frame.attrs["notes"] = found.notes()
    return frame

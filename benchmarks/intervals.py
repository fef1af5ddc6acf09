"""Times all metrics and intervals of one pair of sets, and checks FPR95 against SciPy.

    python benchmarks/intervals.py

Normal scores of 10,000 ID and 26,000 OOD images, the sizes of CIFAR-10 and SVHN.
"""

import time
from statistics import NormalDist

import numpy as np
from scipy.stats import bootstrap as scipy_bootstrap
from tabulate import tabulate

from oodbench.metrics import bootstrap, ranking
from oodbench.metrics.spreads import Clusters
from oodbench.metrics.table import METRICS, Sample

SIZES = 10_000, 26_000
SCIPY_RESAMPLES = 50
REPEATS = 5


def best_of(function, repeats=REPEATS):
    """Returns the shortest of some times in seconds, and the result."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - began)
    return min(times), result


def by_scipy(inside, outside):
    """Returns SciPy's percentile interval of FPR95 from a few resamples."""
    found = scipy_bootstrap(
        (inside, outside),
        ranking.fpr_at_tpr,
        n_resamples=SCIPY_RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=0,
    )
    return found.confidence_interval


def measured(sample):
    """Returns the value and the interval of every metric."""
    return {
        name: (metric.value(sample), *metric.interval(sample))
        for name, metric in METRICS.items()
    }


def main():
    """Prints the table."""
    rng = np.random.default_rng(0)
    shift = 2**0.5 * NormalDist().inv_cdf(0.9)
    inside, outside = rng.normal(shift, 1, SIZES[0]), rng.normal(0, 1, SIZES[1])
    correct = rng.random(SIZES[0]) < 0.9
    clusters = Clusters(None, np.arange(SIZES[1]) // 10)
    tasks = {
        name: lambda metric=metric: metric.interval(
            Sample(inside, outside, correct=correct)
        )
        for name, metric in METRICS.items()
    } | {
        "fpr95, clusters of 10": lambda: bootstrap.fpr_interval(
            inside, outside, clusters
        ),
        "all values and intervals, sorted once": lambda: measured(
            Sample(inside, outside, correct=correct)
        )["auroc"],
    }
    rows = []
    for name, task in tasks.items():
        seconds, result = best_of(task)
        rows.append([name, f"{1000 * seconds:.1f}", np.round(result, 5)])
    seconds, result = best_of(lambda: by_scipy(inside, outside), 1)
    name = f"fpr95, scipy.stats.bootstrap, {SCIPY_RESAMPLES} samples"
    rows.append([name, f"{1000 * seconds:.1f}", np.round(result, 5)])
    print(tabulate(rows, ["interval", "ms", "result"], "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

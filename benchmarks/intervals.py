"""Times the metrics and intervals of one pair of sets, and checks them against SciPy.

    python benchmarks/intervals.py

Normal scores of 10,000 ID and 26,000 OOD images, the sizes of CIFAR-10 and SVHN.
"""

import time
from statistics import NormalDist

import numpy as np
from scipy.stats import bootstrap as scipy_bootstrap
from tabulate import tabulate

from oodbench.metrics import bootstrap, ranking
from oodbench.metrics.intervals import (
    Clusters,
    delong_interval,
    delong_variance,
    placements,
)

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
    """Returns SciPy's percentile interval from a few resamples."""
    found = scipy_bootstrap(
        (inside, outside),
        ranking.auroc,
        n_resamples=SCIPY_RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=0,
    )
    return found.confidence_interval


def left_out(inside, outside):
    """Returns the share of the AUROC's deviation that grouping leaves out."""
    id_groups, ood_groups, _ = bootstrap._grouped(inside, outside)
    lost = 0.0
    for values, groups in zip(
        placements(inside, outside), (id_groups, ood_groups), strict=True
    ):
        means = np.bincount(groups, values) / np.maximum(np.bincount(groups), 1)
        lost += np.mean((values - means[groups]) ** 2) / values.size
    return 1 - np.sqrt(1 - lost / delong_variance(inside, outside))


def main():
    """Prints the tables."""
    rng = np.random.default_rng(0)
    shift = 2**0.5 * NormalDist().inv_cdf(0.9)
    inside, outside = rng.normal(shift, 1, SIZES[0]), rng.normal(0, 1, SIZES[1])
    clusters = Clusters(None, np.arange(SIZES[1]) // 10)
    tasks = {
        "metrics.summary": lambda: ranking.summary(inside, outside)["auroc"],
        "logit DeLong": lambda: delong_interval(inside, outside),
        "bootstrap, 1,000": lambda: bootstrap.auroc_interval(inside, outside),
        "bootstrap, 1,000, clusters of 10": lambda: bootstrap.auroc_interval(
            inside, outside, clusters
        ),
        "bootstrap of FPR95, 1,000": lambda: bootstrap.fpr_interval(inside, outside),
        "bootstrap of FPR95, 1,000, clusters of 10": lambda: bootstrap.fpr_interval(
            inside, outside, clusters
        ),
    }
    rows = []
    for name, task in tasks.items():
        seconds, result = best_of(task)
        rows.append([name, f"{1000 * seconds:.1f}", np.round(result, 5)])
    seconds, result = best_of(lambda: by_scipy(inside, outside), 1)
    name = f"scipy.stats.bootstrap, {SCIPY_RESAMPLES}"
    rows.append([name, f"{1000 * seconds:.1f}", np.round(result, 5)])
    print(tabulate(rows, ["what", "ms", "result"], "pipe", disable_numparse=True))
    print("\nDeviation that grouping leaves out:")
    for area in (0.5, 0.9, 0.99, 0.999):
        shift = 2**0.5 * NormalDist().inv_cdf(area)
        inside = rng.normal(shift, 1, SIZES[0])
        print(f"- AUROC {area}: {100 * left_out(inside, outside):.4f} %")


if __name__ == "__main__":
    main()

"""Simulates how often nominal 95 % intervals hold the truth.

    python benchmarks/coverage.py > docs/intervals.md

Takes about three minutes on one core.
"""

from math import sqrt
from statistics import NormalDist

import numpy as np
from tabulate import tabulate

from oodbench.metrics.bootstrap import auroc_interval, fpr_interval
from oodbench.metrics.intervals import delong_interval

NORMAL = NormalDist()
AREAS = (0.6, 0.9, 0.99, 0.999)
REPETITIONS = {
    "AUROC, logit DeLong": {200: 6000, 1000: 4000, 10_000: 1000},
    "AUROC, bootstrap": {200: 500, 1000: 500},
    "FPR95, bootstrap": {200: 4000, 1000: 4000, 10_000: 1000},
}
METHODS = {
    "AUROC, logit DeLong": delong_interval,
    "AUROC, bootstrap": auroc_interval,
    "FPR95, bootstrap": fpr_interval,
}
TEXT = """\
# How often the intervals hold the truth

Nominal 95 % intervals, simulated: scores of n in-distribution and n OOD images are
drawn from two normal distributions of variance 1, so far apart that the true AUROC is
as said; the coverage is the share of draws whose interval holds the true number.
Bootstrap intervals are percentile intervals of 1,000 resamples.

Written by `python benchmarks/coverage.py > docs/intervals.md`. Behind the share stand
its Monte-Carlo standard error and the number of draws. Shares more than three standard
errors below 95 % are in bold: the logit-DeLong interval falls short where the AUROC is
so near 1 that few images decide it, and the bootstrap falls shorter. Tables take DeLong
for AUROC and the bootstrap for FPR95.
"""
NOTES = """\
Images are independent here. Where they are not, because many show one origin,
intervals over images are too narrow; oodbench then counts origins (`clusters`), if
there are at least 10 of them. Sets made from the in-distribution images themselves
(rotated, inverted, mixed) are taken as if drawn for themselves. Where classes are
separated perfectly, the interval is the exact one of `alike_interval`. All intervals
speak of one checkpoint: another training of the same recipe can lie outside.
"""


def truth(method, shift):
    """Returns what the interval should hold."""
    if method.startswith("AUROC"):
        return NORMAL.cdf(shift / sqrt(2))
    return 1 - NORMAL.cdf(shift + NORMAL.inv_cdf(0.05))


def coverage(method, n, area, repetitions):
    """Returns the share of intervals that hold the truth."""
    shift = sqrt(2) * NORMAL.inv_cdf(area)
    rng = np.random.default_rng([n, round(1000 * area)])
    held = 0
    for _ in range(repetitions):
        low, high = METHODS[method](rng.normal(shift, 1, n), rng.normal(0, 1, n))
        held += low <= truth(method, shift) <= high
    return held / repetitions


def cell(share, repetitions):
    """Returns a share with its error; in bold where it falls short."""
    error = sqrt(share * (1 - share) / repetitions)
    text = f"{100 * share:.1f}"
    if share < 0.95 - 3 * sqrt(0.95 * 0.05 / repetitions):
        text = f"**{text}**"
    return f"{text} ± {100 * error:.1f} ({repetitions:,})"


def main():
    """Prints the document."""
    rows = [
        [method, f"{n:,}"]
        + [cell(coverage(method, n, area, times), times) for area in AREAS]
        for method, sizes in REPETITIONS.items()
        for n, times in sizes.items()
    ]
    head = ["interval", "n", *(f"AUROC {area}" for area in AREAS)]
    print(TEXT)
    print(tabulate(rows, head, "pipe", disable_numparse=True))
    print(f"\n{NOTES}", end="")


if __name__ == "__main__":
    main()

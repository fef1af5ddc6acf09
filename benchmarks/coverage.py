"""Simulates how often nominal 95 % intervals contain the truth.

    python benchmarks/coverage.py > docs/intervals.md

Takes about five minutes on one core.
"""

from math import log, sqrt
from statistics import NormalDist

import numpy as np
from scipy.special import betaincinv
from tabulate import tabulate

from oodbench.metrics.intervals import (
    FEW_IMAGES,
    alike_intervals,
    few_decide,
    logit_step,
    placements,
    placements_intervals,
)
from oodbench.metrics.spreads import INDEPENDENT, deviations, spread_of
from oodbench.metrics.table import METRICS, Sample

NORMAL = NormalDist()
AREAS = (0.9, 0.99, 0.999)
SIZES = (200, 200), (1000, 1000), (10_000, 10_000), (10_000, 100), (100, 10_000)
OTHER_SIZES = (200, 200), (1000, 1000), (10_000, 100), (100, 10_000)
DRAWS = 1000
DRAWS_OF_MANY = 300
OTHER_DRAWS = 300
TRUTH = 1_000_000
"""Images that stand for all of them where the truth has no formula."""
BEFORE, NOW = "logit, normal quantile", "the one in use"


def normal_cases(deviation_in, deviation_out):
    """Returns draws of normal scores of either class, for an AUROC."""

    def case(area):
        shift = sqrt(deviation_in**2 + deviation_out**2) * NORMAL.inv_cdf(area)
        return (
            lambda rng, n: rng.normal(shift, deviation_in, n),
            lambda rng, n: rng.normal(0, deviation_out, n),
        )

    return case


def exponential(area):
    """Returns draws of exponential scores, whose means are as area : 1 - area."""
    return (
        lambda rng, n: rng.exponential(area, n),
        lambda rng, n: rng.exponential(1 - area, n),
    )


def mixture(area):
    """Returns draws where some OOD images score as ID ones do, and the rest far off."""
    far = NORMAL.cdf(5 / sqrt(2))
    share = (far - area) / (far - 0.5)
    return (
        lambda rng, n: rng.normal(5, 1, n),
        lambda rng, n: rng.normal(5 * (rng.random(n) < share), 1),
    )


def heavy_tails(area):
    """Returns draws of Student's t with 3 degrees of freedom."""
    rng = np.random.default_rng(0)
    differences = rng.standard_t(3, 8_000_000) - rng.standard_t(3, 8_000_000)
    shift = np.quantile(differences, area)
    return (
        lambda rng, n: rng.standard_t(3, n) + shift,
        lambda rng, n: rng.standard_t(3, n),
    )


CASES = {
    "normal": normal_cases(1, 1),
    "normal, OOD deviation 3": normal_cases(1, 3),
    "normal, ID deviation 3": normal_cases(3, 1),
    "exponential": exponential,
    "mixture": mixture,
    "Student's t, 3 df": heavy_tails,
}


def by_rule(student, power, binomial):
    """Returns a candidate: its low end from an AUROC in (0, 1) and deviations.

    Args:
        student: Whether the quantile is Student's; else it is the normal one.
        power: Of the largest shortfall, for one more image of each class; None for no
            such image.
        binomial: Whether the exact bound for pairs of images bounds the end.
    """

    def low_end(area, units):
        missed = None
        if power is not None:
            worst = [min(max(1 - area - unit.lowest, 0), 1) for unit in units]
            missed = [1 - one**power - area for one in worst]
        found = spread_of(units, missed)
        if not student:
            found = found._replace(freedom=1e9)
        low = logit_step(area, found, -1, 0.025)
        if binomial:
            pairs = min(unit.count for unit in units)
            exact = betaincinv(pairs * area, pairs * (1 - area) + 1, 0.025)
            low = max(low, exact)
        return min(low, area)

    return low_end


CANDIDATES = {
    BEFORE: by_rule(False, None, False),
    "logit, Student's t": by_rule(True, None, False),
    "one more image as the worst, t": by_rule(True, 1, False),
    "one more image as the worst^(3/4), t, binomial bound": by_rule(True, 0.75, True),
    "one more image as the worst^(1/2), normal, binomial bound": by_rule(
        False, 0.5, True
    ),
    "one more image as the worst^(1/2), t (in use without a bound)": by_rule(
        True, 0.5, False
    ),
}


def candidate_interval(low_end, places):
    """Returns the interval of a candidate rule from placements."""
    units = deviations(places, INDEPENDENT)
    area = float(places.inside.mean())
    if not any(unit.largest.any() for unit in units):
        return alike_intervals(area, min(unit.count for unit in units))
    high = 1 - low_end(1 - area, [unit.mirrored() for unit in units])
    return low_end(area, units), high


def simulate(case, area, sizes):
    """Returns coverage and median low end of every rule, and how many images decide."""
    inside, outside = case(area)
    rng = np.random.default_rng([*sizes, round(1000 * area)])
    draws = DRAWS_OF_MANY if min(sizes) >= 10_000 else DRAWS
    found, deciding = {name: [] for name in [*CANDIDATES, NOW]}, []
    for _ in range(draws):
        places = placements(inside(rng, sizes[0]), outside(rng, sizes[1]))
        for name, rule in CANDIDATES.items():
            found[name].append(candidate_interval(rule, places))
        found[NOW].append(placements_intervals(places))
        deciding.append(few_decide(places))
    ends = {name: np.array(pairs) for name, pairs in found.items()}
    return (
        {n: np.mean((e[:, 0] <= area) & (area <= e[:, 1])) for n, e in ends.items()},
        {n: np.median(1 - e[:, 0]) / (1 - area) for n, e in ends.items()},
        float(np.median(deciding)),
        draws,
    )


def share(value, draws):
    """Returns a share in %; in bold where it falls short by three standard errors."""
    text = f"{100 * value:.1f}"
    short = value < 0.95 - 3 * sqrt(0.95 * 0.05 / draws)
    return f"**{text}**" if short else text


def coverage_table(cells):
    """Returns the coverage of every case, before and now."""
    rows = []
    for name in CASES:
        for sizes in SIZES:
            row = [name, "{:,} : {:,}".format(*sizes)]
            for area in AREAS:
                held, _, deciding, draws = cells[name, sizes, area]
                shares = share(held[BEFORE], draws), share(held[NOW], draws)
                row.append("{} → {} ({:.0f})".format(*shares, deciding))
            rows.append(row)
    head = ["scores", "ID : OOD", *(f"AUROC {area}" for area in AREAS)]
    return tabulate(rows, head, "pipe", disable_numparse=True)


def candidate_table(cells):
    """Returns for each rule its coverage and how far off its low ends are."""
    few = [cell for cell in cells.values() if cell[2] < FEW_IMAGES]
    many = [cell for cell in cells.values() if cell[2] >= FEW_IMAGES]
    rows = []
    for name in [*CANDIDATES, NOW]:
        held = [cell[0][name] for cell in cells.values()]
        low = [
            np.exp(np.mean([log(cell[1][name]) for cell in part]))
            for part in (few, many)
        ]
        short = sum("*" in share(cell[0][name], cell[3]) for cell in cells.values())
        rows.append([name, f"{100 * min(held):.1f}", short, *(f"{x:.2f}" for x in low)])
    head = [
        "interval",
        "worst coverage in %",
        f"cells of {len(cells)} that fall short",
        f"low end, {len(few)} cells that few images decide",
        f"low end, {len(many)} others",
    ]
    return tabulate(rows, head, "pipe", disable_numparse=True)


def labelled(case, area, sizes, rng):
    """Draws a sample whose predictions are right more often at higher scores."""
    inside, outside = (draw(rng, n) for draw, n in zip(case(area), sizes, strict=True))
    rank = np.argsort(np.argsort(inside)) / inside.size
    return Sample(inside, outside, correct=rng.random(inside.size) < 0.8 + 0.2 * rank)


def other_table():
    """Returns the coverage of the intervals of all other metrics."""
    rows = []
    for name in ("normal", "normal, OOD deviation 3"):
        for sizes in OTHER_SIZES:
            for area in AREAS:
                rng = np.random.default_rng([*sizes, round(1000 * area)])
                many = [TRUTH * n // sum(sizes) for n in sizes]
                whole = labelled(CASES[name], area, many, rng)
                held = dict.fromkeys(list(METRICS)[1:], 0)
                truth = {metric: METRICS[metric].value(whole) for metric in held}
                for _ in range(OTHER_DRAWS):
                    drawn = labelled(CASES[name], area, sizes, rng)
                    for metric in held:
                        low, high = METRICS[metric].interval(drawn)
                        held[metric] += low <= truth[metric] <= high
                shares = [share(n / OTHER_DRAWS, OTHER_DRAWS) for n in held.values()]
                rows.append([name, "{:,} : {:,}".format(*sizes), area, *shares])
    head = ["scores", "ID : OOD", "AUROC", *list(METRICS)[1:]]
    return tabulate(rows, head, "pipe", disable_numparse=True)


TEXT = """\
# How often the intervals contain the truth

Written by `python benchmarks/coverage.py > docs/intervals.md`.

The numbers are simulated. The coverage is the share of draws whose nominal 95 %
interval contains the true number. Coverages more than three standard errors below 95 %
are in bold; the standard error is 0.7 % of 1,000 draws and 1.3 % of 300 draws.

## AUROC

Each cell shows the coverage of the logit-DeLong interval with the normal quantile, an
arrow, and the coverage of the interval in use (`intervals.delong_interval`). In
brackets is the median number of images that decide the AUROC, `intervals.few_decide`:
the participation ratio (Σ w)² / Σ w² of the shortfalls w = 1 − placement, of the class
where it is smaller. A placement is the share of the other class that an image is on the
right side of. Of 10,000 : 10,000 images 300 draws are made, else 1,000.
"""
RULE = """\
## How the interval was chosen

All candidates are steps of DeLong's standard error along the logit of the AUROC. They
differ in the quantile (normal, or Student's t with 2 v² / Var(v) degrees of freedom,
Var(v) from the fourth moment of the placements), in one more image of each class whose
shortfall is a power of the largest in the sample, and in the exact binomial bound of
Clopper and Pearson for as many pairs of images as the smaller class allows. The
columns of low ends show the median of 1 − low end, divided by the true 1 − AUROC, as a
geometric mean over cells: smaller is narrower.

The rule: of the candidates that fall short by more than chance in the fewest cells,
take the one with the best coverage in the worst cell; of equal ones, the narrowest.
"""
FEW = f"""\
Where fewer than {FEW_IMAGES} images decide the AUROC, the interval is wide and the
number depends on images that another sample may lack: such a result needs more images.
No interval can account for a kind of image that the sample does not show at all, beyond
the one more image per class that is assumed here.
"""
OTHERS = f"""\
## The other metrics

FPR95 has the percentiles of 1,000 drawn thresholds and rates
(`oodbench/metrics/bootstrap.py`). AUPR, AURC and AUGRC have the influence of each image
in place of its placement (`oodbench/metrics/influence.py`).
Predictions are right more often where scores are higher. {OTHER_DRAWS} draws per cell;
the true numbers come from {TRUTH:,} images.
"""
NOTES = """\
## What the intervals do not cover

Images are independent here. Where they are not, because many show one origin,
intervals over images are too narrow; oodbench then counts origins (`clusters`), if
there are at least 10 of them. Sets made from the in-distribution images themselves
(rotated, inverted, mixed) are treated as independent of them. Where the classes are
separated perfectly, the interval is the exact one of `intervals.alike_intervals`. All
intervals describe one checkpoint: another training of the same recipe can be outside.

Paired differences of detectors (`significance.delong_difference`) use the same Student
quantile and one more image that differs as much as the most different one. Where all
images or seeds agree but for rounding, the p-value is 2 (1 + |d|)^-K, at most 1, for K
of them. It is above 0.05 for five or fewer: a few images cannot show a difference.
"""


def main():
    """Prints the document."""
    cells = {
        (name, sizes, area): simulate(case, area, sizes)
        for name, case in CASES.items()
        for area in AREAS
        for sizes in SIZES
    }
    for part in (
        [TEXT, coverage_table(cells) + "\n", FEW, RULE, candidate_table(cells) + "\n"],
        [OTHERS, other_table() + "\n", NOTES],
    ):
        print("\n".join(part), end="" if part[-1] == NOTES else "\n")


if __name__ == "__main__":
    main()

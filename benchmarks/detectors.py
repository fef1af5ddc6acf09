"""Writes what every detector reaches and costs, as CSV: one row a model and detector.

oodbench run --detectors all --no-plots --results FOLDER
python benchmarks/detectors.py FOLDER > results/detectors_digits.csv
"""

import argparse
import sys

import oodbench


def main() -> None:
    """Prints mean AUROC by role in %, passes an image, and times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", help="folder of `oodbench run`")
    results = parser.parse_args().results
    rows = oodbench.rows(results)
    means = rows.pivot_table(
        index=["model", "detector"], columns="role", values="auroc", aggfunc="mean"
    )
    costs = oodbench.costs(results).set_index(["model", "detector"])
    columns = ["forward", "backward", "microseconds", "fit_seconds", "mebibytes"]
    found = (100 * means).round(2).join(costs[columns].round(4))
    found.to_csv(sys.stdout)


if __name__ == "__main__":
    main()

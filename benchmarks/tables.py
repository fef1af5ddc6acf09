"""Times the tables of many stored scores, new and kept, against reading the files.

    python benchmarks/tables.py --models 1 --detectors 50 --sets 10 --images 10000,26000

The floor reads and hashes the same files and computes nothing. "new" computes all
metrics, intervals and paired tests; "kept" finds them in `.numbers`. Times are seconds
of the processor, medians of interleaved rounds in one process. The script fails if both
tables differ in a bit.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from oodbench.cli.options import numbers
from oodbench.output.tables import table
from oodbench.results.exchange.imports import import_scores
from oodbench.results.opened import open_results


def generate(folder, options):
    """Stores normal scores of correlated detectors."""
    rng = np.random.default_rng(0)
    count_in, count_out = map(int, numbers("--images", options.images))
    labels = rng.integers(0, 10, count_in)
    shared = [rng.normal(0, 1, count_out) for _ in range(options.sets)]
    base = rng.normal(1.5, 1, count_in)
    for model in range(options.models):
        for detector in range(options.detectors):
            arrays = {
                "in.scores": base + rng.normal(0, 0.5, count_in),
                "in.labels": labels,
                "in.predictions": np.where(rng.random(count_in) < 0.9, labels, 0),
            }
            if detector:
                del arrays["in.labels"], arrays["in.predictions"]
            for number, part in enumerate(shared):
                noise = rng.normal(0, 0.5, count_out)
                arrays[f"far.set{number}.scores"] = part + noise
            file = folder / "scores.npz"
            np.savez(file, **arrays)
            import_scores(
                file,
                results=folder / "runs",
                model=f"model{model}",
                detector=f"detector{detector:02}",
                inside="test",
            )


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--detectors", type=int, default=50)
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--images", default="10000,26000", help="ID and OOD images")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds = {"floor: reading": [], "table, new": [], "table, kept": []}
    tables = set()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), options)
        runs = Path(folder) / "runs"
        for _ in range(options.rounds):
            for kept in runs.glob("*/*/.numbers"):
                kept.unlink()
            for name, taken in seconds.items():
                began = time.process_time()
                found = open_results(runs)
                if name.startswith("table"):
                    tables.add(table(found, format="csv"))
                taken.append(time.process_time() - began)
    assert len(tables) == 1, "kept numbers differ from new ones"
    rows = [[name, f"{statistics.median(t):.2f}"] for name, t in seconds.items()]
    print(tabulate(rows, ["", "s"], "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

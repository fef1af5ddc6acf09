"""Profiles `oodbench run` with its default detectors on real images of 32×32 pixels.

    python benchmarks/default_run.py resnet20-12fca82f.th DATA

DATA is a folder with `cifar10_train.npz`, `cifar10_test.npz` and the OOD sets
`textures32.npz`, `gtsrb_test32.npz` and `tinyimagenet_val32.npz`. The script scores a
first model, and the same weights under another normalisation as a second one. It prints
the seconds of the processor and the largest memory of both runs, and the ten functions
that take most of the first run by themselves.
"""

import argparse
import pstats
import sys
import tempfile
from pathlib import Path

from processes import measure
from tabulate import tabulate

OUT = ("textures32", "gtsrb_test32", "tinyimagenet_val32")
FIRST = 10
"""Functions to show."""


def command(weights, data, results, *more):
    """Returns the options of Python that run the default detectors."""
    sets = ",".join(f"far=npz:{data}/{name}.npz" for name in OUT)
    return [
        *("-m", "oodbench", "run", "--no-plots", "--results", results),
        *("--model", weights, "--in", f"npz:{data}/cifar10_test.npz", "--out", sets),
        *("--fit", f"npz:{data}/cifar10_train.npz", *more),
    ]


def top(profile):
    """Returns rows of the functions with the most seconds of their own."""
    stats = pstats.Stats(str(profile)).stats
    rows = sorted(stats.items(), key=lambda item: item[1][2], reverse=True)[:FIRST]
    return [
        [f"{'/'.join(Path(file).parts[-2:])} {name}", calls, f"{own:.2f}"]
        for (file, _, name), (_, calls, own, _, _) in rows
    ]


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results, profile = Path(name) / "runs", Path(name) / "profile"
        run = command(options.weights.resolve(), options.data.resolve(), results)
        runs = {
            "first model": ["-m", "cProfile", "-o", profile, *run],
            "second model": [*run, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"],
        }
        rows = []
        for title, arguments in runs.items():
            _, busy, megabytes = measure([sys.executable, *arguments])
            rows.append([title, f"{busy:.1f}", f"{megabytes:.0f}"])
        print(tabulate(rows, ["", "s", "peak MB"], "pipe", disable_numparse=True))
        print()
        headers = ["first model, seconds of the function itself", "calls", "s"]
        print(tabulate(top(profile), headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

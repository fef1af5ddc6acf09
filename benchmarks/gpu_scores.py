"""Compares the scores of every detector on a device with those on the CPU.

    python benchmarks/gpu_scores.py --device cuda

The bundled networks, their ensemble and a convolutional network with random weights
score the bundled digits twice, and detectors are fitted on each device. For each
detector: the largest difference of a score, the same as a share of the standard
deviation of the scores, and the lowest rank correlation of a network and set.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from tabulate import tabulate

import oodbench
from oodbench.networks.architectures.cnn import CNN

BUNDLED = ["jem-digits", "ce-digits", "jem-digits+ce-digits"]
IMAGE = ["model", "set", "image", "detector"]


def scored(device, folder, limit):
    """Returns the scores of all images, and the failures."""
    torch.manual_seed(0)
    convolutional = CNN((1, 8, 8), classes=8, width=16)
    network = oodbench.Network(convolutional, (1, 8, 8), "random-cnn", (0.5,), (0.25,))
    result = oodbench.run(
        [*BUNDLED, network],
        "digits:0-7",
        "digits:8-9",
        detectors="all",
        limit=limit,
        device=device,
        results=folder,
        quiet=True,
    )
    scores = oodbench.image_scores(result).astype(dict.fromkeys(IMAGE, str))
    return scores.set_index(IMAGE)["score"], result.failed


def compared(here, there):
    """Returns one row per detector: differences of two series of scores."""
    both = pd.concat({"here": here, "there": there}, axis=1, join="inner")
    groups = both.groupby(["detector", "model", "set"])
    found = pd.DataFrame(
        {
            "largest": groups.apply(lambda one: (one.here - one.there).abs().max()),
            "deviation": groups.here.std(),
            "rank correlation": groups.apply(
                lambda one: one.here.rank().corr(one.there.rank())
            ),
        }
    )
    found["share"] = (found.largest / found.deviation).fillna(0)
    kinds = found.groupby("detector")
    worst = kinds[["largest", "share"]].max()
    # A detector that gives all images one score has no rank correlation.
    return worst.join(kinds["rank correlation"].min().fillna(1))


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=int, default=300, help="images of each set")
    parser.add_argument("--toy", action="store_true", help="on 40 images")
    parser.add_argument("--to", type=Path, help="JSON file for the numbers")
    options = parser.parse_args()
    limit = 40 if options.toy else options.limit
    with TemporaryDirectory() as folder:
        here, faults = scored("cpu", f"{folder}/cpu", limit)
        there, more = scored(options.device, f"{folder}/other", limit)
    rows = compared(here, there)
    failed = {cell: fault for cell, fault in more.items() if cell not in faults}
    if options.to:
        numbers = {"detectors": rows.to_dict("index"), "failed": failed}
        options.to.write_text(json.dumps(numbers, indent=1) + "\n")
    formats = {"largest": "{:.1e}", "share": "{:.1e}", "rank correlation": "{:.6f}"}
    worst_first = rows.sort_values("share", ascending=False)
    table = [
        [name, *(text.format(one[column]) for column, text in formats.items())]
        for name, one in worst_first.iterrows()
    ]
    head = ["detector", "largest difference", "of a deviation", "rank correlation"]
    print(f"{len(BUNDLED) + 1} networks, {limit} images of each set\n")
    print(tabulate(table, head, "pipe", disable_numparse=True))
    for cell, fault in failed.items():
        print(f"\nFailed on {options.device} only: {cell}: {fault}")


if __name__ == "__main__":
    main()

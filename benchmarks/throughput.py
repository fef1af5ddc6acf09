"""Measures how many images a second one, ten and fifty detectors score.

    python benchmarks/throughput.py CHECKPOINT --train TRAIN.npz --test TEST.npz

The detectors are those that take no further pass of the network, in alphabetical order
but msp first. They are fitted before the clock runs. The floor is the bare forward pass
of the module, on images in the order of PyTorch's own loaders and in channels-last
order. Times are seconds of the processor, medians of interleaved rounds.
"""

import argparse

import numpy as np
import torch
from rounds import medians
from tabulate import tabulate

from oodbench import Need, Split, load_network
from oodbench.base import registry
from oodbench.data.adapt import adapt
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector

BATCH = 256
FURTHER = Need.NETWORK | Need.GRADIENT | Need.BLOCKS | Need.MEMBERS


def quiet(done):
    """Shows nothing."""


def read(path, count):
    """Returns the first images of a file, with their labels."""
    with np.load(path) as stored:
        return Split(stored["images"][:count], stored["labels"][:count])


def fitted(network, train):
    """Returns the detectors that take no further pass, fitted, by name."""
    names = ["msp", *(n for n in registry.names("detectors") if n != "msp")]
    found = {name: open_detector(name).detector for name in names}
    usable = {
        name: one
        for name, one in found.items()
        if not one.needs & FURTHER and not lacks(network, one) and not one.objectives
    }
    engine = Engine(network, usable, BATCH)
    failed = engine.fit("train", train, tell=quiet)
    failed |= engine.fit("val", train, tell=quiet)
    return {name: one for name, one in usable.items() if name not in failed}


def bare(network, pixels):
    """Runs the module alone."""
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1) for values in (network.mean, network.std)
    )
    with torch.no_grad():
        for batch in pixels.split(BATCH):
            network.module((batch - mean) / std)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--train", required=True, help="npz with images and labels")
    parser.add_argument("--test", required=True)
    parser.add_argument("--fit", type=int, default=2000, help="images to fit on")
    parser.add_argument("--count", type=int, default=2000, help="images to score")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    network = load_network(options.checkpoint)
    detectors = fitted(network, read(options.train, options.fit))
    test = read(options.test, options.count)
    pixels = adapt(test.images, network.shape)
    last = pixels.contiguous(memory_format=torch.channels_last)
    runs = {
        "bare forward": lambda: bare(network, pixels),
        "bare forward, channels-last": lambda: bare(network, last),
    }
    for count in (1, 10, min(50, len(detectors))):
        few = dict(list(detectors.items())[:count])
        engine = Engine(network, few, BATCH)
        label = f"{count} detector" + "s" * (count > 1)
        runs[label] = lambda engine=engine: engine.score(
            test, has_labels=False, tell=quiet
        )
    taken = medians(runs, options.rounds)
    floor = taken["bare forward, channels-last"]
    rows = [
        [name, f"{options.count / seconds:.0f}", f"{seconds / floor:.2f}"]
        for name, seconds in taken.items()
    ]
    print(tabulate(rows, ["", "images/s", "time over the floor"], "pipe"))


if __name__ == "__main__":
    main()

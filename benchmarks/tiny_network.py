"""Times scoring by a network that takes next to no time against its bare forward pass.

    python benchmarks/tiny_network.py --count 100000 --batch-sizes 64,256,1024

A perceptron with one hidden layer and four logit detectors score random uint8 images of
28×28, which a run also hashes. The floor converts the same images to pixels in [0, 1],
normalises them and runs the module, at the same batch size. Times are seconds of the
processor, medians of interleaved rounds in one process.
"""

import argparse

import numpy as np
import torch
from rounds import medians
from tabulate import tabulate

from oodbench import Network, Shape, Split
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

DETECTORS = ("msp", "max_logit", "energy", "entropy")
MEAN, STD = 0.1307, 0.3081


def quiet(done):
    """Shows nothing."""


def floor(module, images, size):
    """Returns the logits of all images."""
    with torch.no_grad():
        return torch.cat(
            [
                module((batch.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD)
                for batch in torch.from_numpy(images).split(size)
            ]
        )


def shared_pass(network, images, size, names):
    """Returns the scores of all images, as a run computes them."""
    detectors = {name: open_detector(name).detector for name in names}
    engine = Engine(network, detectors, size)
    whole = [(0, len(images))]
    split = Split(images)
    (scored,) = engine.score_spans(
        split, whole, has_labels=False, tell=quiet, digested=True
    )
    return scored.scores


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--batch-sizes", default="64,256,1024")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (options.count, 28, 28, 1), np.uint8)
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(784, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 10),
    )
    network = Network(module, Shape(1, 28, 28), mean=(MEAN,), std=(STD,))
    rows = []
    for size in map(int, options.batch_sizes.split(",")):
        runs = {
            "bare": lambda size=size: floor(module, images, size),
            "four": lambda size=size: shared_pass(network, images, size, DETECTORS),
        }
        bare, four = medians(runs, options.rounds).values()
        rows.append([size, f"{bare:.2f}", f"{four:.2f}", f"{four / bare:.2f}"])
    print(
        f"{options.count} images, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, medians of {options.rounds} interleaved rounds\n"
    )
    head = ["batch size", "bare forward, s", "four detectors, s", "ratio"]
    print(tabulate(rows, head, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

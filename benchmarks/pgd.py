"""Times PGD against torchattacks on the same network and images, in one run.

    python benchmarks/pgd.py CHECKPOINT --images IMAGES.npz --count 128

Ten steps of 2/255 in L∞ balls of 8/255 from one random start. Our attack also evaluates
its last point and keeps the best one, and hands images to the network in the
channels-last order; torchattacks 3.5.1 takes them as PyTorch's loaders give them. It is
no requirement of oodbench: `pip install torchattacks==3.5.1 --no-deps`. Times are
seconds of the processor, medians of interleaved rounds.
"""

import argparse

import numpy as np
import torch
import torchattacks
from rounds import medians
from tabulate import tabulate

from oodbench import Split, load_network
from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.targets import Classifier, Misclassify

STEPS, EPS, STEP = 10, 8 / 255, 2 / 255


class Normalised(torch.nn.Module):
    """The module behind its normalisation, as torchattacks takes it."""

    def __init__(self, network):
        super().__init__()
        self.module = network.module
        for name in ("mean", "std"):
            values = torch.tensor(getattr(network, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values)

    def forward(self, pixels):
        """Returns logits of pixels in [0, 1]."""
        return self.module((pixels - self.mean) / self.std)


def floor(module, pixels, labels):
    """Differentiates the loss ten times."""
    for _ in range(STEPS):
        pixels = pixels.detach().requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(module(pixels), labels)
        torch.autograd.grad(loss, pixels)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--images", required=True, help="npz with images and labels")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    network = load_network(options.checkpoint)
    with np.load(options.images) as stored:
        split = Split(*(stored[name][: options.count] for name in ("images", "labels")))
    images = Images.of(split, network.shape)
    given = images.pixels.contiguous()
    module = Normalised(network).eval()
    theirs = torchattacks.PGD(module, eps=EPS, alpha=STEP, steps=STEPS)
    ours, goal = PGD(STEPS, STEP), Misclassify(Classifier(network))
    ball = Ball("linf", EPS)
    runs = {
        "floor: ten forward and backward passes": lambda: floor(
            module, given, images.labels
        ),
        "torchattacks": lambda: theirs(given, images.labels),
        "oodbench": lambda: ours(goal, images, ball, 0),
    }
    taken = medians(runs, options.rounds)
    peer = taken["torchattacks"]
    rows = [[name, f"{t:.2f}", f"{t / peer:.2f}"] for name, t in taken.items()]
    print(
        f"{options.count} images of {split.images.shape[1:]}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of "
        f"{options.rounds} interleaved rounds\n"
    )
    print(tabulate(rows, ["", "s", "of torchattacks"], "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

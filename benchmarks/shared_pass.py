"""Times the shared pass against the bare network and against pytorch-ood, in one run.

    python benchmarks/shared_pass.py CHECKPOINT --arch FILE.py:FACTORY \
        --mean .485,.456,.406 --std .229,.224,.225 --images IMAGES.npz

Four logit detectors that both have (maximum softmax and logit, energy, entropy)
score the same images, half of them as the in-distribution set. pytorch-ood 0.4.0 (left
out where it is not installed) runs them one after another, and through its benchmark
class with a cold cache. The floor is one bare forward pass with frozen parameters at
the same batch size, and one forward and backward pass where a gradient is needed.
Rounds are interleaved; the table has medians.
"""

import argparse

import numpy as np
import torch
from rounds import medians, wall_seconds
from tabulate import tabulate

from oodbench import Shape, Split, load_network
from oodbench.cli.options import numbers
from oodbench.metrics.ranking import auroc
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

LOGIT_DETECTORS = ("msp", "max_logit", "energy", "entropy")


def quiet(done):
    """Shows nothing."""


def oodbench_run(network, images, batch_size, names):
    """Scores both halves from bytes and measures every pair."""

    def run():
        half = len(images) // 2
        engine = Engine(
            network, {n: open_detector(n).detector for n in names}, batch_size
        )
        inside, outside = (
            engine.score(Split(part), has_labels=False, tell=quiet).scores
            for part in (images[:half], images[half:])
        )
        return {name: auroc(inside[name], outside[name]) for name in names}

    return run


def floor_run(network, pixels, batch_size, gradient):
    """Runs the bare module and, with `gradient`, differentiates log p(x)."""
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1) for values in (network.mean, network.std)
    )

    def run():
        for batch in pixels.split(batch_size):
            if not gradient:
                with torch.no_grad():
                    network.module((batch - mean) / std)
                continue
            batch = batch.detach().requires_grad_(True)
            logits = network.module((batch - mean) / std)
            torch.autograd.grad(logits.logsumexp(1).sum(), batch)

    return run


def peer_runs(network, pixels, batch_size):
    """Returns pytorch-ood's two ways; nothing where it is not installed."""
    try:
        from pytorch_ood.benchmark.base import Benchmark
        from pytorch_ood.detector import EnergyBased, Entropy, MaxLogit, MaxSoftmax
    except ImportError:
        return {}
    module = torch.nn.Sequential(_Scaling(network), network.module).eval()
    half = len(pixels) // 2
    labels = torch.cat([torch.zeros(half), -torch.ones(len(pixels) - half)]).long()
    data = torch.utils.data.TensorDataset(pixels, labels)

    class Pair(Benchmark):
        ood_names = ("out",)

        def train_set(self):
            return data

        def test_sets(self, known=True, unknown=True):
            return [data]

    def detectors():
        return [kind(module) for kind in (MaxSoftmax, MaxLogit, EnergyBased, Entropy)]

    def run(at_once):
        benchmark, kwargs = Pair(), {"batch_size": batch_size}
        with torch.no_grad():
            if at_once:
                return benchmark.evaluate(detectors(), loader_kwargs=kwargs)
            return [benchmark.evaluate(d, loader_kwargs=kwargs) for d in detectors()]

    return {
        "pytorch-ood, one after another": lambda: run(False),
        "pytorch-ood, benchmark class, cold cache": lambda: run(True),
    }


class _Scaling(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.register_buffer("mean", torch.tensor(network.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(network.std).view(1, -1, 1, 1))

    def forward(self, pixels):
        return (pixels - self.mean) / self.std


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--arch", required=True)
    parser.add_argument("--mean", default="0")
    parser.add_argument("--std", default="1")
    parser.add_argument("--images", required=True, help="npz with uint8 images")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    images = np.load(options.images)["images"][: options.count]
    _, height, width, channels = images.shape
    network = load_network(
        options.checkpoint,
        arch=options.arch,
        mean=numbers("--mean", options.mean),
        std=numbers("--std", options.std),
        shape=Shape(channels, height, width),
    )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
    size = options.batch_size
    runs = {
        "floor: bare forward": floor_run(network, pixels, size, False),
        "oodbench, four logit detectors": oodbench_run(
            network, images, size, LOGIT_DETECTORS
        ),
        **peer_runs(network, pixels, size),
        "floor: bare forward and backward": floor_run(network, pixels, size, True),
        "oodbench, the four and jem_grad_norm": oodbench_run(
            network, images, size, (*LOGIT_DETECTORS, "jem_grad_norm")
        ),
    }
    for run in runs.values():
        run()
    taken = medians(runs, options.rounds, wall_seconds)
    rows, floor = [], 0.0
    for name, median in taken.items():
        floor = median if name.startswith("floor") else floor
        rows.append([name, f"{median:.3f}", f"{median / floor:.2f}"])
    print(
        f"{len(images)} images of {height}x{width}, batches of {size}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"medians of {options.rounds} interleaved rounds\n"
    )
    print(tabulate(rows, ["", "s", "over its floor"], "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

"""Measures images per second of the shared pass against the bare network, 32x32.

    python benchmarks/gpu_speed.py resnet18 --device cuda
    python benchmarks/gpu_speed.py wrn28_10 --device cuda

The network has random weights. Its bare forward pass runs on images that lie on the
device, in the same order of memory and the same precision; the shared pass reads the
same images as bytes from the host, and gives predictions and the scores of 1, 10 and 50
detectors without passes of their own, with ten also where torch.compile runs the
network's stages. The ceiling is the speed at which the device
multiplies large square matrices in this precision, and `of the ceiling` is the share of
it that the forward pass reaches. Rounds are interleaved; medians are shown.
"""

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rounds import medians, wall_seconds
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from oodbench import Need, Network, Shape, Split
from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.progress import silent
from oodbench.networks.architectures.small_resnet import SmallResNet
from oodbench.networks.architectures.wide_resnet import WideResNet
from oodbench.networks.precision import autocast, products
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector

CLASSES = 10
NETWORKS = {
    "resnet18": partial(SmallResNet, classes=CLASSES),
    "wrn28_10": partial(WideResNet, depth=28, width=10, classes=CLASSES),
}
TOYS = {
    "resnet18": partial(SmallResNet, classes=CLASSES, blocks=(1, 1)),
    "wrn28_10": partial(WideResNet, depth=10, width=1, classes=CLASSES),
}
FIRST = ["energy", "msp", "max_logit", "entropy", "gen", "doctor", "logit_margin"]
FIRST += ["knn", "mahalanobis", "react"]
"""The detectors that are measured with one and with ten."""
COUNTS = (1, 10, 50)
OWN_PASSES = Need.GRADIENT | Need.NETWORK | Need.BLOCKS | Need.MEMBERS
LEFT_OUT = ("temp_scaling",)
"""Random labels have no temperature."""


def fitted(network, known, batch_size):
    """Returns the detectors, none with passes of its own, fitted on some images."""
    names = registry.names("detectors")
    opened = {name: open_detector(name).detector for name in names}
    others = [
        name
        for name, one in opened.items()
        if not one.needs & OWN_PASSES
        and not lacks(network, one)
        and not one.control
        and name not in (*FIRST, *LEFT_OUT)
    ]
    chosen = {name: opened[name] for name in [*FIRST, *others][: COUNTS[-1]]}
    engine = Engine(network, chosen, batch_size)
    for stage in ("train", "val"):
        if faults := engine.fit(stage, known, tell=silent):
            sys.exit(f"Some detectors failed: {faults}")
    return chosen


def images(count):
    """Returns random images of 3x32x32 with random labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Split(pixels, rng.integers(0, CLASSES, count))


def bare(network, split, batch_size):
    """Returns a bare forward pass over images on the device."""
    pixels = torch.from_numpy(split.images).to(network.device).permute(0, 3, 1, 2)
    batches = [(batch.float() / 255 - 0.5) / 0.25 for batch in pixels.split(batch_size)]

    def run():
        device, precision = network.device, network.precision
        with torch.no_grad(), products(device, precision), autocast(device, precision):
            for batch in batches:
                network.module(batch)

    return run


def tried(run):
    """Returns the same pass with algorithms that cuDNN chooses by trial."""

    def tried_run():
        torch.backends.cudnn.benchmark = True
        run()
        torch.backends.cudnn.benchmark = False

    return tried_run


def shared(network, split, batch_size, detectors):
    """Returns the shared pass with some detectors."""
    engine = Engine(network, detectors, batch_size)

    def run():
        if faults := engine.score(split, has_labels=False, tell=silent).failures:
            sys.exit(f"Some detectors failed: {faults}")

    return run


def compiled(network, run):
    """Returns the same pass with stages of the network compiled."""

    def compiled_run():
        network.compiled = True
        try:
            run()
        finally:
            network.compiled = False

    return compiled_run


def ceiling(device, precision, side):
    """Returns the floating-point operations per second of a product of matrices."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one = torch.rand(side, side, device=device, dtype=dtype)
    with products(device, precision):
        times = [wall_seconds(lambda: one @ one, device) for _ in range(12)]
    return 2 * side**3 / statistics.median(times[2:])


def operations(network):
    """Returns the floating-point operations of a forward pass for one image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.module(torch.rand(1, *network.shape, device=network.device))
    return counter.get_total_flops()


def measured(network, detectors, options):
    """Returns the rows of one precision."""
    split = images(options.images)
    forward = bare(network, split, options.batch_size)
    runs = {"bare forward": forward, "bare forward, cudnn.benchmark": tried(forward)}
    for count in COUNTS:
        some = dict(list(detectors.items())[:count])
        label = f"shared pass, detectors: {count}"
        runs[label] = shared(network, split, options.batch_size, some)
        if count == len(FIRST):
            runs[f"{label}, compiled"] = compiled(network, runs[label])
    for name, run in dict(runs).items():
        try:
            run()
        except InputError as error:  # a machine may lack a C++ compiler
            print(f"Left out, {name}: {error}")
            del runs[name]
    times = medians(runs, options.rounds, partial(wall_seconds, device=network.device))
    speeds = {name: options.images / median for name, median in times.items()}
    top = ceiling(network.device, network.precision, options.side)
    reached = operations(network) / top
    return [
        {
            "precision": network.precision,
            "pass": name,
            "images/s": round(speed, 1),
            "of the bare one": round(speed / speeds["bare forward"], 3),
            "of the ceiling": round(speed * reached, 3),
            "ceiling, TFLOP/s": round(top / 1e12, 3),
        }
        for name, speed in speeds.items()
    ]


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--known", type=int, default=4096, help="images to fit on")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=8192, help="of the matrices")
    parser.add_argument("--toy", action="store_true", help="few images, small networks")
    parser.add_argument("--to", type=Path, help="JSON file for the numbers")
    options = parser.parse_args()
    made = NETWORKS[options.network]
    if options.toy:
        made = TOYS[options.network]
        options.images, options.known, options.batch_size = 32, 200, 16
        options.rounds, options.side = 1, 256
    torch.manual_seed(0)
    network = Network(made(), Shape(3, 32, 32), options.network, (0.5,), (0.25,))
    network.to(options.device)
    detectors = fitted(network, images(options.known), options.batch_size)
    rows = []
    for precision in ("fp32", "tf32", "bf16"):
        network.precision = precision
        rows += measured(network, detectors, options)
    if options.to:
        options.to.write_text(json.dumps(rows, indent=1) + "\n")
    print(
        f"{options.network}, {options.images} images in batches of "
        f"{options.batch_size}, medians of {options.rounds} rounds\n"
    )
    print(tabulate(rows, "keys", "pipe"))


if __name__ == "__main__":
    main()

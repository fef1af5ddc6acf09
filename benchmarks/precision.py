"""Measures the errors of float32 and bfloat16 against float64.

    python benchmarks/precision.py CHECKPOINT [--arch … --mean … --std …] \
        --in SET --out SET --images 1000

For every detector of the shared pass: the largest and the mean difference of its
scores, their rank correlation with those of float64, and the difference in AUROC.
"""

import argparse
import copy

import numpy as np
import torch
from scipy.stats import spearmanr
from tabulate import tabulate

from oodbench import Outputs, load_network
from oodbench.cli.options import numbers
from oodbench.data.feed import feed
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.metrics.ranking import auroc
from oodbench.scoring.batch import Batch, log_px
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

NAMES = ("msp", "max_logit", "energy", "entropy", "jem_grad_norm")


def exact(network, split):
    """Returns every detector's scores with the network in float64."""
    module = copy.deepcopy(network.module).double()
    mean, std = (
        torch.tensor(v).double().view(1, -1, 1, 1) for v in (network.mean, network.std)
    )
    spans = [(0, len(split.images))]
    (fed,) = feed(split.images, spans, network.shape, device=torch.device("cpu"))
    scores = {name: [] for name in NAMES}
    for pixels in fed.pixels.double().split(100):
        pixels.requires_grad_(True)
        logits = module((pixels - mean) / std)
        density = logits.logsumexp(1)
        (gradient,) = torch.autograd.grad(density.sum(), pixels)
        batch = Batch(
            pixels.detach(),
            logits.detach(),
            density.detach(),
            gradients={log_px: gradient},
        )
        for name in NAMES:
            detector = open_detector(name).detector
            scores[name].append(detector.score(Outputs(batch, detector)).numpy())
    return {name: np.concatenate(parts) for name, parts in scores.items()}


def scored(network, split, precision):
    """Returns every detector's scores by the engine."""
    network.precision = precision
    detectors = {name: open_detector(name).detector for name in NAMES}
    engine = Engine(network, detectors)
    return engine.score(split, has_labels=False, tell=lambda done: None).scores


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--arch")
    parser.add_argument("--mean")
    parser.add_argument("--std")
    parser.add_argument("--in", dest="inside", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    sets = [open_dataset(options.inside), open_dataset(options.out)]
    network = load_network(
        options.checkpoint,
        arch=options.arch,
        mean=numbers("--mean", options.mean),
        std=numbers("--std", options.std),
        shape=native_shape(sets[0]),
    )
    splits = [
        open_images(one, "test", network.shape, options.images).split for one in sets
    ]
    true = [exact(network, split) for split in splits]
    rows = []
    for precision in ("fp32", "bf16"):
        found = [scored(network, split, precision) for split in splits]
        for name in NAMES:
            one, other = (
                np.concatenate([part[name] for part in parts])
                for parts in (found, true)
            )
            areas = [auroc(parts[0][name], parts[1][name]) for parts in (found, true)]
            rows.append(
                [
                    precision,
                    name,
                    f"{np.abs(one - other).max():.1e}",
                    f"{np.abs(one - other).mean():.1e}",
                    f"{spearmanr(one, other).statistic:.6f}",
                    f"{100 * (areas[0] - areas[1]):+.4f}",
                ]
            )
    counts = [len(split.images) for split in splits]
    sets = f"{counts[0]} images of {options.inside}, {counts[1]} of {options.out}"
    print(f"{network.name}, {sets}\n")
    head = ["", "detector", "largest", "mean", "rank correlation", "AUROC, points"]
    print(tabulate(rows, head, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

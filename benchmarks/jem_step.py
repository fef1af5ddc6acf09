"""Times one iteration of JEM training and of the paper's code, in one run.

    git clone https://github.com/wgrathwohl/JEM reference
    python benchmarks/jem_step.py reference --depth 16 --width 2
    python benchmarks/jem_step.py reference --depth 28 --width 10 --fast   # on a GPU

An iteration is 20 SGLD steps from the replay buffer, the losses −log p(x) and
−log p(y|x) on batches of 64, their gradient, and Adam's update, on random images of
3x32x32. Rounds alternate; medians are shown. `--fast` gives oodbench bf16 and compiled
chains, which the paper's code does not have. The paper's code needs tqdm.
"""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from importlib import import_module

import torch
from rounds import medians, wall_seconds
from tabulate import tabulate
from torch.nn import functional as F

from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.architectures.jem_wrn import JEMWideResNet

IMAGES, CLASSES = 2048, 10


def reference(options, device, images, labels):
    """Returns one iteration of the loop in the paper's code."""
    sys.path.insert(0, options.reference)
    theirs = import_module("train_wrn_ebm")
    settings = Namespace(
        depth=options.depth, width=options.width, norm=None, dropout_rate=0.0,
        n_classes=CLASSES, uncond=False, buffer_size=10_000, load_path=None,
        reinit_freq=0.05, batch_size=options.batch, n_steps=20, sgld_lr=1.0,
        sgld_std=1e-2,
    )  # fmt: skip
    sample_q = theirs.get_sample_q(settings, device)
    network, buffer = theirs.get_model_and_buffer(settings, device, sample_q)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    places = iter(lambda: torch.randint(IMAGES, (options.batch,)), None)

    def iterate():
        data, labelled = images[next(places)].to(device), next(places)
        known, truth = images[labelled].to(device), labels[labelled].to(device)
        samples = sample_q(network, buffer)
        loss = -(network(data).mean() - network(samples).mean())
        loss = loss + F.cross_entropy(network.classify(known), truth)
        if loss.abs().item() > 1e8:
            raise RuntimeError("diverged")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return iterate


def ours(options, device, images, labels):
    """Returns one iteration of oodbench."""
    recipe = replace(
        PRESETS["jem-paper"],
        batch_size=options.batch,
        augment="none",  # the paper's loaders augment in other processes
        input_noise=0.0,
        precision="bf16" if options.fast else "fp32",
    )
    module = JEMWideResNet(depth=options.depth, width=options.width, classes=CLASSES)
    trainer = Trainer(
        module.to(device),
        images.to(device),
        labels.to(device),
        recipe,
        compiled=options.fast,
    )
    return trainer.step


def main():
    """Prints the table."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reference", help="a checkout of the paper's code")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--width", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    images = torch.rand(IMAGES, 3, 32, 32) * 2 - 1
    labels = torch.randint(CLASSES, (IMAGES,))
    sides = {
        "the paper's code": reference(options, device, images, labels),
        "oodbench": ours(options, device, images, labels),
    }
    for iterate in sides.values():  # caches, compilers, first allocations
        for _ in range(3 if device.type == "cuda" else 1):
            wall_seconds(iterate, device)
    times = medians(sides, options.rounds, partial(wall_seconds, device=device))
    base = times["the paper's code"]
    rows = [[name, f"{m:.3f}", f"{base / m:.2f}"] for name, m in times.items()]
    what = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"WRN-{options.depth}-{options.width}, batch {options.batch}, {what}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of "
        f"{options.rounds} rounds\n"
    )
    print(tabulate(rows, ["", "s per iteration", "times as fast"], "pipe"))


if __name__ == "__main__":
    main()

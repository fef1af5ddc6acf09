"""Runs ResNet-50 on 224x224 JPEGs in class folders: speed and memory of a whole run.

    python benchmarks/imagenet_shaped.py --images 2000

The images are generated, one class folder after another as in ImageNet, and the weights
of torchvision's ResNet-50 are random; its running statistics are those of some of the
images, since with those of a new network the activations grow from block to block. The
script prints the images per second, those per second of processor time (where other
work goes on beside) and the peak memory of the largest process of `oodbench run
--detectors msp,energy`, and of a program that only has an ImageFolder, a DataLoader and
the forward pass. Seconds include the start of each program.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from processes import measure
from torchvision.transforms import v2

PARTS, WEIGHTS = ("in", "out"), "resnet50.pt"
CLASSES = 1000
STATISTICS = 64
"""Images that the running statistics are computed on."""


def generate(folder, count, seed):
    """Writes JPEGs of coarse and fine noise, of about the size of photographs."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        part = folder / f"n{number * CLASSES // max(count, CLASSES):08}"
        part.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        pixels = np.array(coarse.resize((224, 224), Image.Resampling.BICUBIC))
        fine = rng.normal(0, 8, (224, 224, 1))
        pixels = np.uint8((pixels + fine).clip(0, 255))
        Image.fromarray(pixels).save(part / f"{number:06}.JPEG", quality=90)


def loader(folder, batch, workers):
    """Returns a loader of normalised images."""
    change = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    images = torchvision.datasets.ImageFolder(folder, change)
    return torch.utils.data.DataLoader(images, batch, num_workers=workers)


def save_weights(file, folder):
    """Saves random weights with the running statistics of images."""
    torch.manual_seed(0)
    net = torchvision.models.resnet50()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        net(next(iter(loader(folder, STATISTICS, 0)))[0])
    torch.save(net.state_dict(), file)


@torch.no_grad()
def bare(root, batch, workers):
    """Runs the network on all images."""
    net = torchvision.models.resnet50().eval()
    net.load_state_dict(torch.load(root / WEIGHTS, weights_only=True))
    for part in PARTS:
        for pixels, _ in loader(root / part, batch, workers):
            net(pixels)


def prepare(root, count):
    """Writes the images and the weights."""
    for seed, part in enumerate(PARTS):
        generate(root / part, count // len(PARTS), seed)
    save_weights(root / WEIGHTS, root / PARTS[0])


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    for step in ("--prepare", "--bare"):
        parser.add_argument(step, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare, options.images)
    elif options.bare:
        bare(options.bare, options.batch_size, options.workers)
    else:
        compare(options)


def compare(options):
    """Prints the figures of both programs."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        # In a process of its own: a child's peak memory is never below its parent's.
        script = [sys.executable, __file__, f"--images={options.images}"]
        measure([*script, "--prepare", root])
        common = [
            f"--batch-size={options.batch_size}",
            f"--workers={options.workers}",
        ]
        ours = [
            *("oodbench", "run", "--quiet", "--no-plots", "--detectors=msp,energy"),
            *("--model", root / WEIGHTS, "--in", f"folder:{root / PARTS[0]}"),
            *("--out", f"far=folder:{root / PARTS[1]}", "--results", root / "runs"),
        ]
        programs = {
            "oodbench run": ours,
            "bare DataLoader and forward": [*script, "--bare", root],
        }
        print(f"{options.images} JPEGs of 224x224", *common, flush=True)
        for title, command in programs.items():
            seconds, busy, megabytes = measure([*command, *common])
            print(
                f"{title}: {options.images / seconds:.2f} images/s, "
                f"{options.images / busy:.2f} a processor second, {megabytes:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()

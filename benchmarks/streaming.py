"""Streams a folder of many small JPEGs through the engine and through a bare loop.

    python benchmarks/streaming.py --images 200000 --workers 2

The bare loop is a DataLoader over the same files with the same workers and a forward
pass of the same network. The script prints the images per second of both, their ratio,
the peak memory of this process beyond that with the network loaded, and the images per
second of a whole `oodbench run` on the folder.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from oodbench import Network
from oodbench.data.image_files import ImageFiles
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset
from oodbench.runs import run
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

BATCH = 256


class Bare(torch.utils.data.Dataset):
    """Reads files as tensors, in the simplest way."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def generate(folder, count):
    """Writes small JPEGs of smooth noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        part = folder / f"{number // 1000:03}"
        part.mkdir(exist_ok=True)
        image.resize((32, 32)).save(part / f"{number:06}.jpg", quality=75)


def network():
    """Returns a small convolutional network."""
    torch.manual_seed(0)
    layers = [
        torch.nn.Conv2d(3, 16, 3, 2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, 2),
    ]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 10)]
    return Network(torch.nn.Sequential(*layers, torch.nn.ReLU(), *head), (3, 32, 32))


def peak():
    """Returns the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bare_loop(net, paths, workers):
    """Returns the seconds of a DataLoader and a forward pass."""
    began = time.perf_counter()
    loader = torch.utils.data.DataLoader(Bare(paths), BATCH, num_workers=workers)
    with torch.no_grad():
        for pixels in loader:
            net.module(pixels)
    return time.perf_counter() - began


def engine_pass(net, sample, workers):
    """Returns the seconds of the shared pass with four detectors."""
    names = ("msp", "energy", "max_logit", "entropy")
    detectors = {name: open_detector(name).detector for name in names}
    engine = Engine(net, detectors, BATCH, workers)
    began = time.perf_counter()
    engine.score(sample.split, has_labels=False, tell=lambda done: None)
    return time.perf_counter() - began


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, options.images)
        net = network()
        base = peak()
        sample = open_images(open_dataset(f"folder:{folder}"), "test", net.shape)
        paths = next(
            images.paths
            for images in (
                sample.split.images,
                getattr(sample.split.images, "images", None),
            )
            if isinstance(images, ImageFiles)
        )
        ours = engine_pass(net, sample, options.workers)
        used = peak() - base
        bare = bare_loop(net, paths, options.workers)
        print(f"{options.images} JPEGs of 32x32, {options.workers} workers")
        print(f"oodbench, four detectors: {options.images / ours:.0f} images/s")
        print(f"bare DataLoader and forward: {options.images / bare:.0f} images/s")
        print(f"ratio {bare / ours:.2f}; peak memory {used:.0f} MB beyond the network")
        began = time.perf_counter()
        run.run(
            [net], "digits", [f"far=folder:{folder}"], detectors=["msp", "energy"],
            workers=options.workers, device="cpu", results=folder / "runs",
        )  # fmt: skip
        took = time.perf_counter() - began
        print(f"a whole run: {options.images / took:.0f} images/s")


if __name__ == "__main__":
    main()

"""Times a first `oodbench run`, and one with nothing to do, against `import torch`.

    python benchmarks/start.py --rounds 3
    python benchmarks/start.py --rounds 1 --images 2000000

With `--images` it also times a run with nothing to do on so many stored images of 16×16
in an `.npz` file. Each run is a process of its own. Times are seconds of the processor
of that process, medians of interleaved rounds.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

SIDE = 16
NETWORK = """
import torch

def network():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))
"""


def cost(*arguments):
    """Returns the processor seconds of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(*options):
    """Returns the processor seconds of `oodbench run`."""
    return cost("-m", "oodbench", "run", "-q", *options)


def many_images(folder, count):
    """Returns the options of a run on many images, which a first run has scored."""
    rng = np.random.default_rng(0)
    for name, images in {"in": 1000, "out": count}.items():
        shape = (images, SIDE, SIDE, 1)
        labels = rng.integers(0, 10, images)
        pixels = rng.integers(0, 256, shape, np.uint8)
        np.savez(folder / f"{name}.npz", images=pixels, labels=labels)
    (folder / "network.py").write_text(NETWORK)
    weights = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))
    torch.save(weights.state_dict(), folder / "network.pt")
    options = ["--model", folder / "network.pt", "--in", f"npz:{folder / 'in.npz'}"]
    options += ["--arch", f"{folder / 'network.py'}:network", "--no-plots"]
    options += ["--out", f"far=npz:{folder / 'out.npz'}", "--detectors", "msp"]
    options += ["--results", folder / "many"]
    return list(map(str, options))


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=0)
    options = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.images:
            many = many_images(folder, options.images)
            seconds[f"first run on {options.images} images"] = [run(*many)]
        for number in range(options.rounds):
            where = ("--results", str(folder / f"{number}" / "runs"))
            taken = {
                "floor: import torch": cost("-c", "import torch"),
                "first run, with pictures": run(*where),
                "again, nothing to do": run(*where),
                "again, without pictures": run("--no-plots", *where),
            }
            if options.images:
                taken[f"again on {options.images} images"] = run(*many)
            for each, found in taken.items():
                seconds.setdefault(each, []).append(found)
    medians = {each: statistics.median(found) for each, found in seconds.items()}
    floor = medians["floor: import torch"]
    rows = [[each, f"{t:.2f}", f"{t / floor:.2f}"] for each, t in medians.items()]
    print(tabulate(rows, ["", "s", "over import torch"], "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

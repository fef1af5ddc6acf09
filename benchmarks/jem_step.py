"""Times a training iteration of each recipe, and of its authors' code, in one run.

    git clone https://github.com/wgrathwohl/JEM reference
    python benchmarks/jem_step.py jem-paper reference --depth 16 --width 2
    python benchmarks/jem_step.py jem++                      # oodbench alone
    python benchmarks/jem_step.py jem-paper reference --depth 28 --width 10 --fast

An iteration is that of the recipe, in batches of 64, on random images of 3x32x32: SGLD
steps from the replay buffer, the losses, their gradient, the optimiser's update and the
averages of the weights, without augmentation and noise on images. `author_steps.py`
names the repositories. Rounds alternate; medians are shown, on a CPU in seconds of the
processor. `--fast` gives oodbench bf16 and compiled chains, for a GPU.
"""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from author_steps import CLASSES, STEPS, Iterate, Problem, author_steps
from rounds import cpu_seconds, medians, wall_seconds
from tabulate import tabulate

from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.trainer import Trainer

IMAGES = 2048


def ours(problem: Problem, options: Namespace) -> Iterate:
    """Returns one iteration of oodbench."""
    precision = "bf16" if options.fast else "fp32"
    trainer = Trainer(
        problem.network(),
        problem.images,
        problem.labels,
        replace(problem.recipe, precision=precision),
        compiled=options.fast,
    )
    return trainer.step


def posed(options: Namespace, device: torch.device) -> Problem:
    """Returns random images, and the recipe to train on them by."""
    preset = PRESETS[options.recipe]
    recipe = replace(
        preset,
        batch_size=options.batch,
        augment="none",  # the authors' loaders augment in other processes
        input_noise=0.0,
    )
    return Problem(
        recipe,
        options.depth,
        options.width,
        "batch" if preset.start == "gaussians" else "none",
        (torch.rand(IMAGES, 3, 32, 32) * 2 - 1).to(device),
        (torch.arange(IMAGES) % CLASSES).to(device),
    )


def main() -> None:
    """Prints the table."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", choices=PRESETS)
    parser.add_argument(
        "checkout", type=Path, nargs="?", help="the folder of its authors' code"
    )
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--width", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    if options.checkout and options.recipe not in STEPS:
        parser.error(f"there is no authors' code for {options.recipe}")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    problem = posed(options, device)
    sides: dict[str, Iterate] = {}
    if options.checkout:
        sides |= author_steps(options.recipe, options.checkout, problem)
    sides["oodbench"] = ours(problem, options)
    for iterate in sides.values():  # caches, compilers, first allocations
        for _ in range(3 if device.type == "cuda" else 1):
            iterate()
    on_gpu = device.type == "cuda"
    seconds = partial(wall_seconds, device=device) if on_gpu else cpu_seconds
    times = medians(sides, options.rounds, seconds)
    base = next(iter(times.values()))
    rows = [
        [name, f"{m:.3f}", f"{1 / m:.3g}", f"{base / m:.2f}"]
        for name, m in times.items()
    ]
    what = torch.cuda.get_device_name() if on_gpu else "CPU"
    print(
        f"{options.recipe}, WRN-{options.depth}-{options.width}, batch "
        f"{options.batch}, {what}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, medians of {options.rounds} rounds\n"
    )
    head = ["", "s an iteration", "iterations a second", "times as fast"]
    print(tabulate(rows, head, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

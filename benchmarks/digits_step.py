"""Times a JEM iteration on the digits against the same loop written by hand.

    python benchmarks/digits_step.py --rounds 9

The network is so small that calls take much of the time. Both sides train the bundled
JEM's network by the recipe `jem`: 20 SGLD steps from the replay buffer, the losses,
Adam's update, averaged weights. The loops by hand check nothing, report nothing and
draw places in the buffer with replacement. Times are milliseconds of the processor, on
one thread, medians of interleaved rounds of 50 iterations.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace

import torch
from rounds import medians
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.jem.training.images import Labelled, gather
from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.build import build

ITERATIONS = 50
RECIPE = PRESETS["jem"]

Slope = Callable[[Tensor], Tensor]
"""Maps states to ∇ log p(x)."""


def network() -> nn.Module:
    """Returns the untrained network of the digits."""
    material = gather("digits:0-7")
    return build("mlp", {}, material.shape, material.classes, 0).module


def by_autograd(module: nn.Module) -> Slope:
    """Returns the gradient by `torch.autograd.grad`."""

    def slope(states: Tensor) -> Tensor:
        states = states.detach().requires_grad_(True)
        return torch.autograd.grad(module(states).logsumexp(1).sum(), states)[0]

    return slope


def by_func(module: nn.Module) -> Slope:
    """Returns the gradient by `torch.func.grad`."""
    return torch.func.grad(lambda states: module(states).logsumexp(1).sum())


def by_compiler(module: nn.Module) -> Slope:
    """Returns the gradient in one graph of `torch.compile`."""
    return torch.compile(by_func(module), fullgraph=True)


def by_hand(data: Labelled, made: Callable[[nn.Module], Slope]) -> Callable[[], None]:
    """Returns an iteration of the loop that is written by hand."""
    module, size = network(), RECIPE.batch_size
    slope, weights = made(module), list(module.parameters())
    average = [one.detach().clone() for one in weights]
    optimiser = torch.optim.Adam(weights, lr=RECIPE.learning_rate)
    buffer = torch.rand(RECIPE.buffer_size, *data.images.shape[1:]) * 2 - 1

    def batch() -> tuple[Tensor, Tensor]:
        places = torch.randint(len(data.images), (size,))
        images = data.images[places]
        noise = RECIPE.input_noise * torch.randn_like(images)
        return images + noise, data.labels[places]

    def samples() -> Tensor:
        places = torch.randint(len(buffer), (size,))
        anew = (torch.rand(size) < RECIPE.reinit).view(-1, 1, 1, 1)
        fresh = torch.rand(size, *buffer.shape[1:]) * 2 - 1
        states = torch.where(anew, fresh, buffer[places])
        for _ in range(RECIPE.sgld_steps):
            states = states + RECIPE.sgld_step_size * slope(states)
            states = states + RECIPE.sgld_noise * torch.randn_like(states)
        buffer[places] = states
        return states

    def iterate() -> None:
        for weight in weights:
            weight.requires_grad_(False)
        states = samples()
        for weight in weights:
            weight.requires_grad_(True)
        (known, labels), (others, _) = batch(), batch()
        loss = F.cross_entropy(module(known), labels)
        gap = module(others).logsumexp(1).mean() - module(states).logsumexp(1).mean()
        optimiser.zero_grad()
        (loss - gap).backward()
        optimiser.step()
        torch._foreach_lerp_(average, [one.detach() for one in weights], 0.01)

    return iterate


def ours(data: Labelled, *, compiled: bool) -> Callable[[], object]:
    """Returns an iteration of oodbench."""
    recipe = replace(RECIPE, precision="fp32")
    return Trainer(network(), data.images, data.labels, recipe, compiled=compiled).step


def main() -> None:
    """Prints the table."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = gather("digits:0-7").train
    sides = {
        "by hand": by_hand(data, by_autograd),
        "by hand, torch.func.grad": by_hand(data, by_func),
        "by hand, torch.compile": by_hand(data, by_compiler),
        "oodbench": ours(data, compiled=False),
        "oodbench, --compile": ours(data, compiled=True),
    }

    def repeated(iterate: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(ITERATIONS):
                iterate()

        return run

    runs = {name: repeated(iterate) for name, iterate in sides.items()}
    for run in runs.values():  # compilers, first allocations
        run()
    times = medians(runs, options.rounds)
    base = times["by hand"]
    rows = [
        [name, f"{1000 * taken / ITERATIONS:.2f}", f"{taken / base:.2f}"]
        for name, taken in times.items()
    ]
    print(f"torch {torch.__version__}, medians of {options.rounds} rounds\n")
    head = ["", "ms an iteration", "of by hand"]
    print(tabulate(rows, head, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()

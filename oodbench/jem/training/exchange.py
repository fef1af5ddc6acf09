"""Averages gradients over processes while the backward pass goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.processes import Processes

BUCKET = 2**22
"""Weights from which on a bucket is full."""


@contextmanager
def averaged_gradients(module: nn.Module, processes: Processes) -> Iterator[None]:
    """Gives weights their mean gradient, for one backward pass in this context.

    The last layers, whose gradients are first, are sent while others are computed. All
    processes send the same weights in the same order.

    Raises:
        InputError: A weight gets its gradient in several pieces.
    """
    if processes.count == 1:
        yield
        return
    weights = [one for one in module.parameters() if one.requires_grad]
    parts = buckets(reversed(weights))
    missing = [len(part) for part in parts]
    numbers = {one: number for number, part in enumerate(parts) for one in part}
    ends: list[Callable[[], None]] = []

    def send() -> None:
        found = [one.grad for one in parts[len(ends)] if one.grad is not None]
        ends.append(processes.begin_average(found))

    def receive(weight: Tensor) -> None:
        if (number := numbers.pop(weight, None)) is None:
            raise InputError(
                "A weight of this network gets its gradient in several pieces, as with "
                "reentrant checkpointing; switch that off, or train in one process."
            )
        missing[number] -= 1
        while len(ends) < len(parts) and not missing[len(ends)]:
            send()

    hooks = [one.register_post_accumulate_grad_hook(receive) for one in weights]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    while len(ends) < len(parts):  # with weights that got no gradient
        send()
    for end in ends:
        end()


def buckets(weights: Iterable[Tensor]) -> list[list[Tensor]]:
    """Returns weights in order, in groups of at least `BUCKET` values but the last."""
    found: list[list[Tensor]] = [[]]
    size = 0
    for weight in weights:
        if size >= BUCKET:
            found.append([])
            size = 0
        found[-1].append(weight)
        size += weight.numel()
    return found

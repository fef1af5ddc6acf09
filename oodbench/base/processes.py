"""Shares a run among the processes that torchrun starts, and keeps them alive."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long processes wait for each other: the first one may fit detectors for hours.
When one has died, torchrun ends them all."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that share the work and the files."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes results and messages."""
        return self.rank == 0

    def share(self, work: Sequence[T]) -> list[T]:
        """Returns this process's share: every `count`-th piece."""
        return list(work[self.rank :: self.count])

    def agree(self, decision: T) -> T:
        """Returns the first process's decision, whatever this one's is."""
        if self.count == 1:
            return decision
        decisions = [decision]
        distributed.broadcast_object_list(decisions)
        return decisions[0]

    def gather(self, value: T) -> list[T]:
        """Returns the values of all processes, in the order of their ranks."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    @torch.no_grad()
    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Gives all processes the first one's values."""
        for tensor in tensors if self.count > 1 else ():
            dense = tensor.detach().clone(memory_format=torch.contiguous_format)
            distributed.broadcast(dense, 0)
            tensor.copy_(dense)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors by their means over all processes, in one exchange."""
        self.begin_average(tensors)()

    def begin_average(self, tensors: Sequence[Tensor]) -> Callable[[], None]:
        """Sends tensors, and returns what replaces them by their means at its end."""
        if self.count == 1 or not tensors:
            return lambda: None
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        sent = distributed.all_reduce(flat, async_op=True)

        def end() -> None:
            sent.wait()
            means = flat.div_(self.count).split([one.numel() for one in tensors])
            for tensor, mean in zip(tensors, means, strict=True):
                tensor.copy_(mean.view_as(tensor))

        return end

    def wait(self) -> None:
        """Waits until all processes have called this."""
        if self.count > 1:
            distributed.barrier()


ALONE = Processes()


def is_first_process() -> bool:
    """Returns whether this process is the one that writes messages."""
    return os.environ.get("RANK", "0") == "0"


def join(device: torch.device) -> tuple[Processes, torch.device]:
    """Joins the processes of `torchrun`, if it started this one.

    Returns:
        The place among them, and the device of this process, each its own GPU.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
        # Its threads would abort the process if they outlived the interpreter.
        atexit.register(distributed.destroy_process_group)
    return Processes(distributed.get_rank(), count), device


@contextmanager
def exits_raise() -> Iterator[None]:
    """Makes `os._exit` raise SystemExit, so that other code cannot end a run unseen."""
    own, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != own:  # a child process may end itself
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave

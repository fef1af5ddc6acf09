"""Work over many images, in batches that fit in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from oodbench.base.errors import InputError, reason
from oodbench.data.feed import Span
from oodbench.networks.hardware import is_out_of_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")


def cut(start: int, stop: int, size: int) -> Iterator[Span]:
    """Yields the spans of `size` images that begin at `start`; the last is shorter."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def frees_nothing() -> bool:
    """Returns False: there is nothing to free."""
    return False


@dataclass
class Batches:
    """Runs work in batches; halves them whenever memory runs out, and remembers that.

    Everything in oodbench that runs a network over many images follows this policy.
    """

    size: int
    """Images at once, as far as they are known to fit."""
    free: Callable[[], bool] = frees_nothing
    """Frees memory that is used for something else; returns whether there was any."""
    where: str = ""
    """Where memory runs out, for messages: ` in energy`, say."""

    def run(self, work: Callable[[int, int], T], count: int) -> list[T]:
        """Returns what the work gives for each batch, in order.

        Args:
            work: Receives the first image and the one after the last. It is called
                again for fewer images where memory ran out.
            count: How many images there are.

        Raises:
            InputError: Not even one image fits.
        """
        found: list[T] = []
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            try:
                found.append(work(start, stop))
                start = stop
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                why = reason(error)
            # Outside the handler, which keeps what was allocated alive.
            self._make_room(stop - start, why)
        return found

    def _make_room(self, images: int, why: str) -> None:
        if not self.free():
            if images == 1:
                raise InputError(
                    f"Out of memory{self.where} with one image at a time ({why}); "
                    "free memory, or use another --device."
                )
            self.size = images // 2
            logger.warning(
                "Out of memory%s; going on with batches of %d.", self.where, self.size
            )
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

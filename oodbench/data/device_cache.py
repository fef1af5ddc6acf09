"""Keeps batches on the device, so that several networks share one reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import torch

from oodbench.data.feed import Fed, Span

ON_HOST = 2**29
"""Bytes, at most, where batches stay in the host's memory."""


@dataclass
class Resident:
    """Batches that stay on the network's device, as many as fit in a budget.

    The first batches are kept, not the latest: sets are read from end to end again and
    again, and room for the newest batch would cost the one that is needed next.
    """

    budget: int | None = None
    """Bytes. None is half of the GPU memory that is free when the first batch comes,
    and `ON_HOST` on other devices."""
    size: int = field(init=False, default=0)
    """Bytes that are kept."""
    _held: dict[Hashable, Fed] = field(init=False, repr=False, default_factory=dict)

    def give_up(self) -> None:
        """Frees all batches, and keeps none from then on."""
        self._held.clear()
        self.budget = self.size = 0

    def batches(
        self,
        key: Hashable,
        spans: Sequence[Span],
        read: Callable[[Sequence[Span]], Iterator[Fed]],
    ) -> Iterator[Fed]:
        """Yields the batch of every span; it must not be written into.

        Args:
            key: Equal for equal batches of equal spans; None keeps nothing.
            spans: Which images, one batch per span.
            read: Yields the batches of spans that are not kept.
        """
        left = deque(spans)
        while left:
            # Looked up only now, since it can be given up before.
            if (held := self._held.get((key, left[0]))) is not None:
                left.popleft()
                yield held
                continue
            unread = list(takewhile(lambda span: (key, span) not in self._held, left))
            for span, fed in zip(unread, read(unread), strict=True):
                left.popleft()
                self._keep(key, span, fed)
                yield fed

    def _keep(self, key: Hashable, span: Span, fed: Fed) -> None:
        if key is None:
            return
        pixels = fed.pixels
        if self.budget is None:
            self.budget = _affordable(pixels.device)
        if self.size + pixels.nbytes > self.budget:
            return
        if pixels.is_cpu and pixels.is_shared():
            # Workers hand over shared memory, of which a system has little.
            pixels = pixels.clone()
        self._held[key, span] = fed._replace(pixels=pixels)
        self.size += pixels.nbytes


def _affordable(device: torch.device) -> int:
    if device.type != "cuda":
        return ON_HOST
    free, _ = torch.cuda.mem_get_info(device)
    return free // 2

"""Reads batches of images ahead of the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from oodbench.base.errors import InputError, reason
from oodbench.data.adapt import adapt, levels_of, unit_pixels
from oodbench.data.dataset import Chunk, Images, Shape, chunks, digests_of
from oodbench.data.input_noise import InputNoise

Span = tuple[int, int]
"""First image, and the one after the last."""


class Fed(NamedTuple):
    """One batch."""

    pixels: Tensor
    """`[N, *shape]` in [0, 1]; on the way to a GPU also uint8, from 0 to 255."""
    digests: NDArray[np.uint64]
    """`[N]`, of the images before adaptation; empty without `digested`."""


def feed(
    images: Images,
    spans: Sequence[Span],
    shape: Shape,
    *,
    device: torch.device,
    workers: int = 0,
    digested: bool = False,
    noise: InputNoise | None = None,
) -> Iterator[Fed]:
    """Yields the images of each span, their pixels on a device.

    A GPU receives the bytes of images that need no adaptation, and each batch while the
    one before it is used. The pixels have the same bits on every device.

    Args:
        images: Of a data set; only some batches are in memory at a time.
        spans: Which images, one batch per span.
        shape: Of the images that the network takes.
        device: Where the pixels go.
        workers: Processes that read ahead; with 0, each batch is read when it is taken.
        digested: Whether to hash every image.
        noise: Is added to the pixels, which then may leave [0, 1].
    """
    in_bytes = device.type != "cpu" and noise is None
    items = _Batches(images, spans, shape, digested, noise, in_bytes)
    batches = _read(_source(items, min(workers, len(spans)), device))
    for fed in _ahead(batches, device) if device.type == "cuda" else batches:
        yield Fed(unit_pixels(fed.pixels.to(device)), fed.digests)


def _source(
    items: _Batches, workers: int, device: torch.device
) -> Iterable[Fed | InputError]:
    """Returns all batches, which may be read in processes and in pinned memory."""
    if not workers and device.type == "cpu":
        # In this process a loader would only add to the time of small batches.
        return map(items.__getitem__, range(len(items)))
    return DataLoader(
        items,
        batch_size=None,
        collate_fn=_unchanged,  # the usual one makes tensors of arrays
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # else it draws from the global random numbers
    )


def _ahead(batches: Iterator[Fed], device: torch.device) -> Iterator[Fed]:
    """Yields batches on a GPU; each is copied while the one before it is used."""
    stream = torch.cuda.Stream(device)
    waiting: tuple[Fed, torch.cuda.Event] | None = None
    for fed in batches:
        with torch.cuda.stream(stream):
            pixels = fed.pixels.to(device, non_blocking=True)
        copied = stream.record_event()
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = Fed(pixels, fed.digests), copied
    if waiting is not None:
        yield _arrived(*waiting)


def _arrived(fed: Fed, copied: torch.cuda.Event) -> Fed:
    current = torch.cuda.current_stream(fed.pixels.device)
    current.wait_event(copied)
    fed.pixels.record_stream(current)  # else its memory could be given away in use
    return fed


def _read(loader: Iterable[Fed | InputError]) -> Iterator[Fed]:
    try:
        for fed in loader:
            if isinstance(fed, InputError):
                raise fed
            yield fed
    except RuntimeError as error:
        # torch has no type of its own for a worker that was killed.
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"A process that reads images ahead has died ({reason(error)}). Often "
            "memory has run out; give fewer --workers, or --workers 0."
        ) from error


def _unchanged(item: Any) -> Any:
    return item


@dataclass(frozen=True)
class _Batches(Dataset[Fed | InputError]):
    images: Images
    spans: Sequence[Span]
    shape: Shape
    digested: bool
    noise: InputNoise | None
    in_bytes: bool
    """Whether images that need no adaptation stay bytes."""

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Fed | InputError:
        parts: list[Tensor] = []
        digests = [np.empty(0, np.uint64)]
        try:
            for few in chunks(self.images, *self.spans[index]):
                parts.append(self._pixels(few))
                digests += [digests_of(few)] if self.digested else []
        except InputError as error:
            # Raised in a worker, it would arrive with a traceback for a message.
            return error
        if any(part.dtype != torch.uint8 for part in parts):
            parts = [unit_pixels(part) for part in parts]
        pixels = torch.cat(parts) if len(parts) > 1 else parts[0]
        if self.noise is not None:
            pixels = self.noise.add(pixels, self.spans[index][0])
        # Convolutions are up to twice as fast in this order.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return Fed(pixels, np.concatenate(digests))

    def _pixels(self, few: Chunk) -> Tensor:
        levels = levels_of(few, self.shape) if self.in_bytes else None
        return adapt(few, self.shape) if levels is None else levels

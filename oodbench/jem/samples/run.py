"""Draws samples from a model, sets them beside its training set, and writes them down.

samples.png, samples.npz   the images; the latter with classes, for `npz:PATH`
chain.png                  some chains on their way
nearest.png                samples beside their nearest training images
samples.json               how they were made, and what they are like
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.files import Record, json_bytes, npz_bytes, write_atomically
from oodbench.base.progress import Watch, unwatched
from oodbench.base.text import short_name
from oodbench.data.image_png import to_bytes
from oodbench.data.spec import open_dataset
from oodbench.jem.sampler import SGLD
from oodbench.jem.samples import record as sample_record
from oodbench.jem.samples.draw import Drawn, pick, read_buffer, sample
from oodbench.jem.samples.fid import FID
from oodbench.jem.samples.neighbours import Nearest, compare, draw_training
from oodbench.jem.samples.pictures import film_png, nearest_png, samples_png
from oodbench.networks.hardware import first_batch_size, fitting_threads
from oodbench.networks.network import Network
from oodbench.scoring import provenance


@dataclass(frozen=True)
class Request:
    """What to draw, and what to set it beside."""

    count: int = 64
    sampler: SGLD = field(default_factory=lambda: SGLD(steps=400))
    seed: int = 0
    classes: Sequence[int] = ()
    """Chains climb log p(x|y) of these in turn; none for log p(x)."""
    buffer: Path | None = None
    """A JEM's checkpoint in whose replay buffer the chains begin; None for noise."""
    beside: str | None = None
    """The training set, such as `digits:0-7`."""
    fid: str | None = None
    """The set to measure the Fréchet Inception distance from."""
    fid_weights: Path | None = None
    """A file of the Inception network's weights."""
    batch_size: int | None = None
    """Images at once; by default some that mostly fit in memory."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Samples with what is known of them."""

    drawn: Drawn
    images: NDArray[np.uint8]
    """`[N, H, W, C]`, the states cut to pixels in [0, 1], in 8 bits."""
    labels: NDArray[np.int64]
    """`[N]`, the class that each was drawn from or, of p(x), that is predicted."""
    nearest: Nearest | None
    """Their nearest training images, where a training set was named."""
    record: Record

    def write(self, folder: Path) -> None:
        """Writes files into a folder, the record last.

        Raises:
            InputError: The folder cannot be written to.
        """
        write_atomically(folder / "samples.npz", self._npz())
        for name, content in self._pictures().items():
            write_atomically(folder / name, content)
        if self.nearest is None:
            # One of earlier samples would stand beside these.
            (folder / "nearest.png").unlink(missing_ok=True)
        write_atomically(folder / "samples.json", json_bytes(self.record))

    def _npz(self) -> bytes:
        arrays: dict[str, NDArray[Any]] = {"images": self.images, "labels": self.labels}
        if self.nearest is not None:
            arrays["distances"] = self.nearest.distances.numpy()
            arrays["nearest"] = self.nearest.places.numpy()
        return npz_bytes(arrays)

    def _pictures(self) -> dict[str, bytes]:
        pixels = _pixels(self.images)
        pictures = {
            "samples.png": samples_png(pixels, self.drawn.labels),
            "chain.png": film_png(self.drawn.film),
        }
        if self.nearest is not None:
            title = _title(self.record["beside"])
            pictures["nearest.png"] = nearest_png(pixels, self.nearest, title)
        return pictures


def draw_samples(
    network: Network, request: Request, *, watch: Watch = unwatched
) -> Sampling:
    """Draws samples and measures them.

    Args:
        network: On its device.
        request: What to draw.
        watch: Is told of the progress.

    Raises:
        InputError: The request cannot be met by this network, these sets or this
            machine.
    """
    started = time.monotonic()
    size = request.batch_size or first_batch_size(network.shape, network.device)
    # Before the chains run: a misspelt name must not cost their time.
    beside, real = (
        None if spec is None else draw_training(open_dataset(spec), network.shape)
        for spec in (request.beside, request.fid)
    )
    distance = None if real is None else FID(request.fid_weights)
    with fitting_threads(network):
        drawn = _run_chains(network, request, size, watch)
        images = to_bytes((drawn.states + 1) / 2)
        seen = sample_record.see(network, images, size)
        states = sample_record.of_states(network, drawn.states, size)
    record: Record = {
        "model": provenance.of_model(network, network.fingerprint()),
        "chains": _chains(request),
        "states": states,
        "images": sample_record.of_images(seen, drawn.labels),
    }
    nearest = None
    if beside is not None:
        found = compare(_pixels(images), beside, watch=watch)
        nearest = found.nearest
        record["beside"] = sample_record.of_comparison(network, found, size)
    if distance is not None and real is not None:
        record["fid"] = distance.measure(images, real, network.device)
    record["run"] = provenance.of_run(network, size, time.monotonic() - started)
    labels = seen.predictions if drawn.labels is None else drawn.labels
    return Sampling(drawn, images, labels.numpy(), nearest, record)


def _run_chains(
    network: Network, request: Request, batch_size: int, watch: Watch
) -> Drawn:
    starts = None
    if request.buffer is not None:
        buffer = read_buffer(request.buffer, network)
        starts = pick(buffer, request.count, request.seed)
    return sample(
        network,
        request.sampler,
        request.count,
        seed=request.seed,
        classes=request.classes,
        starts=starts,
        batch_size=batch_size,
        tell=watch("SGLD steps", request.count * request.sampler.steps),
    )


def _chains(request: Request) -> Record:
    buffer = request.buffer
    return {
        "count": request.count,
        "seed": request.seed,
        "classes": list(request.classes),
        "start": "noise" if buffer is None else f"replay buffer of {buffer.name}",
        "sampler": sample_record.of_sampler(request.sampler),
    }


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _title(beside: Record) -> str:
    """Returns what stands above samples beside their nearest training images."""
    text = f"Samples beside their nearest images of {short_name(beside['set']['name'])}"
    text += f" ({beside['set']['split']}), and the distance"
    if beside["held_out"] is None:
        return text
    yardstick = beside["held_out"]["distances"]
    return (
        f"{text}; for test images it is {yardstick['least']:.2f} at least, "
        f"{yardstick['median']:.2f} in the median"
    )

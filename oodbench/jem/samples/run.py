"""Draws samples from a model, compares them with its training set, and writes both.

samples.png, samples.npz   the images; the latter with classes, for `npz:PATH`
chain.png                  some chains at some of their steps
nearest.png                samples with their nearest training images
samples.json               how the samples were made, and numbers about them
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base import registry
from oodbench.base.defaults import SAMPLES
from oodbench.base.errors import InputError
from oodbench.base.files import (
    Record,
    folder_name,
    json_bytes,
    npz_bytes,
    write_atomically,
)
from oodbench.base.progress import Watch, unwatched
from oodbench.base.text import short_name
from oodbench.data.adapt import to_bytes
from oodbench.data.dataset import Dataset, parse_classes
from oodbench.data.image_set import ImageSet, native_shape
from oodbench.data.spec import open_dataset
from oodbench.jem.energy import to_pixels
from oodbench.jem.sampler import SGLD
from oodbench.jem.samples import record as sample_record
from oodbench.jem.samples.draw import Samples, draw_samples, pick, read_buffer
from oodbench.jem.samples.fid import FID
from oodbench.jem.samples.neighbours import Nearest, compare, open_training
from oodbench.jem.samples.pictures import film_png, nearest_png, samples_png
from oodbench.networks.hardware import first_batch_size, fitting_threads, pick_device
from oodbench.networks.load import as_network
from oodbench.networks.network import Network
from oodbench.scoring import provenance
from oodbench.scoring.batches import Batches


@dataclass(frozen=True, eq=False, repr=False)
class Sampling:
    """Samples of a model, with measurements."""

    samples: Samples
    images: NDArray[np.uint8]
    """`[N, H, W, C]`, the states clamped to pixels in [0, 1], in 8 bits."""
    labels: NDArray[np.int64]
    """`[N]`, the class that each was drawn from; for p(x), the predicted class."""
    nearest: Nearest | None
    """Their nearest training images, if a training set was given."""
    record: Record
    folder: Path | None = None
    """Where they are written; None for nowhere."""

    def __repr__(self) -> str:
        return f"<Sampling: {sample_record.summary(self.record)[0]}>"

    def __str__(self) -> str:
        return "\n".join(sample_record.summary(self.record))

    def write(self, folder: Path) -> None:
        """Writes files into a folder, the record last.

        Raises:
            InputError: The folder cannot be written to.
        """
        write_atomically(folder / "samples.npz", self._npz())
        for name, content in self._pictures().items():
            write_atomically(folder / name, content)
        if self.nearest is None:
            # It would be a picture of earlier samples.
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
            "samples.png": samples_png(pixels, self.samples.labels),
            "chain.png": film_png(self.samples.film),
        }
        if self.nearest is not None:
            title = _title(self.record["beside"])
            pictures["nearest.png"] = nearest_png(pixels, self.nearest, title)
        return pictures


def sample(
    model: str | Path | Network,
    to: str | Path | None = SAMPLES,
    *,
    count: int = 64,
    classes: str | Sequence[int] = (),
    start: Literal["noise", "buffer"] = "noise",
    steps: int = 400,
    step_size: float = 1.0,
    noise: float | None = 0.01,
    temperature: float = 1.0,
    clip: float | None = None,
    clamp: float | None = None,
    beside: str | Dataset | None = None,
    fid: str | Dataset | None = None,
    fid_weights: str | Path | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    watch: Watch = unwatched,
    **checkpoint: Any,
) -> Sampling:
    """Draws samples from a model's p(x) or p(x|y) by SGLD, and measures them.

    Args:
        model: A bundled name, the path of a file, or a network.
        to: Folder for pictures, samples and record; None writes nothing. In
            `results/samples` each network has a folder of its own.
        count: The number of samples.
        classes: Chains sample p(x|y) of these in turn, as in `"0-3+7"` or `[0, 1]`;
            none for p(x).
        start: noise, or buffer for the replay buffer in a JEM's checkpoint.
        steps: Steps of each chain.
        step_size: Factor of ∇ log p(x), for pixels in [-1, 1].
        noise: Standard deviation per step; None for that of Langevin dynamics at
            `temperature`.
        temperature: Of coupled noise.
        clip: Largest magnitude of an entry of ∇ log p(x).
        clamp: Largest magnitude of a pixel; 1 keeps images in [-1, 1].
        beside: The training set, to find copies and to compare log p(x) with.
        fid: The set from whose training images to measure the Fréchet Inception
            distance; needs `oodbench[fid]` and thousands of samples.
        fid_weights: A file of the Inception network; None downloads it.
        seed: At least 0.
        batch_size: Chains at once; changes samples by rounding only.
        device: auto, cpu or cuda.
        watch: Receives the progress.
        **checkpoint: What describes a file, as in `load_network`.

    Raises:
        InputError: An option does not fit the model, the sets or this machine.
    """
    if fid_weights and fid is None:
        raise InputError("--fid-weights is for --fid, and there is no --fid.")
    _check_numbers(count, 1 if batch_size is None else batch_size, seed)
    sampler = SGLD(steps, step_size, noise, temperature, clamp, clip)
    network = _network(model, beside, checkpoint).to(pick_device(device))
    labels = _classes(classes, network)
    starts = _starts(start, model, network, count, seed)
    batches = Batches(
        batch_size or first_batch_size(network.shape, network.device), where=" in SGLD"
    )
    # Before the chains run: a misspelt name must not cost their time.
    training, real = (
        None if name is None else open_training(name, network.shape)
        for name in (beside, fid)
    )
    distance = None if fid is None else FID(Path(fid_weights) if fid_weights else None)
    began = time.monotonic()
    with fitting_threads(network):
        samples = draw_samples(
            network,
            sampler,
            count,
            seed=seed,
            classes=labels,
            starts=starts,
            batches=batches,
            tell=watch("SGLD steps", count * steps),
        )
    found = _measured(network, samples, batches, training, watch)
    if distance is not None and real is not None:
        found.record["fid"] = distance.measure(found.images, real, network.device)
    source = "noise" if starts is None else f"replay buffer of {network.source['file']}"
    found.record["chains"] = sample_record.of_chains(
        sampler, count, seed, labels, source
    )
    seconds = time.monotonic() - began
    found.record["run"] = provenance.of_run(network, batches.size, seconds)
    if to is None:
        return found
    folder = _folder(Path(to), found.record["model"])
    found.write(folder)
    return replace(found, folder=folder)


def _folder(to: Path, model: Record) -> Path:
    """Returns where to write, so that no network replaces the samples of another."""
    if to != SAMPLES:
        return to
    return to / folder_name(model["name"], model["key"])


def _check_numbers(count: int, batch_size: int, seed: int) -> None:
    for name, value, least in (
        ("count", count, 1),
        ("batch size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise InputError(f"The {name} must be at least {least}, got {value}.")


def _network(
    model: str | Path | Network, beside: str | Dataset | None, options: dict[str, Any]
) -> Network:
    if options.get("arch") is None:
        return as_network(model, **options)
    if beside is None:
        raise InputError(
            "With --arch the size of the images comes from the training set; name it "
            "with --beside."
        )
    return as_network(model, shape=native_shape(open_dataset(beside)), **options)


def _starts(
    start: str, model: str | Path | Network, network: Network, count: int, seed: int
) -> Tensor | None:
    """Returns states of the replay buffer in the model's file; None for noise."""
    if start == "noise":
        return None
    if start != "buffer":
        raise InputError(f"Chains start from noise or buffer, not {start!r}.")
    if isinstance(model, Network) or model in registry.names("models"):
        name = model.name if isinstance(model, Network) else model
        raise InputError(
            f"The model {name!r} comes without a replay buffer; use --start noise."
        )
    return pick(read_buffer(Path(model), network), count, seed)


def _classes(classes: str | Sequence[int], network: Network) -> Sequence[int]:
    if not isinstance(classes, str):
        return classes
    if not classes:
        return ()
    try:
        return parse_classes(classes, network.classes, dataset=network.name)
    except InputError:
        raise InputError(
            f"--class {classes!r} must name classes of {network.name}, 0 to "
            f"{network.classes - 1}, as in 0-3+7."
        ) from None


def _measured(
    network: Network,
    samples: Samples,
    batches: Batches,
    training: ImageSet | None,
    watch: Watch,
) -> Sampling:
    images = to_bytes(to_pixels(samples.states))
    with fitting_threads(network):
        seen = sample_record.see(network, images, batches)
        states = sample_record.of_states(network, samples.states, batches)
    record: Record = {
        "model": provenance.of_model(network, network.fingerprint()),
        "states": states,
        "images": sample_record.of_images(seen, samples.labels),
    }
    nearest = None
    if training is not None:
        found = compare(_pixels(images), training, watch=watch)
        nearest = found.nearest
        record["beside"] = sample_record.of_comparison(network, found, batches)
    labels = seen.predictions if samples.labels is None else samples.labels
    return Sampling(samples, images, labels.numpy(), nearest, record)


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _title(beside: Record) -> str:
    """Returns the heading of the samples and their nearest training images."""
    text = f"Samples and their nearest images of {short_name(beside['set']['name'])}"
    text += f" ({beside['set']['split']}), and the distance"
    if beside["held_out"] is None:
        return text
    yardstick = beside["held_out"]["distances"]
    return (
        f"{text}; for test images it is {yardstick['least']:.2f} at least, "
        f"{yardstick['median']:.2f} in the median"
    )

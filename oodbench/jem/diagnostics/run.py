"""Diagnoses p(x) of a model beside real images: chains, log Z, coverage, copies."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oodbench.base.defaults import DIAGNOSES, INSIDE
from oodbench.base.errors import InputError
from oodbench.base.files import Record, folder_name, json_bytes, write_atomically
from oodbench.base.progress import Watch, unwatched
from oodbench.data.adapt import adapt, to_bytes
from oodbench.data.dataset import Dataset
from oodbench.data.image_set import ImageSet, native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.jem.diagnostics.ais import AIS, Bracket
from oodbench.jem.diagnostics.chains import Traces, trace
from oodbench.jem.diagnostics.convergence import LEAST, effective_samples, r_hat
from oodbench.jem.diagnostics.summary import summary
from oodbench.jem.energy import log_density, to_pixels, to_states
from oodbench.jem.sampler import SGLD, ChainNoise
from oodbench.jem.samples import record as sample_record
from oodbench.jem.samples.draw import film_steps
from oodbench.jem.samples.neighbours import compare, open_training
from oodbench.networks.hardware import first_batch_size, fitting_threads, pick_device
from oodbench.networks.load import as_network
from oodbench.networks.network import Network
from oodbench.scoring import provenance
from oodbench.scoring.batches import Batches

REAL = 1000
"""Most test images whose log p(x) is measured."""


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """What was measured; `str` is the summary."""

    record: Record
    file: Path | None
    """Where all numbers are written; None for nowhere."""

    def __repr__(self) -> str:
        return f"<Diagnosis: {self.record['model']['name']}>"

    def __str__(self) -> str:
        return "\n".join(summary(self.record))


def diagnose(
    model: str | Path | Network,
    to: str | Path | None = DIAGNOSES,
    *,
    inside: str | Dataset = INSIDE,
    chains: int = 32,
    steps: int = 1000,
    step_size: float = 1.0,
    noise: float | None = 0.01,
    temperature: float = 1.0,
    clip: float | None = None,
    clamp: float | None = None,
    temperatures: int = 300,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    watch: Watch = unwatched,
    **checkpoint: Any,
) -> Diagnosis:
    """Measures whether chains of a model mix, log Z, coverage of classes, and copies.

    Half of the chains start from test images, half from uniform noise.

    Args:
        model: A bundled name, the path of a file, or a network.
        to: Folder in which each network has a file for all numbers, or a file `*.json`;
            None writes nothing.
        inside: The training set, of whose test images log p(x) is measured.
        chains: How many; an even number. As many measure log Z.
        steps: Steps of each chain, at least 8.
        step_size: Factor of ∇ log p(x), for pixels in [-1, 1].
        noise: Standard deviation per step; None for that of Langevin dynamics at
            `temperature`.
        temperature: Of coupled noise.
        clip: Largest magnitude of an entry of ∇ log p(x).
        clamp: Largest magnitude of a pixel.
        temperatures: Steps of annealed importance sampling; 0 leaves log Z out.
        seed: At least 0.
        batch_size: Chains at once; changes numbers by rounding only.
        device: auto, cpu or cuda.
        watch: Receives the progress.
        **checkpoint: What describes a file, as in `load_network`.

    Raises:
        InputError: An option does not fit the model, the set or this machine.
    """
    _check(chains, steps, batch_size, seed)
    sampler = SGLD(steps, step_size, noise, temperature, clamp, clip)
    ais = AIS(temperatures) if temperatures else None
    dataset = open_dataset(inside)
    if checkpoint.get("arch") is not None:
        checkpoint["shape"] = native_shape(dataset)
    network = as_network(model, **checkpoint).to(pick_device(device))
    training = open_training(dataset, network.shape)
    stage = "test" if "test" in dataset.splits else training.stage
    real = open_images(dataset, stage, network.shape, limit=REAL)
    batches = Batches(
        batch_size or first_batch_size(network.shape, network.device), where=" in SGLD"
    )
    began = time.monotonic()
    with fitting_threads(network):
        starts = _starts(real, network, chains, seed)
        told = watch("states of chains", chains * (steps + 1))
        traces = trace(network, sampler, starts, seed=seed, batches=batches, tell=told)
        seen = sample_record.see(network, real.split.images, batches)
        bracket = None if ais is None else _bracket(ais, network, chains, seed, watch)
        record: Record = {
            "model": provenance.of_model(network, network.fingerprint()),
            "real": {
                "set": real.record(),
                "log_px": sample_record.spread(seen.log_px),
            },
            "chains": {
                "count": chains,
                "seed": seed,
                "sampler": sample_record.of_sampler(sampler),
                **_of_traces(traces, seen.log_px),
            },
            "samples": _of_samples(network, traces.ends, training, batches, watch),
            "log_z": None if bracket is None else _of_bracket(bracket, temperatures),
        }
    seconds = time.monotonic() - began
    record["run"] = provenance.of_run(network, batches.size, seconds)
    file = None if to is None else _file(Path(to), record["model"])
    if file is not None:
        write_atomically(file, json_bytes(record))
    return Diagnosis(record, file)


def _file(to: Path, model: Record) -> Path:
    if to.suffix == ".json":
        return to
    return to / f"{folder_name(model['name'], model['key'])}.json"


def _check(chains: int, steps: int, batch_size: int | None, seed: int) -> None:
    least = 2 * LEAST  # the second half of a chain is measured
    if chains < 2 or chains % 2:
        raise InputError(
            f"Half of the chains start from noise: take 2, 4, …, not {chains}."
        )
    if steps < least:
        raise InputError(f"The chains need at least {least} steps, got {steps}.")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"The batch size must be at least 1, got {batch_size}.")
    if seed < 0:
        raise InputError(f"The seed must be at least 0, got {seed}.")


def _starts(real: ImageSet, network: Network, chains: int, seed: int) -> Tensor:
    """Returns test images, then as many states of uniform noise."""
    half = chains // 2
    images = real.split.spread(half).images
    if len(images) < half:
        raise InputError(
            f"{real.dataset.name} has {len(images)} images to start {half} chains "
            "from; lower --chains."
        )
    states = to_states(adapt(images[:], network.shape))
    return torch.cat([states, ChainNoise(seed, range(half, chains)).uniform(states)])


def _of_traces(traces: Traces, real: Tensor) -> Record:
    """Returns R-hat and effective sizes of the second halves, and log p(x) over time.

    Args:
        traces: Of the chains, those from data first.
        real: `[N]`, log p(x) of test images.
    """
    energies = traces.log_px.double().numpy()
    count, length = energies.shape
    late = length - length // 2
    pixels = traces.pixels[:, late:].numpy()
    shown, half = film_steps(length - 1), count // 2
    ends = traces.log_px[half:, -1]
    return {
        "r_hat": float(r_hat(energies[:, late:])),
        "effective_samples": float(effective_samples(energies[:, late:])),
        "states": count * (length - late),
        "r_hat_pixels": _worst(r_hat(pixels), np.fmax),
        "effective_samples_pixels": _worst(effective_samples(pixels), np.fmin),
        "steps": list(shown),
        "log_px_from_data": np.median(energies[:half, shown], axis=0).tolist(),
        "log_px_from_noise": np.median(energies[half:, shown], axis=0).tolist(),
        "real_below_noise": float((real < ends.median()).double().mean()),
    }


def _worst(values: np.ndarray, choose: np.ufunc) -> float | None:
    """Returns the worst of values; None where no pixel changes."""
    found = float(choose.reduce(values))
    return None if math.isnan(found) else found


def _of_samples(
    network: Network,
    ends: Tensor,
    training: ImageSet,
    batches: Batches,
    watch: Watch,
) -> Record:
    """Returns classes and nearest training images of the chains that began as noise."""
    images = to_bytes(to_pixels(ends[len(ends) // 2 :]))
    seen = sample_record.see(network, images, batches)
    found = compare(adapt(images, network.shape), training, watch=watch)
    counts = Counter(seen.predictions.tolist())
    shares = np.array(list(counts.values())) / counts.total()
    return {
        **sample_record.of_images(seen, None),
        "classes": len(counts),
        "effective_classes": float(np.exp(-(shares * np.log(shares)).sum())),
        "beside": sample_record.of_comparison(network, found, batches),
    }


def _bracket(
    ais: AIS, network: Network, chains: int, seed: int, watch: Watch
) -> Bracket:
    like = torch.zeros(chains, *network.shape, device=network.device)
    tell = watch("annealing for log Z", ais.passes(chains))
    return ais.bracket(log_density(network), like, seed=seed, tell=tell)


def _of_bracket(bracket: Bracket, temperatures: int) -> Record:
    return {
        "temperatures": temperatures,
        "lower": bracket.lower._asdict(),
        "upper": bracket.upper._asdict(),
        "interval": list(bracket.interval),
        "accepted": bracket.accepted,
    }

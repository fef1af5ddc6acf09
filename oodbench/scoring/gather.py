"""Collects what detectors are fitted on: the network's outputs on a whole split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from oodbench.data.dataset import Split
from oodbench.networks.network import Network
from oodbench.scoring.detector import Detector
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Batch, Need, Objective

Part = Callable[[Tensor, Tensor], Batch]
"""Maps pixels `[N, C, H, W]` and the images' numbers `[N]` to outputs on the host."""


def all_objectives(detectors: Iterable[Detector]) -> list[Objective]:
    """Returns the objectives that detectors list, each once."""
    return list(dict.fromkeys(o for detector in detectors for o in detector.objectives))


def gatherer(network: Network, detectors: Sequence[Detector]) -> Part:
    """Returns the function that computes for one batch what the detectors need."""
    objectives = all_objectives(detectors)
    needs = Need.NOTHING
    for detector in detectors:
        needs |= detector.needs
    # Controls see pixels alone; for them the network need not run.
    runs_network = not all(detector.control for detector in detectors)

    def part(pixels: Tensor, numbers: Tensor) -> Batch:
        if not runs_network:
            return _on_host(Batch(pixels), needs)
        return _on_host(run_network(network, pixels, objectives, numbers), needs)

    return part


def join(parts: Sequence[Batch], network: Network, split: Split) -> Batch:
    """Returns the outputs on a whole split from those on its batches in order."""
    faults = {key: why for part in parts for key, why in part.faults.items()}
    return Batch(
        inputs=torch.cat([part.inputs for part in parts]),
        logits=_cat([part.logits for part in parts]),
        log_px=_cat([part.log_px for part in parts]),
        features=_cat([part.features for part in parts]),
        labels=None if split.labels is None else torch.as_tensor(split.labels),
        head=network.head,
        gradients={
            key: torch.cat([part.gradients[key] for part in parts])
            for key in parts[0].gradients
            if key not in faults
        },
        faults=faults,
        numbers=torch.as_tensor(split.places),
    )


def _on_host(batch: Batch, needs: Need) -> Batch:
    """Returns the part of a batch that detectors need to be fitted."""
    inputs = batch.inputs if Need.INPUTS in needs else batch.inputs[:, :0]
    features = batch.features if Need.FEATURES in needs else None
    return Batch(
        inputs=inputs.cpu(),
        logits=None if batch.logits is None else batch.logits.cpu(),
        log_px=None if batch.log_px is None else batch.log_px.cpu(),
        features=None if features is None else features.cpu(),
        gradients={key: value.cpu() for key, value in batch.gradients.items()},
        faults=batch.faults,
    )


def _cat(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None

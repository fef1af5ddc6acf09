"""Collects what detectors are fitted on: the network's outputs on a whole split."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from operator import or_

import torch
from torch import Tensor

from oodbench.data.dataset import Split
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Made, Need, Objective
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import summarise

Part = Callable[[Tensor, Tensor], Batch]
"""Maps pixels `[N, C, H, W]` and the images' numbers `[N]` to outputs on the host."""


def all_objectives(detectors: Iterable[Detector]) -> list[Objective]:
    """Returns the objectives that detectors list, each once."""
    return list(dict.fromkeys(o for detector in detectors for o in detector.objectives))


def all_needs(detectors: Iterable[Detector]) -> Need:
    """Returns what any of the detectors needs."""
    return reduce(or_, (detector.needs for detector in detectors), Need.NOTHING)


def gatherer(network: Network, detectors: Sequence[Detector]) -> Part:
    """Returns the function that computes for one batch what the detectors need."""
    objectives, needs = all_objectives(detectors), all_needs(detectors)
    # Controls see pixels alone; for them the network need not run.
    runs_network = not all(detector.control for detector in detectors)
    contained = Containment()

    def part(pixels: Tensor, numbers: Tensor) -> Batch:
        if not runs_network:
            return _on_host(Batch(pixels), needs)
        with_maps = Need.BLOCKS in needs
        batch = run_network(
            network, pixels, objectives, numbers, contained, with_maps=with_maps
        )
        for own in (part for detector in detectors for part in detector.parts):
            for summary in own.summaries:
                with contained.watch(f"a summary of {type(own).__name__}", summary):
                    summarise(batch, own, summary)
        return _on_host(batch, needs)

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
        summaries={key: _joined(parts, key) for key in parts[0].summaries},
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
        summaries={
            key: one._replace(value=one.value.cpu())
            if isinstance(one.value, Tensor)
            else one
            for key, one in batch.summaries.items()
        },
    )


def _joined(parts: Sequence[Batch], key: Hashable) -> Made[Tensor | Exception]:
    """Returns the rows of a summary of all parts, or why one failed."""
    found = [part.summaries[key] for part in parts]
    rows = [one.value for one in found if isinstance(one.value, Tensor)]
    faults = [one for one in found if not isinstance(one.value, Tensor)]
    return faults[0] if faults else Made(torch.cat(rows), found[0].passes)


def _cat(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None

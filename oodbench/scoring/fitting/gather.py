"""Collects what detectors are fitted on: the network's outputs on a whole split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TypeVar

import torch
from torch import Tensor

from oodbench.data.dataset import Split
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Made, Need, Objective
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.rows import Rows
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import summarise

K = TypeVar("K", bound=Hashable)

Part = Callable[[Tensor, Tensor], Batch]
"""Maps pixels `[N, C, H, W]` and the images' numbers `[N]` to outputs."""


def all_objectives(detectors: Iterable[Detector]) -> list[Objective]:
    """Returns the objectives that detectors list, each once."""
    return list(dict.fromkeys(o for detector in detectors for o in detector.objectives))


def all_needs(detectors: Iterable[Detector]) -> Need:
    """Returns what any of the detectors needs."""
    return reduce(or_, (detector.needs for detector in detectors), Need.NOTHING)


def keeps_inputs(detectors: Iterable[Detector]) -> bool:
    """Returns whether detectors read the pixels of the whole split in `fit`."""
    return Need.INPUTS in all_needs(_reading(detectors))


def _reading(detectors: Iterable[Detector]) -> list[Detector]:
    """Returns the parts that get pixels and gradients of the whole split in `fit`.

    Both are large. Summaries take their place, and what runs the network on pixels does
    so in `score` alone.
    """
    return [
        part
        for detector in detectors
        for part in detector.parts
        if not part.summaries and Need.NETWORK not in part.needs
    ]


def gatherer(network: Network, detectors: Sequence[Detector]) -> Part:
    """Returns the function that computes for one batch what the detectors need."""
    parts = [part for detector in detectors for part in detector.parts]
    summarised = [part for part in parts if part.summaries]
    reading = _reading(detectors)
    kept = set(all_objectives(reading))
    keeps_pixels = keeps_inputs(detectors)
    objectives, needs = all_objectives([*summarised, *reading]), all_needs(parts)
    # Controls see pixels alone; for them the network need not run.
    runs_network = not all(detector.control for detector in detectors)
    contained = Containment()

    def compute(pixels: Tensor, numbers: Tensor) -> Batch:
        batch = Batch(pixels)
        if runs_network:
            with_maps = Need.BLOCKS in needs
            batch = run_network(
                network, pixels, objectives, numbers, contained, with_maps=with_maps
            )
        for own in parts:
            for summary in own.summaries:
                with contained.watch(f"a summary of {type(own).__name__}", summary):
                    summarise(batch, own, summary)
        return replace(
            batch,
            inputs=pixels if keeps_pixels else pixels[:, :0],
            features=batch.features if Need.FEATURES in needs else None,
            gradients={o: one for o, one in batch.gradients.items() if o in kept},
            maps={},
            map_gradients={},
            rerun=None,
        )

    return compute


class Gathered:
    """Collects the outputs on the batches of a split, in order, on the CPU."""

    def __init__(self, network: Network, split: Split) -> None:
        self._network = network
        self._split = split
        self._outputs: dict[str, Rows] = {}
        self._gradients: dict[Objective, Rows] = {}
        self._faults: dict[Objective, Exception] = {}
        self._summaries: dict[Hashable, Rows] = {}
        self._last: dict[Hashable, Made[Tensor | Exception]] = {}
        """The summaries of the last batch, or of the first one that failed."""

    def add(self, part: Batch) -> None:
        """Adds the outputs on the next images."""
        self._faults |= part.faults
        for name in ("inputs", "logits", "log_px", "features", "members"):
            if (value := getattr(part, name)) is not None:
                self._add(self._outputs, name, value)
        for objective, gradient in part.gradients.items():
            self._add(self._gradients, objective, gradient)
        for key, made in part.summaries.items():
            if key not in self._last or isinstance(self._last[key].value, Tensor):
                self._last[key] = made
            if isinstance(made.value, Tensor):
                self._add(self._summaries, key, made.value)

    def whole(self) -> Batch:
        """Returns the outputs on the whole split."""
        outputs = {name: rows.whole for name, rows in self._outputs.items()}
        labels, head = self._split.labels, self._network.head
        return Batch(
            inputs=outputs["inputs"],
            logits=outputs.get("logits"),
            log_px=outputs.get("log_px"),
            features=outputs.get("features"),
            members=outputs.get("members"),
            labels=None if labels is None else torch.as_tensor(labels),
            head=None if head is None else copy.deepcopy(head).cpu(),
            gradients={
                objective: rows.whole
                for objective, rows in self._gradients.items()
                if objective not in self._faults
            },
            faults=self._faults,
            numbers=torch.as_tensor(self._split.places),
            summaries={
                key: made._replace(value=self._summaries[key].whole)
                if isinstance(made.value, Tensor)
                else made
                for key, made in self._last.items()
            },
        )

    def _add(self, into: dict[K, Rows], key: K, rows: Tensor) -> None:
        if key not in into:
            like = rows.new_empty(0, *rows.shape[1:], device="cpu")
            into[key] = Rows(len(self._split.images), like)
        into[key].add(rows)

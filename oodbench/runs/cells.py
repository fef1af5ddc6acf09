"""Computes the cells of one network that are not on disk yet, and stores them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import Record, folder_name, key_of
from oodbench.base.processes import ALONE, Processes
from oodbench.base.progress import Watch, unwatched
from oodbench.data.device_cache import Resident
from oodbench.data.feed import Span
from oodbench.data.image_set import ImageSet
from oodbench.networks.hardware import first_batch_size, fitting_threads
from oodbench.networks.network import Network
from oodbench.results.store import PARTIAL, SetFile, Store
from oodbench.runs.chunks import Partial, plan
from oodbench.scoring import provenance
from oodbench.scoring.engine import Engine
from oodbench.scoring.scored import Scored, merge, without_bad_scores
from oodbench.scoring.spec import Entry


@dataclass
class Finished:
    """What a run leaves: where its numbers are, and what went wrong."""

    sets: list[SetFile] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)
    """Keys of the detectors' cells that belong to this run."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Detectors that could not be asked, each with the reason."""
    failed: dict[str, str] = field(default_factory=dict)
    """Cells without scores, each with the reason."""
    computed: int = 0
    """Cells that this run computed."""
    reused: int = 0
    """Cells that an earlier run had computed."""
    removed: int = 0
    """Stale cells that are gone."""
    is_told: bool = True
    """Whether this process is the one to show it."""


Overwrite = Literal["missing", "stale", "always"]
"""What is computed again: nothing that is there; the same, but cells that it makes
stale are removed; everything."""


MANY_FILES = 2000
"""From how many on processes that read ahead are worth their start."""


@dataclass
class Execution:
    """How a run is carried out; nothing here decides the numbers."""

    store: Store
    batch_size: int | None = None
    """None for a size that mostly fits."""
    workers: int | None = None
    """Processes that read images ahead; None for some where files are decoded."""
    overwrite: Overwrite = "missing"
    processes: Processes = ALONE
    resident: Resident = field(default_factory=Resident)
    """Serves all networks of the run."""
    watch: Watch = unwatched

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                noun = name.replace("_", " ")
                raise InputError(f"The {noun} must be at least {least}, got {value}.")


@dataclass
class Cells:
    """All that one network is asked beside one in-set."""

    network: Network
    inside: ImageSet
    entries: Mapping[str, Entry]
    """Detectors by their labels."""
    fits: Mapping[str, ImageSet]
    """What detectors are fitted on, by stage."""
    execution: Execution
    finished: Finished
    _fitted: dict[str, str] = field(init=False, default_factory=dict)
    """Detectors fitted so far, each with the reason if it failed."""
    _inside_digests: NDArray[np.uint64] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._fingerprint = self.network.fingerprint()
        self._keys = {
            label: provenance.method_key(entry, self.fits)
            for label, entry in self.entries.items()
        }
        self._batch_size = self.execution.batch_size or first_batch_size(
            self.network.shape, self.network.device
        )

    def complete(self, sample: ImageSet) -> None:
        """Computes and stores what is missing of one set."""
        place = self._place(sample)
        self.finished.sets.append(place)
        self.finished.methods.update(self._keys.values())
        processes = self.execution.processes
        missing = processes.agree(self._missing(place))
        self.finished.reused += len(self.entries) - len(missing)
        if not missing and processes.agree(place.is_whole()):
            return
        began = time.perf_counter()
        with fitting_threads(self.network):
            self._fit(missing)
            scored = self._score(place, sample, missing)
        if scored is not None:
            seconds = time.perf_counter() - began
            self._store(place, sample, scored, missing, seconds)

    def _place(self, sample: ImageSet) -> SetFile:
        return self.execution.store.set(
            folder_name(self.network.title, self._fingerprint),
            self.inside.folder,
            sample.folder,
        )

    def _missing(self, place: SetFile) -> list[str]:
        if self.execution.overwrite == "always":
            return list(self.entries)
        cells = {label: place.cell(label, key) for label, key in self._keys.items()}
        return [label for label, cell in cells.items() if not cell.has_scores()]

    def _score(
        self, place: SetFile, sample: ImageSet, missing: list[str]
    ) -> Scored | None:
        """Scores a set chunk by chunk; only the first process has the whole of it."""
        usable = (label for label in missing if not self._fitted.get(label))
        engine = self._engine(usable, sample)
        has_labels = self._has_labels(sample)
        spans = plan(sample.count, self._batch_size)
        partial = Partial(self._partial_folder(place, missing, spans))

        def score(spans: list[Span]) -> Iterator[Scored]:
            tell = self.execution.watch(
                f"{self.network.title} on {sample.dataset.name}",
                sum(stop - start for start, stop in spans),
            )
            return engine.score_spans(
                sample.split,
                spans,
                has_labels=has_labels,
                tell=tell,
                digested=sample.digests is None,
                key=sample.images_key,
            )

        if len(spans) == 1 and self.execution.processes.count == 1:
            (whole,) = score(spans)
            return without_bad_scores(whole)
        own = partial.missing(self.execution.processes.share(spans))
        for span, scored in zip(own, score(own), strict=True):
            partial.write(span, scored)
        self.execution.processes.wait()
        if not self.execution.processes.is_first:
            return None
        # Another run of the same plan may have finished and cleared its chunks.
        parts = [partial.read(span) or next(score([span])) for span in spans]
        partial.clear()
        return without_bad_scores(merge(parts))

    def _partial_folder(
        self, place: SetFile, missing: list[str], spans: list[Span]
    ) -> Path:
        key = key_of(sorted(self._keys[label] for label in missing), spans)
        return place.path.with_suffix("") / f"{PARTIAL}{key[:8]}"

    def _fit(self, labels: list[str]) -> None:
        for stage, sample in self.fits.items():
            fresh = [
                label
                for label in labels
                if self.entries[label].detector.fitted_on == stage
                and label not in self._fitted
            ]
            if fresh:
                tell = self.execution.watch(
                    f"fit on {sample.dataset.name} {sample.stage}", sample.count
                )
                engine = self._engine(fresh, sample)
                failures = engine.fit(
                    stage, sample.split, tell=tell, key=sample.images_key
                )
                self._fitted.update({label: failures.get(label, "") for label in fresh})

    def _engine(self, labels: Iterable[str], sample: ImageSet) -> Engine:
        detectors = {label: self.entries[label].detector for label in labels}
        return Engine(
            self.network,
            detectors,
            batch_size=self._batch_size,
            workers=self._workers(sample),
            resident=self.execution.resident,
        )

    def _workers(self, sample: ImageSet) -> int:
        if self.execution.workers is not None:
            return self.execution.workers
        # What is in memory needs none.
        if sample.digests is not None or sample.count < MANY_FILES:
            return 0
        return min(8, os.cpu_count() or 1) // self.execution.processes.count

    def _store(
        self,
        place: SetFile,
        sample: ImageSet,
        scored: Scored,
        missing: list[str],
        seconds: float,
    ) -> None:
        arrays: dict[str, NDArray[Any] | None] = {
            "digests": sample.digests,
            "labels": sample.split.labels,
            "clusters": sample.split.clusters,
            **scored.predictions,
        }
        known = {name: values for name, values in arrays.items() if values is not None}
        common = {
            "model": provenance.of_model(self.network, self._fingerprint),
            "inside": self.inside.record(),
            "set": self._set_record(sample, known["digests"]),
            "run": provenance.of_run(self.network, self._batch_size, seconds),
        }
        place.write(known, common)
        for label in missing:
            entry, key = self.entries[label], self._keys[label]
            record = {
                **common,
                "detector": provenance.of_detector(entry, key, self.fits),
            }
            cell = place.cell(label, key)
            if label in scored.scores:
                cell.write(scored.scores[label], record)
                self.finished.computed += 1
                continue
            reason = self._fitted.get(label) or scored.failures[label]
            cell.write_failure(reason, record)
            name = f"{label} of {self.network.title} on {sample.dataset.name}"
            self.finished.failed[name] = reason

    def _set_record(self, sample: ImageSet, digests: NDArray[np.uint64]) -> Record:
        if sample is self.inside:
            self._inside_digests = digests
            return {**sample.record(), "role": "in", "shared_images": 0}
        if self._inside_digests is None:
            self._inside_digests = self._place(self.inside).arrays()["digests"]
        shared = int(np.isin(digests, self._inside_digests).sum())
        role = sample.dataset.role
        return {**sample.record(), "role": role, "shared_images": shared}

    def _has_labels(self, sample: ImageSet) -> bool:
        labels = sample.split.labels
        means_classes = sample is self.inside or sample.dataset.role == "covariate"
        return (
            means_classes
            and labels is not None
            and int(labels.max()) < self.network.classes
        )

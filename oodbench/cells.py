"""Computes the cells of one network that are not on disk yet, and stores them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from oodbench import provenance
from oodbench.detector_spec import Entry
from oodbench.engine import Engine, Scored, Tell
from oodbench.network import Network
from oodbench.results import Record, SetFile, Store, folder_name
from oodbench.sample import Sample, shared_images

Watch = Callable[[str, int], Tell]
"""Begins a stage, given its name and number of images; returns what counts them."""


def unwatched(stage: str, images: int) -> Tell:
    """Shows nothing."""
    return lambda done: None


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


@dataclass
class Cells:
    """All that one network is asked beside one in-set."""

    network: Network
    inside: Sample
    entries: Mapping[str, Entry]
    """Detectors by their labels."""
    fits: Mapping[str, Sample]
    """What detectors are fitted on, by stage."""
    batch_size: int
    store: Store
    watch: Watch
    finished: Finished
    _fitted: dict[str, str] = field(init=False, default_factory=dict)
    """Detectors fitted so far, each with the reason if it failed."""

    def __post_init__(self) -> None:
        self._fingerprint = self.network.fingerprint()
        self._keys = {
            label: provenance.method_key(entry, self.fits)
            for label, entry in self.entries.items()
        }

    def complete(self, sample: Sample) -> None:
        """Computes and stores what is missing of one set."""
        place = self.store.set(
            folder_name(self.network.name, self._fingerprint),
            self.inside.folder,
            sample.folder,
        )
        self.finished.sets.append(place)
        self.finished.methods.update(self._keys.values())
        missing = [label for label in self.entries if not self._is_done(place, label)]
        self.finished.reused += len(self.entries) - len(missing)
        if missing or place.read() is None:
            self._compute(place, sample, missing)

    def _is_done(self, place: SetFile, label: str) -> bool:
        record = place.cell(label, self._keys[label]).read()
        return record is not None and "failure" not in record

    def _compute(self, place: SetFile, sample: Sample, missing: list[str]) -> None:
        self._fit(missing)
        engine = self._engine(lb for lb in missing if not self._fitted.get(lb))
        tell = self.watch(
            f"{self.network.name} on {sample.dataset.name}", len(sample.digests)
        )
        began = time.perf_counter()
        scored = engine.score(
            sample.split, has_labels=self._has_labels(sample), tell=tell
        )
        seconds = time.perf_counter() - began
        self._store(place, sample, scored, missing, seconds)

    def _fit(self, labels: list[str]) -> None:
        for stage, sample in self.fits.items():
            fresh = [
                label
                for label in labels
                if self.entries[label].detector.fitted_on == stage
                and label not in self._fitted
            ]
            if fresh:
                tell = self.watch(
                    f"fit on {sample.dataset.name} {sample.stage}", len(sample.digests)
                )
                failures = self._engine(fresh).fit(stage, sample.split, tell=tell)
                self._fitted.update({label: failures.get(label, "") for label in fresh})

    def _engine(self, labels: Iterable[str]) -> Engine:
        detectors = {label: self.entries[label].detector for label in labels}
        return Engine(self.network, detectors, self.batch_size)

    def _store(
        self,
        place: SetFile,
        sample: Sample,
        scored: Scored,
        missing: list[str],
        seconds: float,
    ) -> None:
        common = {
            "model": provenance.of_model(self.network, self._fingerprint),
            "inside": self.inside.record(),
            "set": self._set_record(sample),
            "run": provenance.of_run(self.network, self.batch_size, seconds),
        }
        arrays = {"digests": sample.digests, **scored.predictions}
        for name in ("labels", "clusters"):
            values = getattr(sample.split, name)
            if values is not None:
                arrays[name] = values
        place.write(arrays, common)
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
            name = f"{label} of {self.network.name} on {sample.dataset.name}"
            self.finished.failed[name] = reason

    def _set_record(self, sample: Sample) -> Record:
        inside = sample is self.inside
        shared = 0 if inside else shared_images(self.inside, sample)
        role = "in" if inside else sample.dataset.role
        return {**sample.record(), "role": role, "shared_images": shared}

    def _has_labels(self, sample: Sample) -> bool:
        labels = sample.split.labels
        means_classes = sample is self.inside or sample.dataset.role == "covariate"
        return (
            means_classes
            and labels is not None
            and int(labels.max()) < self.network.classes
        )

"""Scores sets by the detectors of one network, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from oodbench.base.errors import InputError, reason
from oodbench.base.files import key_of
from oodbench.base.progress import both
from oodbench.data.feed import Span, feed
from oodbench.data.image_set import ImageSet
from oodbench.data.input_noise import InputNoise
from oodbench.networks.checks import MOST, check_network
from oodbench.networks.hardware import fitting_threads
from oodbench.results.store import PARTIAL
from oodbench.runs.chunks import Partial, spans_of
from oodbench.runs.controls import stored_elsewhere
from oodbench.runs.execution import Execution
from oodbench.runs.fitted import Fitted
from oodbench.runs.plan import Plan, Setup
from oodbench.scoring.engine import Engine
from oodbench.scoring.fitting.state import move
from oodbench.scoring.scored import Cost, Scored, merge, without_bad_scores


@dataclass
class Scorer:
    """Scores what plans of one setup miss; fits each detector once."""

    setup: Setup
    execution: Execution
    fit_seconds: dict[str, float] = field(init=False, default_factory=dict)
    """What fitting took, by detector, in this run or the one that fitted it."""
    _fits: dict[str, str] = field(init=False, default_factory=dict)
    """Detectors fitted so far, each with the reason if it failed."""
    _remarks: list[str] | None = field(init=False, default=None)
    _fitted: Fitted = field(init=False)
    _moved: dict[Tensor, Tensor] = field(init=False, default_factory=dict)
    """What was stored, by itself, on the network's device."""

    def __post_init__(self) -> None:
        self._fitted = Fitted(self.setup.fitted(self.execution.store))

    def check(self) -> list[str]:
        """Returns warnings about the network; checks it at the first call.

        Raises:
            InputError: Its outputs are random or depend on the other images of a batch.
        """
        if self._remarks is None:
            network, images = self.setup.network, self.setup.inside
            first = [(0, min(MOST, images.count))]
            pixels = images.split.images
            (fed,) = feed(pixels, first, network.shape, device=network.device)
            try:
                self._remarks = check_network(network, fed.pixels)
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 - scoring names or survives it
                fault = reason(error)
                self._remarks = [f"{network.title} could not be checked ({fault})."]
        return self._remarks

    def score(self, plan: Plan) -> Scored | None:
        """Returns the missing scores; None in processes other than the first."""
        execution = self.execution
        reuses = execution.overwrite != "always"
        found = stored_elsewhere(plan, execution.store) if reuses else {}
        found = execution.processes.agree(found)
        missing = [label for label in plan.missing if label not in found]
        with fitting_threads(self.setup.network):
            self._fit(missing)
            failed = {
                label: fault for label in missing if (fault := self._fits.get(label))
            }
            usable = [label for label in missing if label not in failed]
            scored = self._score_chunks(plan, usable)
        if scored is None:
            return None
        scored = without_bad_scores(scored)
        scores, costs = dict(scored.scores), dict(scored.costs)
        for label, cell in found.items():
            stored = cell.record["cost"]
            scores[label] = cell.scores
            costs[label] = Cost(stored["microseconds"] * plan.images.count / 1e6)
            self.fit_seconds[label] = stored["fit_seconds"]
        failures = {**scored.failures, **failed}
        return Scored(scored.predictions, scores, failures, costs)

    def _fit(self, labels: Iterable[str]) -> None:
        processes = self.execution.processes
        for stage, images in self.setup.fits.items():
            fresh = [
                label
                for label in labels
                if self.setup.entries[label].detector.fitted_on == stage
                and label not in self._fits
            ]
            if self.execution.overwrite != "always":
                fresh = self._not_stored(fresh)
            if processes.is_first:
                self._fit_on(stage, images, fresh)
            failed = {label: why for label in fresh if (why := self._fits.get(label))}
            # The others go on when the first one has stored what it fitted.
            self._fits |= processes.agree(failed)
            if not processes.is_first:
                fresh = [label for label in fresh if label not in self._fits]
                self._fit_on(stage, images, self._not_stored(fresh))

    def _fit_on(self, stage: str, images: ImageSet, labels: list[str]) -> None:
        if not labels:
            return
        tell = self.execution.watch(self.setup.fit_name(stage), images.count)
        engine = self._engine(labels, images)
        # Controls are fitted once a run, so their images are not read again.
        once = all(self.setup.entries[label].detector.control for label in labels)
        key = None if once else images.key
        failures = engine.fit(stage, images.split, tell=tell, key=key)
        self._fits.update({label: failures.get(label, "") for label in labels})
        self.fit_seconds.update(engine.fit_seconds)
        self._keep(set(labels) - set(failures))

    def _not_stored(self, labels: Iterable[str]) -> list[str]:
        """Gives detectors what is stored of them; returns those of which nothing is."""
        return [label for label in labels if not self._was_stored(label)]

    def _was_stored(self, label: str) -> bool:
        detector, key = self.setup.entries[label].detector, self.setup.keys[label]
        if detector.control:
            return False
        seconds = self._fitted.read(label, key, detector)
        if seconds is None:
            return False
        self.fit_seconds[label] = seconds
        move(detector, self.setup.network.device, self._moved)
        self._fits[label] = ""
        return True

    def _keep(self, labels: Iterable[str]) -> None:
        """Stores what detectors have learnt; controls need no network to learn it."""
        for label in labels:
            detector = self.setup.entries[label].detector
            if self.execution.processes.is_first and not detector.control:
                key, seconds = self.setup.keys[label], self.fit_seconds[label]
                self._fitted.write(label, key, detector, seconds)

    def _score_chunks(self, plan: Plan, labels: list[str]) -> Scored | None:
        processes = self.execution.processes
        size = self.setup.batch_size(self.execution)
        spans = spans_of(plan.images.count, size)
        partial = Partial(_partial_folder(plan, labels, spans))
        if len(spans) == 1 and processes.count == 1:
            return next(self._score_spans(plan, labels, spans))
        own = partial.missing(processes.share(spans))
        self.execution.whole(plan.images.count - _images(own))
        scores = self._score_spans(plan, labels, own)
        for span, scored in zip(own, scores, strict=True):
            partial.write(span, scored)
        processes.wait()
        if not processes.is_first:
            return None
        # Another run of the same plan may have finished and removed its chunks.
        parts = [
            partial.read(span) or next(self._score_spans(plan, labels, [span]))
            for span in spans
        ]
        partial.clear()
        return merge(parts)

    def _score_spans(
        self, plan: Plan, labels: list[str], spans: list[Span]
    ) -> Iterator[Scored]:
        images, noise = plan.images, self.setup.input_noise
        engine = self._engine(labels, images)
        engine.noise = InputNoise.of(images, noise) if noise else None
        noisy = noise and (noise, images.dataset.name)  # which decides the noise
        own = self.execution.watch(plan.name, _images(spans))
        return engine.score_spans(
            images.split,
            spans,
            has_labels=self.setup.has_classes(images),
            tell=both(own, self.execution.whole),
            digested=images.digests is None,
            key=(images.key, noisy),
        )

    def _engine(self, labels: Iterable[str], images: ImageSet) -> Engine:
        return Engine(
            self.setup.network,
            {label: self.setup.entries[label].detector for label in labels},
            batch_size=self.setup.batch_size(self.execution),
            workers=self.execution.workers_for(images),
            resident=self.execution.resident,
        )


def _images(spans: Iterable[Span]) -> int:
    return sum(stop - start for start, stop in spans)


def _partial_folder(plan: Plan, labels: list[str], spans: list[Span]) -> Path:
    has_classes = plan.setup.has_classes(plan.images)  # else there are no losses
    keys = sorted(plan.setup.keys[label] for label in labels)
    key = key_of(keys, spans, has_classes)
    return plan.file.path.with_suffix("") / f"{PARTIAL}{key[:8]}"

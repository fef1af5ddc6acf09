"""The shared pass: one run of the network serves every detector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import reason
from oodbench.base.progress import Tell
from oodbench.data.dataset import Split
from oodbench.data.device_cache import Resident
from oodbench.data.feed import Fed, Span, feed
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Batch, Known, Need, Objective, Outputs
from oodbench.scoring.scored import Scored, merge, without_bad_scores

logger = logging.getLogger(__name__)

T = TypeVar("T")


def lacks(network: Network, detector: Detector) -> str:
    """Returns what a detector needs and the network lacks; empty if nothing."""
    wanted = detector.needs & (Need.FEATURES | Need.HEAD)
    if wanted and network.head is None:
        return "the network has no linear layer whose output is the logits"
    return ""


@dataclass
class Engine:
    """One network with the detectors that score it."""

    network: Network
    detectors: Mapping[str, Detector]
    """By the label that results and messages use."""
    batch_size: int = 256
    workers: int = 0
    """Processes that read images ahead."""
    resident: Resident = field(default_factory=Resident)
    """Keeps what it is given keys of."""
    room: int = field(init=False)
    """Images that fit in memory at once, as far as is known."""

    def __post_init__(self) -> None:
        self.room = self.batch_size

    def fit(
        self, stage: str, split: Split, *, tell: Tell, key: Hashable = None
    ) -> dict[str, str]:
        """Fits the detectors of a stage (train or val) on one pass over the split.

        With a `key`, equal for equal images, what is read is kept for others.

        Returns:
            The detectors that failed, each with the reason.
        """
        fitted = {k: d for k, d in self.detectors.items() if d.fitted_on == stage}
        if not fitted:
            return {}
        known = self._gather(split, list(fitted.values()), tell, key)
        failures = {}
        contained = Containment()
        for label, detector in fitted.items():
            try:
                view = Known(known, detector)
                with contained.watch(type(detector).__name__):
                    detector.fit(view)
                view.check_untouched()
            except Exception as error:  # noqa: BLE001 - one plug-in must not stop others
                failures[label] = f"fit failed: {reason(error)}"
        return failures

    def score(self, split: Split, *, has_labels: bool, tell: Tell) -> Scored:
        """Scores every image of a split by every detector.

        Args:
            split: The images.
            has_labels: Whether the split's labels are the network's classes.
            tell: Is told of the progress.
        """
        whole = [(0, len(split.images))]
        (scored,) = self.score_spans(split, whole, has_labels=has_labels, tell=tell)
        return without_bad_scores(scored)

    def score_spans(
        self,
        split: Split,
        spans: Sequence[Span],
        *,
        has_labels: bool,
        tell: Tell,
        digested: bool = False,
        key: Hashable = None,
    ) -> Iterator[Scored]:
        """Scores spans of a split one after another, reading ahead all the while.

        With `digested` the predictions hold a hash of every image too, `digests`; with
        a `key`, equal for equal images, what is read is kept for others.
        """
        batches = [list(cut(*span, self.batch_size)) for span in spans]
        flat = [batch for span in batches for batch in span]
        fed = self._feed(split, flat, key, digested)
        objectives = _objectives(self.detectors.values())

        labels = split.labels if has_labels else None

        def score(piece: Tensor, numbers: Tensor) -> Scored:
            batch = run_network(self.network, piece, objectives, numbers)
            own = None if labels is None else labels[numbers.numpy()]
            return _score_all(batch, self.detectors, own)

        for span in batches:
            parts: list[Scored] = []
            for start, stop in span:
                batch = next(fed)
                scored = merge(self._fitting(score, batch.pixels, start))
                if digested:
                    scored.predictions["digests"] = batch.digests
                parts.append(scored)
                tell(stop - start)
            yield merge(parts)

    def _gather(
        self, split: Split, detectors: list[Detector], tell: Tell, key: Hashable
    ) -> Batch:
        needs = _union(detectors)
        objectives = _objectives(detectors)
        # Controls see pixels alone; for them the network need not run.
        blind = all(detector.control for detector in detectors)

        def run(piece: Tensor, numbers: Tensor) -> Batch:
            if blind:
                return _on_host(Batch(piece), needs)
            return _on_host(
                run_network(self.network, piece, objectives, numbers), needs
            )

        parts: list[Batch] = []
        whole = list(cut(0, len(split.images), self.batch_size))
        for (start, _), fed in zip(whole, self._feed(split, whole, key), strict=True):
            parts += self._fitting(run, fed.pixels, start)
            tell(len(fed.pixels))
        faults = {key: told for part in parts for key, told in part.faults.items()}
        return Batch(
            inputs=torch.cat([part.inputs for part in parts]),
            logits=_join([part.logits for part in parts]),
            log_px=_join([part.log_px for part in parts]),
            features=_join([part.features for part in parts]),
            labels=None if split.labels is None else torch.as_tensor(split.labels),
            head=self.network.head,
            gradients={
                key: torch.cat([part.gradients[key] for part in parts])
                for key in parts[0].gradients
                if key not in faults
            },
            faults=faults,
            numbers=torch.arange(len(split.images)),
        )

    def _feed(
        self,
        split: Split,
        spans: Sequence[Span],
        key: Hashable,
        digested: bool = False,
    ) -> Iterator[Fed]:
        shape, device = self.network.shape, self.network.device
        read = partial(
            feed,
            split.images,
            shape=shape,
            device=device,
            workers=self.workers,
            digested=digested,
        )
        whole_key = None if key is None else (key, shape, device, digested)
        return self.resident.batches(whole_key, spans, read)

    def _fitting(
        self, work: Callable[[Tensor, Tensor], T], pixels: Tensor, start: int
    ) -> list[T]:
        """Does the work in as many pieces as memory asks for.

        Args:
            work: Is given some of the pixels, and their numbers.
            pixels: Of images that follow one another.
            start: The number of the first.
        """
        numbers = torch.arange(start, start + len(pixels))
        while True:
            try:
                return [
                    work(pixels[a:b], numbers[a:b])
                    for a, b in cut(0, len(pixels), self.room)
                ]
            except Exception as error:
                can_make_room = self.resident.size or self.room > 1
                if not is_out_of_memory(error) or not can_make_room:
                    raise
            # Outside the handler, which keeps what was allocated alive.
            self._make_room(len(pixels))
            if pixels.is_cuda:
                torch.cuda.empty_cache()

    def _make_room(self, images: int) -> None:
        if self.resident.size:
            self.resident.give_up()
            logger.warning("Out of memory; images stay on the device no longer.")
            return
        self.room = max(1, min(self.room, images) // 2)
        logger.warning("Out of memory; going on with batches of %d.", self.room)


def cut(start: int, stop: int, size: int) -> Iterator[Span]:
    """Yields the spans of `size` images that begin at `start`; the last is shorter."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


@torch.no_grad()
def _score_all(
    batch: Batch,
    detectors: Mapping[str, Detector],
    labels: NDArray[np.int64] | None,
) -> Scored:
    scores: dict[str, NDArray[np.float64]] = {}
    failures: dict[str, str] = {}
    contained = Containment()
    for label, detector in detectors.items():
        try:
            scores[label] = _score(detector, batch, contained)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            failures[label] = reason(error)
    return Scored(_predict(batch, labels), scores, failures)


def _predict(
    batch: Batch, labels: NDArray[np.int64] | None
) -> dict[str, NDArray[np.generic]]:
    assert batch.logits is not None
    log_p = batch.logits.double().log_softmax(1).cpu()
    confidence, prediction = log_p.exp().max(1)
    found = {"predictions": prediction, "confidences": confidence}
    if labels is not None:
        truth = torch.nn.functional.one_hot(torch.as_tensor(labels), log_p.shape[1])
        found["nll"] = -(log_p * truth).sum(1)
        found["brier"] = (log_p.exp() - truth).square().sum(1)
    return {name: values.numpy() for name, values in found.items()}


def _score(
    detector: Detector, batch: Batch, contained: Containment
) -> NDArray[np.float64]:
    view = Outputs(batch, detector)
    with contained.watch(type(detector).__name__):
        scores = detector.score(view)
    view.check_untouched()
    if not isinstance(scores, Tensor):
        raise TypeError(f"score returned {type(scores).__name__}, not a tensor [N]")
    if scores.shape != (len(view),):
        raise ValueError(
            f"score returned shape {list(scores.shape)} for {len(view)} images, not [N]"
        )
    return scores.double().cpu().numpy()


def _union(detectors: Iterable[Detector]) -> Need:
    needs = Need.NOTHING
    for detector in detectors:
        needs |= detector.needs
    return needs


def _objectives(detectors: Iterable[Detector]) -> list[Objective]:
    return list(dict.fromkeys(o for detector in detectors for o in detector.objectives))


def _on_host(batch: Batch, needs: Need) -> Batch:
    """Keeps of a batch what detectors need to be fitted."""
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


def _join(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None

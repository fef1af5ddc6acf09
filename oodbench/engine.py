"""The shared pass: one run of the network serves every detector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.containment import Containment
from oodbench.dataset import Split
from oodbench.detector import Batch, Detector, Known, Need, Objective, Outputs
from oodbench.errors import InputError
from oodbench.feed import Fed, Span, feed
from oodbench.memory import is_out_of_memory
from oodbench.network import Network, Result
from oodbench.scored import Scored, merge, without_bad_scores

logger = logging.getLogger(__name__)

Tell = Callable[[int], None]
"""Is told of the number of images done, batch by batch."""

Labels = NDArray[np.int64] | None
T = TypeVar("T")


def pick_device(name: str) -> torch.device:
    """Returns the device auto, cpu, cuda or mps; auto takes the fastest there is.

    Raises:
        InputError: This machine, or this build of torch, has no such device.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, here in present.items() if here))
    if not present.get(name, False):
        here = ", ".join(kind for kind, there in present.items() if there)
        raise InputError(
            f"There is no device {name!r} here; use auto or one of: {here}."
        )
    return torch.device(name)


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
    room: int = field(init=False)
    """Images that fit in memory at once, as far as is known."""

    def __post_init__(self) -> None:
        self.room = self.batch_size

    def fit(self, stage: str, split: Split, *, tell: Tell) -> dict[str, str]:
        """Fits the detectors of a stage (train or val) on one pass over the split.

        Returns:
            The detectors that failed, each with the reason.
        """
        fitted = {k: d for k, d in self.detectors.items() if d.fitted_on == stage}
        if not fitted:
            return {}
        known = self._gather(split, list(fitted.values()), tell)
        failures = {}
        contained = Containment()
        for label, detector in fitted.items():
            try:
                view = Known(known, detector)
                with contained.watch(type(detector).__name__):
                    detector.fit(view)
                view.check_untouched()
            except Exception as error:  # noqa: BLE001 - one plug-in must not stop others
                failures[label] = f"fit failed: {_reason(error)}"
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
    ) -> Iterator[Scored]:
        """Scores spans of a split one after another, reading ahead all the while.

        With `digested` the predictions hold a hash of every image too, `digests`.
        """
        batches = [list(cut(*span, self.batch_size)) for span in spans]
        flat = [batch for span in batches for batch in span]
        fed = self._feed(split, flat, digested)
        objectives = _objectives(self.detectors.values())

        def score(piece: Tensor, labels: Labels) -> Scored:
            batch = run_network(self.network, piece, objectives, labels)
            return _score_all(batch, self.detectors, has_labels)

        for span in batches:
            parts: list[Scored] = []
            for start, stop in span:
                labels = None if split.labels is None else split.labels[start:stop]
                batch = next(fed)
                scored = merge(self._fitting(score, batch.pixels, labels))
                if digested:
                    scored.predictions["digests"] = batch.digests
                parts.append(scored)
                tell(stop - start)
            yield merge(parts)

    def _gather(self, split: Split, detectors: list[Detector], tell: Tell) -> Batch:
        needs = _union(detectors)
        objectives = _objectives(detectors)
        # Controls see pixels alone; for them the network need not run.
        blind = all(detector.control for detector in detectors)

        def run(piece: Tensor, labels: Labels) -> Batch:
            if blind:
                return _on_host(Batch(piece), needs)
            return _on_host(run_network(self.network, piece, objectives), needs)

        parts: list[Batch] = []
        whole = list(cut(0, len(split.images), self.batch_size))
        for fed in self._feed(split, whole):
            parts += self._fitting(run, fed.pixels, None)
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
        )

    def _feed(
        self, split: Split, spans: Sequence[Span], digested: bool = False
    ) -> Iterator[Fed]:
        return feed(
            split.images,
            spans,
            self.network.shape,
            device=self.network.device,
            workers=self.workers,
            digested=digested,
        )

    def _fitting(
        self, work: Callable[[Tensor, Labels], T], pixels: Tensor, labels: Labels
    ) -> list[T]:
        """Does the work in as many pieces as memory asks for."""
        while True:
            spans = list(cut(0, len(pixels), self.room))
            try:
                return [
                    work(pixels[a:b], None if labels is None else labels[a:b])
                    for a, b in spans
                ]
            except Exception as error:
                if not is_out_of_memory(error) or self.room == 1:
                    raise
            # Outside the handler, which keeps what was allocated alive.
            self.room = max(1, min(self.room, len(pixels)) // 2)
            logger.warning("Out of memory; going on with batches of %d.", self.room)
            if pixels.is_cuda:
                torch.cuda.empty_cache()


def cut(start: int, stop: int, size: int) -> Iterator[Span]:
    """Yields the spans of `size` images that begin at `start`; the last is shorter."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def run_network(
    network: Network,
    pixels: Tensor,
    objectives: Sequence[Objective],
    labels: Labels = None,
) -> Batch:
    """Runs the network forward once, and backward once an objective.

    The gradient of a sum over the batch holds each image's own gradient, since in
    evaluation mode no image influences another.
    """
    gradients: dict[Objective, Tensor] = {}
    faults: dict[Objective, str] = {}
    if objectives:
        pixels = pixels.detach().requires_grad_(True)
    with torch.set_grad_enabled(bool(objectives)):
        result = network(pixels)
        for done, objective in enumerate(objectives, 1):
            more = done < len(objectives)
            try:
                gradients[objective] = _gradient(objective, result, pixels, keep=more)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                faults[objective] = f"its objective failed: {_reason(error)}"
    return Batch(
        inputs=pixels.detach(),
        logits=result.logits.detach(),
        log_px=result.log_px.detach(),
        features=None if result.features is None else result.features.detach(),
        labels=None if labels is None else torch.as_tensor(labels),
        head=network.head,
        gradients=gradients,
        faults=faults,
    )


def _gradient(
    objective: Objective, result: Result, pixels: Tensor, *, keep: bool
) -> Tensor:
    name = getattr(objective, "__name__", type(objective).__name__)
    with Containment().watch(f"the objective {name}"):
        # Clones, since objectives come from plug-ins and could write into them.
        total = objective(result.logits.clone(), result.log_px.clone()).sum()
    (gradient,) = torch.autograd.grad(total, pixels, retain_graph=keep)
    return gradient.float()


@torch.no_grad()
def _score_all(
    batch: Batch, detectors: Mapping[str, Detector], has_labels: bool
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
            failures[label] = _reason(error)
    return Scored(_predict(batch, has_labels), scores, failures)


def _predict(batch: Batch, has_labels: bool) -> dict[str, NDArray[np.generic]]:
    assert batch.logits is not None
    log_p = batch.logits.double().log_softmax(1).cpu()
    confidence, prediction = log_p.exp().max(1)
    found = {"predictions": prediction, "confidences": confidence}
    if has_labels and batch.labels is not None:
        truth = torch.nn.functional.one_hot(batch.labels, log_p.shape[1])
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


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


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

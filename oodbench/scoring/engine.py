"""The shared pass: one run of the network serves every detector."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import reason
from oodbench.base.progress import Tell
from oodbench.data.dataset import Split
from oodbench.data.device_cache import Resident
from oodbench.data.feed import Fed, Span, feed
from oodbench.data.input_noise import InputNoise
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Need
from oodbench.scoring.batches import Batches, cut
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.gather import Gathered, gatherer, keeps_inputs
from oodbench.scoring.fitting.known import Known
from oodbench.scoring.fitting.state import move
from oodbench.scoring.scored import Pending, Scored, fetched, without_bad_scores
from oodbench.scoring.scorer import Scorer

logger = logging.getLogger(__name__)


def lacks(network: Network, detector: Detector) -> str:
    """Returns what a detector needs and the network lacks; empty if nothing."""
    needs = detector.needs
    if (Need.GRADIENT in needs or detector.objectives) and not network.has_gradients:
        return "the network is an ONNX file, which gives no gradients"
    if Need.HEAD in needs and network.head is None:
        return "the network has no linear layer whose output is the logits"
    if Need.FEATURES in needs and not network.has_features:
        return "the network has no linear layer whose input could be the features"
    if Need.MEMBERS in needs and not network.has_members:
        return "the network is no ensemble; name one with --model a.pt+b.pt"
    if Need.TEXTS in needs and network.texts is None:
        return "the network has no texts of its classes; it is no zero-shot classifier"
    if Need.NEGATIVES in needs and network.negatives is None:
        return "the network has no negative texts; give words by --arg nouns=FILE"
    if Need.BLOCKS in needs and not network.block_names:
        return "the network has no feature maps [N, C, H, W]"
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
    """Keeps the batches that are read under a key."""
    noise: InputNoise | None = None
    """Is added to the pixels; a `key` has to differ with it."""
    fit_seconds: dict[str, float] = field(init=False, default_factory=dict)
    """What `fit` took for each detector, without the pass over the images. What
    detectors share counts for the first."""
    batches: Batches = field(init=False)
    """How many images run at once; fewer than `batch_size` once memory has run out."""

    def __post_init__(self) -> None:
        self.batches = Batches(self.batch_size, self._free)

    def fit(
        self, stage: str, split: Split, *, tell: Tell, key: Hashable = None
    ) -> dict[str, str]:
        """Fits the detectors of a stage (train or val) on one pass over the split.

        With a `key`, equal for equal images, the batches are kept for later passes.

        Returns:
            The detectors that failed, each with the reason.
        """
        fitted = {k: d for k, d in self.detectors.items() if d.fitted_on == stage}
        if not fitted:
            return {}
        try:
            known = self._gather(split, list(fitted.values()), tell, key)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            why = f"{len(split.images)} images to fit on need too much memory"
            return dict.fromkeys(fitted, f"fit failed: {why} ({reason(error)})")
        failures = {}
        moved: dict[Tensor, Tensor] = {}
        # The last one needs no copy of the pixels; banks of them are the largest.
        ordered = sorted(fitted.items(), key=lambda one: keeps_inputs([one[1]]))
        for label, detector in ordered:
            began = time.perf_counter()
            try:
                view = Known(known, detector)
                if label == ordered[-1][0]:
                    view.hand_over_inputs()
                with Containment().watch(type(detector).__name__):
                    detector.fit(view)
                view.check_untouched()
                move(detector, self.network.device, moved)
            except Exception as error:  # noqa: BLE001 - one plug-in must not stop others
                failures[label] = f"fit failed: {reason(error)}"
            self.fit_seconds[label] = time.perf_counter() - began
        return failures

    def score(self, split: Split, *, has_labels: bool, tell: Tell) -> Scored:
        """Scores every image of a split by every detector.

        Args:
            split: The images.
            has_labels: Whether the split's labels are the network's classes.
            tell: Receives the number of images done.
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
        """Yields the scores of spans of a split, while later images are read ahead.

        With `digested` the predictions also have a hash of every image, `digests`; with
        a `key`, equal for equal images, the batches are kept for later passes.
        """
        batches = [list(cut(*span, self.batch_size)) for span in spans]
        flat = [batch for span in batches for batch in span]
        fed = self._feed(split, flat, key, digested)
        scorer = Scorer(self.network, self.detectors, self._free)
        has_labels = has_labels and split.labels is not None
        labels = torch.as_tensor(split.labels) if has_labels else None
        numbers = torch.as_tensor(split.places)

        def score(pixels: Tensor, first: int, start: int, stop: int) -> Pending:
            own = slice(first + start, first + stop)
            known = None if labels is None else labels[own]
            return scorer.score(pixels[start:stop], numbers[own], known)

        for span in batches:
            parts: list[Pending] = []
            digests: list[NDArray[np.uint64]] = []
            for start, stop in span:
                batch = next(fed)
                digests.append(batch.digests)
                work = partial(score, batch.pixels, start)
                parts += self.batches.run(work, stop - start)
                tell(stop - start)
            scored = fetched(parts)
            if digested:
                scored.predictions["digests"] = np.concatenate(digests)
            yield scored

    def _gather(
        self, split: Split, detectors: list[Detector], tell: Tell, key: Hashable
    ) -> Batch:
        gather = gatherer(self.network, detectors)
        numbers = torch.as_tensor(split.places)

        def work(pixels: Tensor, first: int, start: int, stop: int) -> Batch:
            return gather(pixels[start:stop], numbers[first + start : first + stop])

        gathered = Gathered(self.network, split)
        whole = list(cut(0, len(split.images), self.batch_size))
        for (start, stop), fed in zip(
            whole, self._feed(split, whole, key), strict=True
        ):
            work_on = partial(work, fed.pixels, start)
            for part in self.batches.run(work_on, stop - start):
                gathered.add(part)
            tell(stop - start)
        return gathered.whole()

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
            noise=self.noise,
        )
        whole_key = None if key is None else (key, shape, device, digested)
        return self.resident.batches(whole_key, spans, read)

    def _free(self) -> bool:
        """Gives up the batches that are kept; returns whether there were any."""
        if not self.resident.size:
            return False
        self.resident.give_up()
        logger.warning("Out of memory; images stay on the device no longer.")
        return True

"""Scores batches by many detectors, each of which can fail alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from oodbench.base.errors import InputError, reason
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Need
from oodbench.scoring.batches import Batches, frees_nothing
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.gather import all_needs, all_objectives
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Outputs
from oodbench.scoring.predictions import predict
from oodbench.scoring.scored import Pending, Spent
from oodbench.scoring.stopwatch import Stopwatch


class Scorer:
    """Scores the batches of one set. A detector that has failed is not called again.

    Nothing waits for a GPU: it goes on while the next batch is prepared.

    Args:
        network: On the device of the pixels.
        detectors: By label; fitted, if they need fitting.
        free: Frees memory that is used for something else, as in `Batches`.
        contained: Watches the detectors and their objectives.
    """

    def __init__(
        self,
        network: Network,
        detectors: Mapping[str, Detector],
        free: Callable[[], bool] = frees_nothing,
        contained: Containment | None = None,
    ) -> None:
        self._network = network
        self._detectors = dict(detectors)
        self._failures: dict[str, str] = {}
        self._free = free
        self._own_batches: dict[str, Batches] = {}
        self._contained = contained or Containment()

    @torch.no_grad()
    def score(self, pixels: Tensor, numbers: Tensor, labels: Tensor | None) -> Pending:
        """Returns predictions and scores of some images.

        Args:
            pixels: `[N, *shape]` in [0, 1].
            numbers: `[N]`, the images' places in their set.
            labels: `[N]`, numbers of the network's classes, if they are known.
        """
        working = {
            label: detector
            for label, detector in self._detectors.items()
            if label not in self._failures
        }
        # One pass serves all detectors but those that have batches of their own.
        together = [d for k, d in working.items() if k not in self._own_batches]
        batch = self._run(pixels, numbers, together)
        scores: dict[str, Tensor] = {}
        spent: dict[str, list[Spent]] = {}
        for label in working:
            try:
                scores[label], spent[label] = self._scores(label, batch)
            except InputError as error:
                self._failures[label] = str(error)
            except Exception as error:  # noqa: BLE001 - one plug-in must not stop others
                self._failures[label] = reason(error)
        assert batch.logits is not None
        predictions = predict(batch.logits, labels)
        return Pending(predictions, scores, dict(self._failures), spent)

    def _run(self, pixels: Tensor, numbers: Tensor, detectors: list[Detector]) -> Batch:
        return run_network(
            self._network,
            pixels,
            all_objectives(detectors),
            numbers,
            self._contained,
            with_maps=Need.BLOCKS in all_needs(detectors),
        )

    def _scores(self, label: str, batch: Batch) -> tuple[Tensor, list[Spent]]:
        """Returns the scores by one detector, in smaller batches if memory runs out."""
        if label not in self._own_batches:
            try:
                scores, spent = self._score(label, batch)
                return scores, [spent]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, which keeps what was allocated alive.
            half = max(1, len(batch.inputs) // 2)
            self._own_batches[label] = Batches(half, self._free, f" in {label}")

        def score(start: int, stop: int) -> tuple[Tensor, Spent]:
            assert batch.numbers is not None
            pixels, numbers = batch.inputs[start:stop], batch.numbers[start:stop]
            part = self._run(pixels, numbers, [self._detectors[label]])
            return self._score(label, part)

        parts = self._own_batches[label].run(score, len(batch.inputs))
        return torch.cat([scores for scores, _ in parts]), [spent for _, spent in parts]

    def _score(self, label: str, batch: Batch) -> tuple[Tensor, Spent]:
        detector, device = self._detectors[label], batch.inputs.device
        watch = Stopwatch(device)
        view = Outputs(batch, detector)
        images = len(view)
        with self._contained.watch(type(detector).__name__, label):
            scores = detector.score(view)
        view.check_untouched()
        if not isinstance(scores, Tensor):
            raise TypeError(f"score returned {type(scores).__name__}, not a tensor [N]")
        if scores.shape != (images,):
            raise ValueError(
                f"score returned shape {list(scores.shape)} for {images} images, "
                "not [N]"
            )
        found = torch.empty(images, dtype=torch.float64, device=device).copy_(scores)
        watch.stop()
        backward = len(detector.objectives) + view.passes.backward
        return found, Spent(watch, images * view.passes.forward, images * backward)

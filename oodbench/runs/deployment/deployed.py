"""A network with a detector and its threshold, ready to score images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.progress import Watch, unwatched
from oodbench.data.given import Given, pixels_of, several
from oodbench.data.image_set import ImageSet
from oodbench.data.spec import open_dataset
from oodbench.metrics.ranking import FloatArray
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network
from oodbench.results import thresholds
from oodbench.runs.fitted import unship
from oodbench.runs.reopened import fit_of, network_of
from oodbench.scoring import provenance
from oodbench.scoring.batches import Batches
from oodbench.scoring.containment import Trust
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine
from oodbench.scoring.exported import export
from oodbench.scoring.fitting.state import move
from oodbench.scoring.scored import Pending, fetched, without_bad_scores
from oodbench.scoring.scorer import Scorer as BatchScorer
from oodbench.scoring.spec import Entry, open_detector


class Scorer:
    """Scores images by the detector of a threshold. Several threads may share one.

        scorer = oodbench.Scorer.load("energy.json")
        scorer.accepts("photo.png")      # array([ True])
        scorer.scores(pixels)            # of a tensor [N, C, H, W] in [0, 1]

    The network runs for one thread at a time; images are read and adapted at once.

    Attributes:
        threshold: Images that score no less are accepted.
        record: All that is known of the threshold: what it guarantees, intervals, and
            what decided them.
        shape: Of one image as the network takes it.
    """

    def __init__(
        self, network: Network, detector: Detector, record: Record, batch_size: int
    ) -> None:
        self.threshold: float = record["threshold"]
        self.record = record
        self.shape = network.shape
        self._network = network
        self._detectors = {record["detector"]["label"]: detector}
        self._batch_size = batch_size
        self._lock = Lock()

    @classmethod
    def load(
        cls,
        threshold: str | Path | Record,
        *,
        model: Model | None = None,
        checkpoint: Mapping[str, Any] = MappingProxyType({}),
        batch_size: int = 32,
        device: str = "auto",
        watch: Watch = unwatched,
    ) -> Scorer:
        """Opens a threshold with its network and its detector.

        What a fitted detector has learnt is read from the file beside the threshold.
        Where there is none, the detector is fitted again on the set that the record
        names.

        Args:
            threshold: The file that `oodbench.threshold` wrote, or what it returned.
            model: A bundled name, a file, or a network: that of the threshold. None for
                the bundled one of that name.
            checkpoint: Keywords of `load_network` for a file.
            batch_size: Images per pass of the network, at most.
            device: auto, cpu or cuda.
            watch: Receives the progress of fitting.

        Raises:
            InputError: Network, detector or fitting images are not those of the
                threshold, or a file is missing or damaged.
        """
        if isinstance(threshold, dict):
            record, archive = threshold, None
        else:
            path = Path(threshold)
            record, archive = thresholds.read(path), thresholds.archive_of(path)
        if model is None:
            model = _bundled(record["model"]["name"])
        network = network_of(record["model"], model, checkpoint, device)
        network = as_network(network, **record["detector"].get("layers", {}))
        entry = _open(record["detector"], network)
        if record["learnt"] is not None and archive is not None:
            unship(entry.detector, record["learnt"], archive)
            move(entry.detector, network.device, {})
        elif (stage := entry.detector.fitted_on) is not None:
            sample = _open_fit(network, record["detector"])
            tell = watch(f"fit on {sample.dataset.name}", sample.count)
            engine = Engine(network, {entry.label: entry.detector}, batch_size)
            _refuse(entry.label, engine.fit(stage, sample.split, tell=tell))
        return cls(network, entry.detector, record, batch_size)

    def accepts(self, images: Given | Sequence[Given]) -> NDArray[np.bool_]:
        """Returns `[N]`, whether images are accepted as in-distribution."""
        return self.scores(images) >= self.threshold

    def scores(self, images: Given | Sequence[Given]) -> FloatArray:
        """Returns scores `[N]`; a higher one means more in-distribution.

        Images of another size or colour are adapted as those of a data set. A detector
        that draws noise draws it by the place of an image among those given.

        Args:
            images: One image or several: a tensor `[C, H, W]` or `[N, C, H, W]`, an
                array `[H, W]`, `[H, W, C]` or `[N, H, W, C]`, a file, or a list of
                these. Values are uint8, or floats in [0, 1]; C is 1 or 3.

        Raises:
            InputError: There are no images, one is no image, or a score is not finite.
        """
        given = several(images)
        if not len(given):
            raise InputError("There are no images to score.")

        def score(start: int, stop: int) -> Pending:
            return self._score(given[start:stop], start)

        parts = Batches(self._batch_size).run(score, len(given))
        scored = without_bad_scores(fetched(parts))
        (label,) = self._detectors
        _refuse(label, scored.failures)
        return scored.scores[label]

    def export(self, to: str | Path) -> None:
        """Writes network, score and threshold as ONNX or a program of `torch.export`.

        `torch.export.load(to).module()` maps pixels `[N, *shape]` in [0, 1], float32,
        to logits `[N, K]`, scores `[N]` and whether each image is accepted, `[N]`; last
        comes log p(x), `[N]`, where it has a head of its own. So does an ONNX file.
        They need torch or onnxruntime, and no code of oodbench.
        Under onnxruntime scores differ by rounding, at most by 1e-4 or 1e-4 of a score
        on some random pixels, or else there is no file.

        Args:
            to: A file that ends in `.onnx` or `.pt2`.

        Raises:
            InputError: The detector reads more than logits, or it cannot be exported,
                or the file cannot be written.
        """
        ((label, detector),) = self._detectors.items()
        card = {"detector": label, "threshold": self.threshold}
        with self._lock:
            export(self._network, Path(to), detector, self.threshold, card)

    def _score(self, images: Any, first: int) -> Pending:
        network = self._network
        pixels = pixels_of(images, network.shape).to(network.device)
        numbers = torch.arange(first, first + len(pixels))
        scorer = BatchScorer(network, self._detectors, contained=Trust())
        with self._lock:  # hooks in the network belong to one pass
            return scorer.score(pixels, numbers, None)


def _bundled(name: str) -> str:
    if name not in registry.names("models"):
        raise InputError(
            f"The threshold is for the network {name}, which is not a bundled one; "
            "name its file (--model, model=)."
        )
    return name


def _open(record: Record, network: Network) -> Entry:
    """Returns the detector of a threshold, not fitted."""
    entry = open_detector(record["label"])._replace(tuned=record.get("tuned"))
    stage, fit = entry.detector.fitted_on, record["fitted_on"]
    fits: dict[str, str] = {stage: fit["key"]} if stage and fit else {}
    is_known = len(fits) == (stage is not None)
    if not is_known or provenance.method_key(entry, fits, network) != record["key"]:
        raise InputError(
            f"The detector {record['label']} has changed since the threshold was made; "
            "run `oodbench run` and `oodbench threshold` again."
        )
    return entry


def _open_fit(network: Network, detector: Record) -> ImageSet:
    """Opens the images that the detector was fitted on."""
    wanted = detector["fitted_on"]
    if not wanted["spec"]:
        raise InputError(
            f"{detector['label']} was fitted on {wanted['name']}, a set that cannot be "
            "opened by a name; make the threshold from a run of `oodbench run`."
        )
    return fit_of(detector, open_dataset(wanted["spec"]), network)


def _refuse(label: str, failures: dict[str, str]) -> None:
    if label in failures:
        raise InputError(f"{label} cannot score these images: {failures[label]}.")

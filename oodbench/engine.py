"""The shared pass: one run of the network serves every detector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.adapt import adapt
from oodbench.dataset import Split, chunks
from oodbench.detector import Batch, Detector, Known, Need, Objective, Outputs
from oodbench.errors import InputError
from oodbench.network import Network, Result

Tell = Callable[[int], None]
"""Is told of the number of images done, batch by batch."""


class Scored(NamedTuple):
    """What a pass over one split gives."""

    predictions: dict[str, NDArray[np.generic]]
    """Per image `[N]`: `predictions`, `confidences`; with labels `nll`, `brier` too."""
    scores: dict[str, NDArray[np.float64]]
    """By detector, `[N]`."""
    failures: dict[str, str]
    """By detector that has no scores: why."""


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
        for label, detector in fitted.items():
            try:
                view = Known(known, detector)
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
        detectors = dict(self.detectors)
        predictions: dict[str, list[NDArray[np.generic]]] = {}
        scores: dict[str, list[NDArray[np.float64]]] = {
            label: [] for label in detectors
        }
        failures: dict[str, str] = {}
        for batch in self._batches(split, detectors.values(), tell):
            for name, values in _predict(batch, has_labels).items():
                predictions.setdefault(name, []).append(values)
            for label, detector in list(detectors.items()):
                try:
                    scores[label].append(_score(detector, batch))
                except Exception as error:  # noqa: BLE001 - as in fit
                    failures[label] = _reason(error)
                    del detectors[label]
        whole = {label: np.concatenate(scores[label]) for label in detectors}
        for label, values in whole.items():
            if fault := _not_finite(values):
                failures[label] = fault
        return Scored(
            {name: np.concatenate(parts) for name, parts in predictions.items()},
            {label: values for label, values in whole.items() if label not in failures},
            failures,
        )

    def _gather(self, split: Split, detectors: list[Detector], tell: Tell) -> Batch:
        needs = _union(detectors)
        # Controls see pixels alone; for them the network need not run.
        blind = all(detector.control for detector in detectors)
        parts = [
            Batch(
                inputs=batch.inputs.cpu()
                if Need.INPUTS in needs
                else batch.inputs[:, :0],
                logits=_host(batch.logits),
                log_px=_host(batch.log_px),
                features=_host(batch.features if Need.FEATURES in needs else None),
                gradients={key: g.cpu() for key, g in batch.gradients.items()},
            )
            for batch in self._batches(split, detectors, tell, blind=blind)
        ]
        objectives = parts[0].gradients
        return Batch(
            inputs=torch.cat([part.inputs for part in parts]),
            logits=_join([part.logits for part in parts]),
            log_px=_join([part.log_px for part in parts]),
            features=_join([part.features for part in parts]),
            labels=None if split.labels is None else torch.as_tensor(split.labels),
            head=self.network.head,
            gradients={
                key: torch.cat([part.gradients[key] for part in parts])
                for key in objectives
            },
        )

    def _batches(
        self,
        split: Split,
        detectors: Iterable[Detector],
        tell: Tell,
        *,
        blind: bool = False,
    ) -> Iterable[Batch]:
        objectives = dict.fromkeys(o for d in detectors for o in d.objectives)
        for start in range(0, len(split.images), self.batch_size):
            stop = start + self.batch_size
            few = chunks(split.images, start, stop)
            pixels = torch.cat([adapt(images, self.network.shape) for images in few])
            pixels = pixels.to(self.network.device)
            labels = None if split.labels is None else split.labels[start:stop]
            if blind:
                yield Batch(pixels)
            else:
                yield run_network(self.network, pixels, list(objectives), labels)
            tell(len(pixels))


def run_network(
    network: Network,
    pixels: Tensor,
    objectives: list[Objective],
    labels: NDArray[np.int64] | None = None,
) -> Batch:
    """Runs the network forward once, and backward once an objective.

    The gradient of a sum over the batch holds each image's own gradient, since in
    evaluation mode no image influences another.
    """
    gradients: dict[Objective, Tensor] = {}
    if objectives:
        pixels = pixels.requires_grad_(True)
        with torch.enable_grad():
            result = network(pixels)
            for done, objective in enumerate(objectives, 1):
                total = objective(result.logits, result.log_px).sum()
                more = done < len(objectives)
                (gradient,) = torch.autograd.grad(total, pixels, retain_graph=more)
                gradients[objective] = gradient.float()
    else:
        with torch.no_grad():
            result = network(pixels)
    return _detached(result, pixels, labels, network, gradients)


def _detached(
    result: Result,
    pixels: Tensor,
    labels: NDArray[np.int64] | None,
    network: Network,
    gradients: Mapping[Objective, Tensor],
) -> Batch:
    return Batch(
        inputs=pixels.detach(),
        logits=result.logits.detach(),
        log_px=result.log_px.detach(),
        features=None if result.features is None else result.features.detach(),
        labels=None if labels is None else torch.as_tensor(labels),
        head=network.head,
        gradients=gradients,
    )


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


def _score(detector: Detector, batch: Batch) -> NDArray[np.float64]:
    view = Outputs(batch, detector)
    with torch.no_grad():
        scores = detector.score(view)
    view.check_untouched()
    if not isinstance(scores, Tensor):
        raise TypeError(f"score returned {type(scores).__name__}, not a tensor [N]")
    if scores.shape != (len(view),):
        raise ValueError(
            f"score returned shape {list(scores.shape)} for {len(view)} images, not [N]"
        )
    return scores.double().cpu().numpy()


def _not_finite(scores: NDArray[np.float64]) -> str:
    bad = np.flatnonzero(~np.isfinite(scores))
    if not len(bad):
        return ""
    return (
        f"{len(bad)} of {len(scores)} scores are not finite; "
        f"the first, of image {bad[0]}, is {scores[bad[0]]}"
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _union(detectors: Iterable[Detector]) -> Need:
    needs = Need.NOTHING
    for detector in detectors:
        needs |= detector.needs
    return needs


def _host(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.cpu()


def _join(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None

"""The sets and detectors of a run, and what is done with each network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import get_args

import numpy as np
import torch

from oodbench.base.errors import InputError
from oodbench.base.progress import silent
from oodbench.base.registry import PluginError
from oodbench.data.dataset import Dataset, Shape, SplitName
from oodbench.data.fit_split import fit_split
from oodbench.data.image_set import ImageSet, open_images
from oodbench.data.input_noise import check_deviation
from oodbench.networks.network import Network
from oodbench.networks.precision import Precision
from oodbench.runs.cells import complete
from oodbench.runs.execution import Execution
from oodbench.runs.plan import Setup
from oodbench.runs.result import RunResult
from oodbench.scoring.engine import lacks
from oodbench.scoring.spec import Entry, open_detector


@dataclass
class Task:
    """What every network of a run goes through.

    Raises:
        InputError: A name or a number is wrong.
    """

    inside: Dataset
    out: Sequence[Dataset]
    detectors: Sequence[str]
    execution: Execution
    fit: Dataset | None = None
    """The set to fit on; None for the train and val splits of `inside`."""
    limit: int | None = None
    """Take only this many images of every split, evenly spread."""
    precision: Precision = "fp32"
    compiled: bool = False
    """Whether torch.compile runs parts of the networks."""
    input_noise: float = 0.0
    skip_missing: bool = False
    """Whether to leave out sets that cannot be opened, instead of an error."""
    device: str | torch.device = "cpu"
    networks: int = 1
    """How many there are, for the progress of the whole run."""
    result: RunResult = field(init=False)
    _open: Callable[[Dataset, SplitName, Shape], ImageSet] = field(init=False)
    """Opens a split once for all networks that take the same shape."""

    def __post_init__(self) -> None:
        self.result = RunResult(self.execution.store.root)
        if self.limit is not None and self.limit < 1:
            raise InputError(f"The limit must be at least 1, got {self.limit}.")
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise InputError(
                f"The precision must be one of {known}, not {self.precision!r}."
            )
        check_deviation(self.input_noise)
        self._open = cache(partial(open_images, limit=self.limit))
        self.detectors = [spec for spec in self.detectors if self._opens(spec)]

    def score(self, network: Network) -> None:
        """Scores all sets by all detectors on one network, as far as missing.

        Raises:
            InputError: Network, sets and detectors do not fit together; nothing is
                stored of this network.
        """
        network.to(self.device)
        network.precision = self.precision
        network.compiled = self.compiled and bool(network.parts)
        if network.compiled != self.compiled:
            self.result.warnings.append(f"no part of {network.name} can be compiled")
        inside = self._open(self.inside, "test", network.shape)
        inside = inside.numbered_by(network.class_names)
        inside.check_classes(network.name, network.classes)
        out = list(self._open_out(inside, network))
        entries = dict(self._entries(network))
        fits = self._fits(network, entries)
        for fit in fits.values():
            for one in (inside, *out):
                self.result.warnings += _check_unseen(fit, one)
        if self.execution.whole is silent and self.networks * len(out) > 1:
            images = self.networks * sum(one.count for one in (inside, *out))
            self.execution.whole = self.execution.watch("whole run", images)
        setup = Setup(network, inside, entries, fits, self.input_noise)
        complete(setup, [inside, *out], self.execution, self.result)

    def _opens(self, spec: str) -> bool:
        """Returns whether a detector opens; a broken plug-in does not stop the run."""
        try:
            open_detector(spec)
        except PluginError as error:
            self.result.failed[str(spec)] = str(error)
            return False
        return True

    def _open_out(self, inside: ImageSet, network: Network) -> Iterator[ImageSet]:
        """Yields the other sets; a broken plug-in does not stop the run.

        Raises:
            InputError: Sets cannot be opened, and they are not to be left out.
        """
        missing: dict[str, str] = {}
        for dataset in self.out:
            try:
                images = self._open(dataset, "test", inside.shape)
            except PluginError as error:
                self.result.failed[dataset.name] = str(error)
            except InputError as error:
                missing[dataset.name] = str(error)
            else:
                images.check_differs_from(inside)
                yield self._numbered(images, inside, network)
        if missing and not self.skip_missing:
            raise InputError(" ".join(missing.values()))
        self.result.skipped |= missing

    def _numbered(
        self, images: ImageSet, inside: ImageSet, network: Network
    ) -> ImageSet:
        """Returns a set; if it is covariate-shifted, numbered as `inside` is."""
        if images.dataset.role != "covariate":
            return images
        numbered = images.numbered_by(inside.split.class_names or network.class_names)
        if not numbered.has_classes_of(inside, network.classes):
            self.result.warnings.append(
                f"the classes of {images.dataset.name} are not known to be those of "
                f"{inside.dataset.name}, so its accuracy is not computed"
            )
        return numbered

    def _entries(self, network: Network) -> Iterator[tuple[str, Entry]]:
        for spec in self.detectors:
            entry = open_detector(spec)
            if fault := lacks(network, entry.detector):
                self.result.skipped[f"{entry.label} on {network.name}"] = fault
            else:
                yield entry.label, entry

    def _fits(self, network: Network, entries: dict[str, Entry]) -> dict[str, ImageSet]:
        """Opens the fitting splits; removes the detectors for which there is none."""
        fits: dict[str, ImageSet] = {}
        dataset = self.fit or self.inside
        for label, entry in list(entries.items()):
            stage = entry.detector.fitted_on
            if stage is None or stage in fits:
                continue
            try:
                source = fit_split(dataset, stage, named=self.fit is not None)
            except InputError as error:
                self.result.skipped[label] = str(error)
                del entries[label]
            else:
                found = self._open(dataset, source, network.shape)
                fits[stage] = found.numbered_by(network.class_names)
        return fits


def _check_unseen(fit: ImageSet, images: ImageSet) -> Iterator[str]:
    """Refuses to fit on all evaluated images; yields a warning if it is on some."""
    name = f"{fit.stage} images of {fit.dataset.name}"
    shared = 0
    if fit.digests is not None and images.digests is not None:
        shared = int(np.isin(images.digests, fit.digests).sum())
    if fit.has_images_of(images) or shared == images.count:
        raise InputError(
            f"Detectors would be fitted on the {name}, which are evaluated as "
            f"{images.dataset.name}; name another set with --fit."
        )
    if shared:
        yield (
            f"{shared} of {images.count} images of {images.dataset.name} are among "
            f"the {name} that detectors are fitted on"
        )

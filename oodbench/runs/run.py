"""Runs detectors over models and pairs of sets, and stores every score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from oodbench.base.errors import InputError
from oodbench.base.processes import join
from oodbench.base.progress import Watch, unwatched
from oodbench.base.registry import PluginError
from oodbench.data.dataset import Dataset, Shape, SplitName
from oodbench.data.image_set import ImageSet, native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.networks.hardware import pick_device
from oodbench.networks.network import Network, Precision
from oodbench.results.stale import stale_cells
from oodbench.results.store import Store
from oodbench.runs.cells import Cells, Execution, Finished, Overwrite
from oodbench.scoring.engine import lacks
from oodbench.scoring.spec import Entry, open_detector

MODELS = ("jem-digits", "ce-digits")
INSIDE = "digits:0-7"
RESULTS = Path("results/runs")
DETECTORS = (
    "msp",
    "max_logit",
    "energy",
    "entropy",
    "log_px",
    "jem_grad_norm",
    "pixel_knn",
    "pixel_stats",
)
MADE = (
    "photos",
    "noise:gaussian",
    "inverted:{0}",
    "interp:{0}",
    "rotated:{0}",
    "noise:uniform",
)
"""Sets that can be had beside any in-set, without a download."""


def default_out(inside: str) -> list[str]:
    """Returns the sets that are run where nobody names any."""
    near = ["digits:8-9"] if inside == INSIDE else []
    return near + [name.format(inside) for name in MADE]


@dataclass
class Run:
    """One run: the sets and detectors that every network goes through."""

    inside: Dataset
    out: Sequence[Dataset]
    detectors: Sequence[str] = DETECTORS
    fit: Dataset | None = None
    """Where detectors are fitted; None for the in-set's own train and val splits."""
    limit: int | None = None
    """Take only this many images of every split, evenly spread."""
    precision: Precision = "fp32"
    device: str | torch.device = "cpu"
    execution: Execution = field(default_factory=lambda: Execution(Store(RESULTS)))
    finished: Finished = field(init=False, default_factory=Finished)
    _drawn: dict[tuple[Dataset, SplitName, Shape], ImageSet] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"The limit must be at least 1, got {self.limit}.")
        self.detectors = [spec for spec in self.detectors if self._can_open(spec)]

    def network(self, network: Network) -> None:
        """Scores all sets by all detectors on one network, as far as not yet done."""
        network.to(self.device)
        network.precision = self.precision
        inside = self._draw(self.inside, "test", network.shape)
        inside.check_classes(network.name, network.classes)
        out = [self._draw(one, "test", network.shape) for one in self.out]
        for one in out:
            _check_apart(inside, one)
        entries = self._entries(network)
        fits = self._fits(network, entries)
        cells = Cells(
            network=network,
            inside=inside,
            entries=entries,
            fits=fits,
            execution=self.execution,
            finished=self.finished,
        )
        for sample in [inside, *out]:
            cells.complete(sample)

    def _can_open(self, spec: str) -> bool:
        """Tells a broken plug-in, which the run goes on without, from a wrong name."""
        try:
            open_detector(spec)
        except PluginError as error:
            self.finished.failed[spec] = str(error).rstrip(".")
            return False
        return True

    def _entries(self, network: Network) -> dict[str, Entry]:
        entries = {}
        for spec in self.detectors:
            entry = open_detector(spec)
            if reason := lacks(network, entry.detector):
                self.finished.skipped[f"{entry.label} on {network.name}"] = reason
            else:
                entries[entry.label] = entry
        return entries

    def _fits(self, network: Network, entries: dict[str, Entry]) -> dict[str, ImageSet]:
        """Draws the fitting splits; drops the detectors for which there is none."""
        fits: dict[str, ImageSet] = {}
        dataset = self.fit or self.inside
        for label, entry in list(entries.items()):
            stage = entry.detector.fitted_on
            if stage is None or stage in fits:
                continue
            # Who names a set with one split alone means that one.
            alone = self.fit is not None and len(dataset.splits) == 1
            source: SplitName = dataset.splits[0] if alone else stage
            if source in dataset.splits:
                fits[stage] = self._draw(dataset, source, network.shape)
            else:
                self.finished.skipped[label] = (
                    f"fitted on {stage} images, which {dataset.name} has not; "
                    "name a set with --fit"
                )
                del entries[label]
        return fits

    def _draw(self, dataset: Dataset, stage: SplitName, shape: Shape) -> ImageSet:
        """Draws a split once for all networks that take the same shape."""
        place = (dataset, stage, shape)
        if place not in self._drawn:
            self._drawn[place] = open_images(dataset, stage, shape, self.limit)
        return self._drawn[place]


def run(
    models: Iterable[str | Path | Network] = MODELS,
    inside: str = INSIDE,
    out: Sequence[str] | None = None,
    *,
    detectors: Sequence[str] = DETECTORS,
    fit: str | None = None,
    limit: int | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    results: str | Path = RESULTS,
    overwrite: Overwrite = "missing",
    watch: Watch = unwatched,
) -> Finished:
    """Scores pairs of sets by detectors over models; computes only what is missing.

    Args:
        models: Names of plug-ins, files that need no further word, or networks.
        inside: The in-distribution set, such as `digits:0-7`.
        out: The other sets; None for those that need no download.
        detectors: Names with parameters, such as `energy:temperature=2`.
        fit: Where detectors are fitted; None for the in-set's own train split.
        limit: Take only this many images of every split, evenly spread.
        precision: Of the network, fp32 or bf16; scores are computed from float32.
        batch_size: Images a pass of the network; None for a size that mostly fits.
            It is halved when memory runs out.
        workers: Processes that read images ahead; None for some where many files
            are decoded.
        device: auto, cpu, cuda or mps.
        results: The folder to store in.
        overwrite: missing computes what is not there; stale does so and removes the
            cells that are stale by then; always computes everything again.
        watch: Is told of the progress.

    Raises:
        InputError: Something given is wrong; nothing is stored of the model concerned.
    """
    from oodbench.networks.load import as_network

    processes, place = join(pick_device(device))
    inset = open_dataset(inside)
    names = default_out(inside) if out is None else out
    task = Run(
        inside=inset,
        out=[open_dataset(name).beside(inset) for name in names],
        detectors=detectors,
        fit=None if fit is None else open_dataset(fit),
        limit=limit,
        precision=precision,
        device=place,
        execution=Execution(
            store=Store(Path(results)),
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            processes=processes,
            watch=watch if processes.is_first else unwatched,
        ),
    )
    task.finished.is_told = processes.is_first
    task.execution.store.sweep()
    for model in models:
        task.network(as_network(model, shape=native_shape(inset)))
    if overwrite == "stale" and processes.is_first:
        remove_stale(task.execution.store, task.finished)
    return task.finished


def remove_stale(store: Store, finished: Finished) -> None:
    """Removes the cells that a finished run has made stale."""
    for stale in stale_cells(store.sets()):
        if stale.latest in finished.sets:
            stale.cell.remove()
            stale.file.remove_if_empty()
            finished.removed += 1


def _check_apart(inside: ImageSet, out: ImageSet) -> None:
    if out.has_images_of(inside):
        raise InputError(
            f"{out.dataset.name} holds the same images as the in-distribution set "
            f"{inside.dataset.name}; name another set with --out."
        )

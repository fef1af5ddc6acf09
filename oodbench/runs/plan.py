"""Which scores of one network, one in-distribution set and one set are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from oodbench.base.files import Record, folder_name, key_of
from oodbench.data.dataset import outside_of_classes
from oodbench.data.image_set import ImageSet
from oodbench.networks.hardware import first_batch_size
from oodbench.networks.network import Network
from oodbench.results.store import CellFile, SetFile, Store
from oodbench.runs.execution import Execution
from oodbench.scoring import provenance
from oodbench.scoring.spec import Entry


@dataclass(frozen=True, eq=False)
class Setup:
    """One network and one in-distribution set, with the detectors that apply."""

    network: Network
    inside: ImageSet
    entries: Mapping[str, Entry]
    """Detectors by label."""
    fits: Mapping[str, ImageSet]
    """The images that detectors are fitted on, by stage."""
    input_noise: float = 0.0
    """Standard deviation of the noise on evaluated images, for pixels in [-1, 1]."""

    @property
    def title(self) -> str:
        """The network's name, with precision and noise where they are unusual."""
        noise = f" (input noise {self.input_noise:g})" if self.input_noise else ""
        return self.network.title + noise

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides the network's outputs on an image."""
        own = self.network.fingerprint()
        return key_of(own, self.input_noise) if self.input_noise else own

    @cached_property
    def keys(self) -> dict[str, str]:
        """A hash of all that decides a detector's scores, by label."""
        fits = {stage: images.key for stage, images in self.fits.items()}
        return {
            label: provenance.method_key(entry, fits, self.network)
            for label, entry in self.entries.items()
        }

    def file(self, store: Store, images: ImageSet) -> SetFile:
        """Returns the place of a set's scores."""
        return store.set(self._folder, self.inside.folder, images.folder)

    def fitted(self, store: Store) -> Path:
        """Returns the place of what detectors have learnt."""
        return store.root / self._folder / "fitted"

    @property
    def _folder(self) -> str:
        return folder_name(self.title, self.fingerprint)

    def fit_name(self, stage: str) -> str:
        """Returns the name of fitting at a stage, for the progress."""
        images = self.fits[stage]
        return f"fit on {images.dataset.name} {images.stage}"

    def batch_size(self, execution: Execution) -> int:
        """Returns the number of images that the network is given at once."""
        network = self.network
        return execution.batch_size or first_batch_size(network.shape, network.device)

    def role(self, images: ImageSet) -> str:
        """Returns the role that a set has in the results."""
        return "in" if images is self.inside else str(images.dataset.role)

    def about(self, images: ImageSet) -> Record:
        """Returns the record of a set beside the in-distribution set."""
        return {**images.record(), "role": self.role(images)}

    def has_classes(self, images: ImageSet) -> bool:
        """Returns whether the labels of a set are the network's classes."""
        labels = images.split.labels
        is_shifted = images.dataset.role == "covariate"
        means_classes = images is self.inside or (
            is_shifted and images.has_classes_of(self.inside, self.network.classes)
        )
        return (
            means_classes
            and labels is not None
            and not outside_of_classes(labels, self.network.classes)
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """What is missing of one set."""

    setup: Setup
    images: ImageSet
    file: SetFile
    missing: tuple[str, ...]
    """Labels of the detectors without scores."""
    is_complete: bool
    """Whether nothing is missing, predictions and labels included."""

    def cell(self, label: str) -> CellFile:
        """Returns the place of a detector's scores."""
        return self.file.cell(label, self.setup.keys[label])

    @property
    def name(self) -> str:
        """Network and set, for messages."""
        return f"{self.setup.title} on {self.images.dataset.name}"


def plan(setup: Setup, images: ImageSet, execution: Execution) -> Plan:
    """Returns what is missing of one set; all processes of a run get the same."""
    file = setup.file(execution.store, images)
    missing = tuple(
        label
        for label, key in setup.keys.items()
        if execution.overwrite == "always" or not file.cell(label, key).has_scores()
    )
    is_complete = not missing and _is_current(file, setup, images)
    missing, is_complete = execution.processes.agree((missing, is_complete))
    return Plan(setup, images, file, missing, is_complete)


def _is_current(file: SetFile, setup: Setup, images: ImageSet) -> bool:
    """Returns whether a set is stored with what tables read of it now."""
    found = file.load() if file.is_whole() else None
    if found is None:
        return False
    stored, about = found.record["set"], setup.about(images)
    # Losses are stored where the labels are the network's classes.
    return ("nll" in found.arrays) == setup.has_classes(images) and all(
        stored.get(key) == about[key] for key in ("role", "grade", "clusters")
    )

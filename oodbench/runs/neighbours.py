"""Finds the training images nearest to stored ones, in the features of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.progress import Tell, Watch, unwatched
from oodbench.data.dataset import Split
from oodbench.data.feed import feed
from oodbench.data.image_set import ImageSet
from oodbench.data.near import Near
from oodbench.data.recorded import dataset_of
from oodbench.networks.hardware import first_batch_size
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network
from oodbench.results.groups import Group
from oodbench.results.schema import fits
from oodbench.results.thresholds import FIT
from oodbench.runs.reopened import fit_of, network_of
from oodbench.scoring.batches import Batches, cut
from oodbench.scoring.fitting.nearest import Bank
from oodbench.scoring.fitting.rows import Rows
from oodbench.scoring.fitting.statistics import unit
from oodbench.scoring.forward import run_network


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest training images of each image in a report.

        near = oodbench.Neighbours(4, {"resnet": "runs/resnet.pt"})
        oodbench.report(images="all", neighbours=near)

    The distances are Euclidean, of features that are scaled to length 1, as `knn` has
    them. The training images are those that the model's detectors were fitted on.

    Raises:
        InputError: The number is below 1.
    """

    count: int
    """Training images for each image."""
    networks: Mapping[str, Model] = field(default_factory=dict)
    """Files or networks by the models' names in the results. A bundled one is found by
    its name."""
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of `load_network` for them."""
    device: str = "auto"
    """auto, cpu or cuda."""
    watch: Watch = unwatched
    """Receives the progress."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"The neighbours must be at least 1, got {self.count}.")

    def __call__(self, group: Group) -> _Finder:
        """Returns what finds the neighbours of images that one model has scored.

        Raises:
            InputError: The model cannot be had again, or has no features, or none of
                its detectors was fitted, or their images cannot be had again.
        """
        detector = _fitted(group)
        network = self._network(group)
        head = detector.get("layers", {}).get("head", "")
        network = as_network(network, head=head)
        if not network.has_features:
            raise InputError(f"{group.model} has no features.")
        training = fit_of(detector, dataset_of(detector["fitted_on"]), network)
        tell = self.watch(f"features of {training.dataset.name}", training.count)
        bank = Bank.of(_unit_features(network, training.split, tell))
        count = min(self.count, training.count)
        return _Finder(network, training, bank, count, self.watch)

    def _network(self, group: Group) -> Network:
        record = group.inside.record["model"]
        if record.get("input_noise"):
            raise InputError(f"The images that {group.model} has scored had noise.")
        if group.model in self.networks:
            given = self.networks[group.model]
            return network_of(record, given, self.checkpoint, self.device)
        if record["name"] in registry.names("models"):
            return network_of(record, record["name"], {}, self.device)
        raise InputError(
            f"{group.model} is no bundled network; name its file, as in "
            f"--network '{group.model}=FILE'."
        )


def _fitted(group: Group) -> Record:
    """Returns the record of the detector that was fitted on the most images."""
    records = [cell.record["detector"] for cell in group.inside.cells.values()]
    fitted = [one for one in records if fits(one["fitted_on"], FIT)]
    if not fitted:
        raise InputError(f"No detector of {group.model} here is fitted on images.")
    # Of equal ones, one that reads features knows the layer that was chosen for them.
    return max(
        fitted, key=lambda one: (one["fitted_on"]["images"], bool(one.get("layers")))
    )


@dataclass(frozen=True, eq=False)
class _Finder:
    """Finds the neighbours of images that one model has scored."""

    network: Network
    training: ImageSet
    bank: Bank
    """The features of the training images, of length 1."""
    count: int
    """At most M."""
    watch: Watch

    def __call__(self, images: Split) -> Near:
        """Returns the neighbours of some images."""
        tell = self.watch(f"neighbours by {self.network.name}", len(images.images))
        own = _unit_features(self.network, images, tell)
        found = self.bank.first(own, self.count)
        return Near(found.places.numpy(), found.distances.numpy())


def _unit_features(network: Network, split: Split, tell: Tell) -> Tensor:
    """Returns features of length 1, `[N, D]`, on the CPU.

    Args:
        network: Has features.
        split: N images, at least one; each batch is read once.
        tell: Receives the number of images done.
    """
    size = first_batch_size(network.shape, network.device)
    batches, numbers = Batches(size), torch.as_tensor(split.places)
    spans = list(cut(0, len(numbers), size))
    fed = feed(split.images, spans, network.shape, device=network.device)
    rows: Rows | None = None

    def run(pixels: Tensor, first: int, start: int, stop: int) -> Tensor:
        own = numbers[first + start : first + stop]
        features = run_network(network, pixels[start:stop], (), own).features
        assert features is not None
        return unit(features)

    for (start, stop), batch in zip(spans, fed, strict=True):
        for part in batches.run(partial(run, batch.pixels, start), stop - start):
            rows = rows or Rows(len(numbers), part[:0])
            rows.add(part)
        tell(stop - start)
    assert rows is not None
    return rows.whole

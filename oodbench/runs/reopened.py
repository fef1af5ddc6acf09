"""Opens again what stored scores were made with: a network, and fitting images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.data.dataset import Dataset, Shape
from oodbench.data.image_set import ImageSet, open_images
from oodbench.networks.hardware import pick_device
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network


def network_of(
    record: Record, model: Model, checkpoint: Mapping[str, Any], device: str
) -> Network:
    """Returns the network that scores were made with.

    Args:
        record: Of that network.
        model: What should be the same network.
        checkpoint: Keywords of `load_network` for a file.
        device: auto, cpu or cuda.

    Raises:
        InputError: It cannot be loaded, or is another one.
    """
    shape = Shape(*record["shape"])
    described = {"shape": shape, "size": shape[1:], **checkpoint}
    network = as_network(model, **described).to(pick_device(device))
    network.precision = record["precision"]
    if network.fingerprint() == record["key"]:
        return network
    found, wanted = (network.mean, network.std), (record["mean"], record["std"])
    if [list(part) for part in found] != list(wanted):
        raise InputError(
            f"The scores were made with --mean {wanted[0]} and --std {wanted[1]}, not "
            f"{list(found[0])} and {list(found[1])}."
        )
    raise InputError(
        f"The scores were made for another network, {record['name']}; {network.name} "
        "has other weights or another architecture. Name the file that was scored."
    )


def fit_of(detector: Record, dataset: Dataset, network: Network) -> ImageSet:
    """Returns the images that a detector was fitted on.

    Args:
        detector: Its record.
        dataset: The set that should hold them.
        network: The network that takes them.

    Raises:
        InputError: The set holds other images.
    """
    wanted = detector["fitted_on"]
    found = open_images(dataset, wanted["split"], network.shape, wanted["limit"])
    found = found.numbered_by(network.class_names)
    if found.key != wanted["key"]:
        raise InputError(
            f"The {wanted['split']} images of {dataset.name} are not those that "
            f"{detector['label']} was fitted on; run `oodbench run` again, and "
            "`oodbench threshold` where there is one."
        )
    return found

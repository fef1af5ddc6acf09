"""Opens the networks that a user names or gives as objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from torch import nn

from oodbench.data.dataset import Dataset, Shape
from oodbench.data.image_set import native_shape
from oodbench.networks.load import as_network, load_network
from oodbench.networks.network import Network
from oodbench.runs.names import named_file

Model: TypeAlias = str | Path | Network | nn.Module
"""A bundled name, a file, `NAME=FILE`, or a network."""


def open_model(
    model: Model,
    shape: Shape,
    *,
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
) -> Network:
    """Returns the network that a model stands for.

    Args:
        model: What the user gives.
        shape: Of its images, where the model does not say.
        checkpoint: Keywords of `load_network` for files.

    Raises:
        InputError: There is no such model, or it cannot be read, built or run.
    """
    if not isinstance(model, str):
        return as_network(model, shape=shape, **checkpoint)
    name, file = named_file(model)
    network = load_network(file, shape=shape, **checkpoint)
    network.name = name or network.name
    return network


def shape_of(inside: Dataset, size: tuple[int, int] | None) -> Shape:
    """Returns the shape of a set's images, with another height and width if given."""
    shape = native_shape(inside)
    return shape if size is None else Shape(shape.channels, *size)


def title_of(model: Model) -> str:
    """Returns what messages call a model, opened or not."""
    return model.name if isinstance(model, Network) else str(model)

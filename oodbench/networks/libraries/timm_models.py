"""Networks of the timm library, an extra (`oodbench[timm]`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from oodbench.base import extras
from oodbench.base.errors import InputError, reason
from oodbench.base.registry import unknown
from oodbench.data.dataset import Shape
from oodbench.networks.network import Network

PREFIX = "timm:"


class TimmModel(NamedTuple):
    """A module with the preprocessing that timm states for its weights."""

    module: nn.Module
    shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]


def pretrained(name: str) -> Network:
    """Returns a network with the weights that timm downloads or has in its cache.

    Raises:
        InputError: timm is not installed, has no such model, or gets no weights.
    """
    found = build(name, {}, {}, pretrained=True)
    source = {"architecture": f"{PREFIX}{name}", "recognised": f"{name} of timm"}
    return Network(
        found.module, found.shape, name, found.mean, found.std, source=source
    )


def build(
    name: str,
    arguments: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    pretrained: bool = False,
) -> TimmModel:
    """Returns a model of timm.

    Args:
        name: Its name in timm.
        arguments: Of timm's constructor.
        tensors: A state dict whose last layer gives the number of classes.
        pretrained: Whether timm loads its own weights.

    Raises:
        InputError: timm is not installed, has no such model, or cannot build it.
    """
    timm = extras.library("timm", "timm")
    if not timm.is_model(name.partition(".")[0]):
        raise InputError(unknown("timm model", name, timm.list_models()))
    try:
        module = timm.create_model(name, pretrained=pretrained, **arguments)
        heads = module.pretrained_cfg.get("classifier")
        head = heads if isinstance(heads, str) else heads[0]
        names = (f"{head}.weight", f".{head}.weight")
        weights = [tensors[name] for name in tensors if name.endswith(names)]
        if weights and "num_classes" not in arguments:
            module.reset_classifier(len(weights[0]))
    except Exception as error:  # other people's code, and their downloads
        raise InputError(f"timm cannot build {name} ({reason(error)}).") from error
    config = timm.data.resolve_model_data_config(module)
    shape, mean, std = config["input_size"], config["mean"], config["std"]
    return TimmModel(module, Shape(*shape), tuple(mean), tuple(std))

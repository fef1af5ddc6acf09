"""Turns what the user calls a model into a network.

The way: file → tensors → module → `Network`. The names of plug-ins lead there too.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from torch import nn

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.names import named_file
from oodbench.data.dataset import Shape
from oodbench.networks import normalisation
from oodbench.networks.checkpoint import weights_file
from oodbench.networks.checkpoint.matching import Fit
from oodbench.networks.checkpoint.state_dict import find_state_dict, some
from oodbench.networks.ensemble import ensemble
from oodbench.networks.libraries import hugging_face, onnx_file, timm_models
from oodbench.networks.network import Network
from oodbench.networks.plan import plan_network

logger = logging.getLogger(__name__)

Model: TypeAlias = str | Path | Network | nn.Module
"""A bundled name, a file, `NAME=FILE`, `FILE+FILE` for an ensemble, or a network."""


def as_network(
    model: Model, *, head: str = "", blocks: Sequence[str] = (), **options: Any
) -> Network:
    """Returns the network that the user means by a name, a file or an object.

    Args:
        model: A `Network`, what `load_network` takes, or `NAME=FILE` to name it;
            `FILE+FILE` is the ensemble of several.
        head: The layer whose input is the features; empty for the network's own choice.
        blocks: The modules whose feature maps detectors read; likewise.
        options: The keywords of `load_network`.

    Raises:
        InputError: It is no such thing, or cannot be loaded.
    """
    network = _opened(model, options)
    if head or blocks:
        network = replace(
            network,
            head_layer=head or network.head_layer,
            blocks=tuple(blocks) or network.blocks,
        )
    return network


def _opened(model: Model, options: Mapping[str, Any]) -> Network:
    if isinstance(model, Network):
        return _of_size(model, options.get("size"))
    if isinstance(model, nn.Module):
        raise InputError(
            f"The model {type(model).__name__} is a bare module, without the size and "
            "normalisation of its images; pass oodbench.Network(module, shape=(3, 224, "
            "224), mean=..., std=...)."
        )
    if not isinstance(model, str | Path):
        raise InputError(
            f"A model is a name, a file or an oodbench.Network, not a "
            f"{type(model).__name__}."
        )
    name, file = named_file(model) if isinstance(model, str) else ("", model)
    parts = _members(str(file))
    if len(parts) > 1:
        members = [load_network(part, **options) for part in parts]
        return ensemble(members, name or "+".join(one.name for one in members))
    network = load_network(file, **options)
    network.name = name or network.name
    return network


def _members(text: str) -> list[str]:
    """Returns the models of an ensemble, `a.pt+b.pt`; a file's name may have a +."""
    # os.path, since pathlib's raises for texts that no file may be called.
    return [text] if os.path.exists(text) else text.split("+")  # noqa: PTH110


def load_network(
    model: str | Path,
    *,
    arch: str | None = None,
    arch_args: Mapping[str, str] = MappingProxyType({}),
    weights: str | None = None,
    mean: tuple[float, ...] | str | None = None,
    std: tuple[float, ...] | str | None = None,
    usual: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    shape: Shape | None = None,
    size: tuple[int, int] | None = None,
    norm: str | None = None,
    unconditional: bool | None = None,
) -> Network:
    """Returns the network that a plug-in's name or a checkpoint file stands for.

    Args:
        model: A name of the registry, or the path of a file. The architecture of
            oodbench's own files and of the families of docs/families.md is recognised.
            `hf://OWNER/REPO/FILE@REVISION` is downloaded; `timm:NAME`, `hf://OWNER/REPO`
            and a folder of transformers bring all that is needed.
        arch: What builds any other: a name of oodbench's architectures, `timm:NAME`,
            `openclip:NAME`, `package.module:factory` or `file.py:factory`.
        arch_args: Its arguments, read as literals.
        weights: Which weights of the file to take: the keys that lead to them, `ema`
            for averaged ones, `model` for those without average, or the beginning of
            the tensors' names. By default averaged ones where the file has them.
        mean: Of the normalisation, or its name, such as `imagenet`, which gives `std`
            as well; by default the usual one of a recognised family, 0 for a factory.
        std: Likewise; 1 for a factory.
        usual: Mean and deviation in place of 0 and 1 for a factory.
        shape: Of the in-distribution set's images. A factory's network that fails on
            its number of channels gets 1 or 3 channels, whichever it takes.
        size: Height and width of the network's images; by default those that are usual
            for a recognised family, or those of `shape`. What brings its own size
            takes no other.
        norm: A JEM's normalisation, where its weights leave that open.
        unconditional: Whether a JEM's log p(x) is its energy head; inferred by default.

    Raises:
        InputError: There is no such model, or it cannot be read, built or run.
    """
    both = {"norm": norm, "unconditional": unconditional}
    jem = {key: value for key, value in both.items() if value is not None}
    path = _downloaded(model)
    if (load := _whole(model, path)) is not None:
        given = (arch, weights, mean, std)
        if arch_args or jem or any(option is not None for option in given):
            raise InputError(
                f"The model {str(model)!r} brings its own architecture and "
                "preprocessing; options that describe a checkpoint are for files."
            )
        return _of_size(load(), size)
    mean, std = normalisation.given(mean, std)
    path = _existing(path)
    if shape is not None and size is not None:
        shape = Shape(shape.channels, *size)
    if path.suffix == onnx_file.SUFFIX:
        _refuse(path, arch, arch_args, weights, jem)
        return _of_size(onnx_file.network(path, mean, std, shape), size)
    file = weights_file.read(path)
    try:
        found = find_state_dict(file.content, weights)
        plan = plan_network(file, found.tensors, arch, arch_args, shape, size, jem)
        if plan.is_foreign and usual is not None:
            plan.mean, plan.std = usual
        fit = plan.fill(found.tensors)
        assumed = plan.assumptions(is_normalised=None not in (mean, std))
        mean = plan.mean if mean is None else mean
        std = plan.std if std is None else std
        taken = plan.shape_for(max(len(mean), len(std)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    others = found.others if weights is None else []
    _announce(path, f"{plan.name}, images {taken}", assumed, found.how, others, fit)
    how = "; ".join(filter(None, (found.how, str(fit))))
    origin = _origin(path, file.sha256, how)
    source = origin | plan.record | ({"assumed": assumed} if assumed else {})
    network = Network(plan.module, taken, path.stem, mean, std, source=source)
    if plan.class_names and len(plan.class_names) != network.classes:
        raise InputError(
            f"{path}: its card names {len(plan.class_names)} classes, and its network "
            f"has {network.classes}."
        )
    network.class_names = plan.class_names
    return _of_size(network, size)


def _refuse(path: Path, *options: object) -> None:
    """Refuses options that describe weights."""
    if any(options):
        raise InputError(
            f"{path} has its architecture and weights; leave --arch, --arg, --weights "
            "and a JEM's options out."
        )


def _of_size(network: Network, size: tuple[int, int] | None) -> Network:
    """Refuses a size that the network has not been given, since its own is fixed."""
    if size is None or network.shape[1:] == tuple(size):
        return network
    wanted, own = ("x".join(map(str, sides)) for sides in (size, network.shape[1:]))
    raise InputError(
        f"The network {network.name!r} has its own size of images, {own}, and does not "
        f"take {wanted}; leave --size out, or name another network."
    )


def _origin(path: Path, sha256: str, how: str) -> dict[str, str]:
    """Returns the record of a file of weights."""
    return {
        "file": path.name,
        # Separates two files of one name without giving the path away.
        "place": hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16],
        "sha256": sha256,
        "state_dict": how,
    }


def _announce(
    path: Path, what: str, assumed: str, how: str, others: Sequence[str], fit: Fit
) -> None:
    """Logs what was decided without the user."""
    if others:
        logger.warning(
            "%s: the weights %s are taken, and not %s; --weights chooses others.",
            *(path, how, some(others)),
        )
    if assumed:
        logger.warning(
            "%s: recognised as %s. Assumed, since weights do not show it: %s. --mean, "
            "--std, --size and --arch change it.",
            *(path, what, assumed),
        )
    if fit.left_out:
        logger.warning("%s: left out: %s.", path, some(fit.left_out))


def _downloaded(model: str | Path) -> str | Path:
    """Returns the place of a file of Hugging Face; of any other model, itself."""
    is_address = str(model).startswith(hugging_face.PREFIX)
    return hugging_face.download(str(model)) if is_address else model


def _whole(model: str | Path, path: str | Path) -> Callable[[], Network] | None:
    """Returns what loads a model that brings its own architecture; None for a file."""
    if path in registry.names("models"):
        return partial(_call_plugin, str(path))
    if str(path).startswith(timm_models.PREFIX):
        name = str(path).removeprefix(timm_models.PREFIX)
        return partial(timm_models.pretrained, name)
    if hugging_face.is_classifier(Path(path)):
        return partial(hugging_face.classifier, Path(path), Path(model).name)
    return None


def _existing(model: str | Path) -> Path:
    """Refuses a misspelt name; a missing file is refused when it is read."""
    path = Path(model)
    is_word = path.name == str(model) and not path.suffix
    if is_word and not os.path.exists(path):  # noqa: PTH110 - it raises for no name
        known = registry.names("models")
        raise InputError(registry.unknown("model or file", str(model), known))
    return path


def _call_plugin(name: str) -> Network:
    load = registry.load("models", name)
    with registry.foreign(f"The model {name!r} failed with"):
        network = load()
    if not isinstance(network, Network):
        raise InputError(
            f"The model {name!r} is a {type(network).__name__}; its plug-in must "
            "return an oodbench.Network."
        )
    return network

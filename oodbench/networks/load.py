"""Turns what the user calls a model, a name or a checkpoint, into a network."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape
from oodbench.networks import build, state_dict, weights_file
from oodbench.networks.architectures import ARCHITECTURES, jem_wrn
from oodbench.networks.network import Network

CARD = "oodbench"
"""The metadata key under which a safetensors file of ours says in JSON what it is."""


class _Built(NamedTuple):
    """A module with its weights, and what is known of it."""

    module: nn.Module
    shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    record: dict[str, str]


def load_network(
    model: str | Path,
    *,
    arch: str | None = None,
    arch_args: Mapping[str, str] = MappingProxyType({}),
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    shape: Shape | None = None,
    norm: str | None = None,
    unconditional: bool | None = None,
) -> Network:
    """Returns the network that a plug-in's name or a checkpoint file stands for.

    Args:
        model: A name of the registry, or the path of a file. The architecture of our
            own files and of JEMs is recognised.
        arch: What builds any other: `package.module:factory` or `file.py:factory`.
        arch_args: The factory's arguments, read as literals.
        mean: Of the normalisation; by default the recognised one, or 0 with `arch`.
        std: Likewise; 1 with `arch`.
        shape: Of the in-set's images. It is read with `arch` alone, and even then the
            network's own number of channels stands.
        norm: A JEM's normalisation, where its weights leave that open.
        unconditional: Whether a JEM's log p(x) is its energy head; inferred by default.

    Raises:
        InputError: There is no such model, or it cannot be read, built or run.
    """
    if model in registry.names("models"):
        said = (arch, mean, std, norm, unconditional)
        if arch_args or any(option is not None for option in said):
            raise InputError(
                f"The model {model!r} brings its own architecture and preprocessing; "
                "options that describe a checkpoint are for files."
            )
        return _call_plugin(str(model))
    path = _existing(model)
    file = weights_file.read(path)
    try:
        found = state_dict.find_state_dict(file.content)
        card = file.metadata.get(CARD) or _card_inside(file.content)
        _refuse_idle(arch, arch_args, card, norm, unconditional)
        if arch is not None:
            built = _from_factory(found.tensors, arch, arch_args, shape, card)
        elif card is not None:
            built = _from_card(found.tensors, card)
        else:
            built = _from_jem(found.tensors, file.content, norm, unconditional)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    origin = {
        "file": path.name,
        # Tells two files of one name apart without giving the path away.
        "place": hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16],
        "sha256": file.sha256,
        "state_dict": found.how,
    }
    return Network(
        module=built.module,
        shape=built.shape,
        name=path.stem,
        mean=built.mean if mean is None else mean,
        std=built.std if std is None else std,
        source=origin | built.record,
    )


def _existing(model: str | Path) -> Path:
    """Tells a misspelt name from a missing file, which reading it will report."""
    path = Path(model)
    is_word = path.name == str(model) and not path.suffix
    if is_word and not os.path.exists(path):  # noqa: PTH110 - it raises for no name
        known = registry.names("models")
        raise InputError(registry.unknown("model or file", str(model), known))
    return path


def _refuse_idle(
    arch: str | None,
    arch_args: Mapping[str, str],
    card: str | None,
    norm: str | None,
    unconditional: bool | None,
) -> None:
    if arch_args and arch is None:
        raise InputError("--arg is for what --arch names, and there is no --arch.")
    recognised = arch is None and card is None
    if not recognised and (norm is not None or unconditional is not None):
        raise InputError(
            "--norm, --cond and --uncond are for recognised JEM checkpoints only."
        )


def _call_plugin(name: str) -> Network:
    load = registry.load("models", name)
    with registry.foreign(f"The model {name!r} failed with"):
        network = load()
    if not isinstance(network, Network):
        raise InputError(
            f"The model {name!r} is a {type(network).__name__}; its plug-in must "
            "return an oodbench.networks.network.Network."
        )
    return network


def _from_factory(
    tensors: Mapping[str, Tensor],
    arch: str,
    arguments: Mapping[str, str],
    native: Shape | None,
    text: str | None,
) -> _Built:
    if native is None and text is None:
        raise InputError("the size of its images is not in the file; give a shape.")
    module = build.build(arch, arguments)
    record = {"architecture": build.describe(arch, arguments)}
    try:
        state_dict.fill(module, tensors, name=arch)
    except InputError:
        raise
    except Exception as error:  # the user's module may load in its own way
        raise InputError(
            f"its weights cannot be put into {arch}: {type(error).__name__}: {error}"
        ) from error
    if text is not None:
        with _reading_card():
            return _Built(module, *_inputs(json.loads(text)), record)
    assert native is not None
    # Asked of the module, since a file may not keep the order of its tensors.
    channels = state_dict.input_channels(module.state_dict()) or native.channels
    shape = native._replace(channels=channels)
    return _Built(module, shape, (0.0,), (1.0,), record)


def _card_inside(content: object) -> str | None:
    """Returns the card of a checkpoint of `oodbench train`."""
    card = content.get("card") if isinstance(content, Mapping) else None
    return card if isinstance(card, str) else None


def _from_card(tensors: Mapping[str, Tensor], text: str) -> _Built:
    with _reading_card():
        card = json.loads(text)
        settings = dict(card["architecture"])
        if "factory" in settings:
            raise InputError(
                f"its network was built by {settings['factory']}; say so with --arch "
                "and --arg."
            )
        name = settings.pop("name")
        if name not in ARCHITECTURES:
            raise InputError(registry.unknown("architecture", name, ARCHITECTURES))
        layers = len(settings.get("hidden", ()))
        if layers > len(tensors):  # to build them could take all memory
            raise ValueError(f"{layers} layers of {len(tensors)} tensors")
        with torch.device("meta"):
            module = ARCHITECTURES[name](**settings)
        inputs = _inputs(card)
    state_dict.fill(module, tensors, name=name)
    architecture = json.dumps(card["architecture"], sort_keys=True)
    return _Built(module, *inputs, {"architecture": architecture})


def _inputs(
    card: Mapping[str, Any],
) -> tuple[Shape, tuple[float, ...], tuple[float, ...]]:
    """Returns shape, mean and deviation of the images that a card speaks of."""
    shape = Shape(*card["shape"])
    if not all(type(size) is int and 0 < size <= 4096 for size in shape):
        raise ValueError(f"shape {shape}")
    mean, std = (tuple(map(float, card[key])) for key in ("mean", "std"))
    return shape, mean, std


@contextmanager
def _reading_card() -> Iterator[None]:
    """Makes one sentence of whatever a card from elsewhere may cause."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"its card is damaged ({type(error).__name__}: {reason})."
        ) from error


def _from_jem(
    tensors: Mapping[str, Tensor],
    content: object,
    norm: str | None,
    unconditional: bool | None,
) -> _Built:
    module = jem_wrn.recognise(tensors, norm=norm, unconditional=unconditional)
    if module is None:
        raise InputError(
            "its architecture is not recognised (the first tensors are "
            f"{state_dict.some(map(repr, tensors))}); say what builds it, with "
            "--arch package.module:factory or --arch file.py:factory."
        )
    kind = "unconditional" if module.unconditional else "conditional"
    record = {
        "architecture": module.title,
        "norm": f"{module.norm} ({'inferred' if norm is None else 'said'})",
        "kind": f"{kind} ({'inferred' if unconditional is None else 'said'})",
    }
    # [-1, 1] is the convention of all JEM code, and no file says otherwise.
    return _Built(module, _jem_shape(module, content), (0.5,), (0.5,), record)


def _jem_shape(module: jem_wrn.JEMWideResNet, content: object) -> Shape:
    """Reads the size of the images off the replay buffer, where the file has one."""
    buffer = content.get("replay_buffer") if isinstance(content, Mapping) else None
    if isinstance(buffer, Tensor) and buffer.ndim == 4 and buffer.numel() > 0:
        return Shape(*buffer.shape[1:])
    size = 32 if module.f.stages == 3 else 64
    return Shape(module.f.conv1.in_channels, size, size)

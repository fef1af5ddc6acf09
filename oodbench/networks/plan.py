"""Builds the module that the weights of a file belong to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape
from oodbench.networks import architectures
from oodbench.networks.architectures._skeleton import without_weights
from oodbench.networks.build import (
    build_own,
    call_factory,
    describe,
    inputs_of,
    literal,
    own_settings,
)
from oodbench.networks.checkpoint.card import Card, find_card
from oodbench.networks.checkpoint.matching import Fit, fill
from oodbench.networks.checkpoint.state_dict import StateDict, some
from oodbench.networks.checkpoint.weights_file import WeightsFile
from oodbench.networks.hardware import check_activations
from oodbench.networks.libraries import timm_models
from oodbench.networks.normalisation import NORMALISATIONS
from oodbench.networks.precision import make_float32
from oodbench.networks.recognise import Recognised, by_plain_name, recognise
from oodbench.networks.sizes import runs_on
from oodbench.networks.unsupported import refusal
from oodbench.networks.zero_shot import openclip_models
from oodbench.networks.zero_shot.classifier import ZeroShot
from oodbench.networks.zero_shot.prompts import Prompts

_CENTRE = (0.5,)
"""Mean and deviation of images in [-1, 1], the convention of all JEM code."""


@dataclass
class Plan:
    """A module that waits for its weights, and what is known of its images."""

    module: nn.Module
    name: str
    """For messages."""
    shape: Shape
    """Of one image."""
    mean: tuple[float, ...] = _CENTRE
    std: tuple[float, ...] = _CENTRE
    record: dict[str, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    """What the weights do not show; printed and recorded."""
    reason: str = ""
    """Why this normalisation is assumed; empty where it is known."""
    unused: tuple[str, ...] = ()
    """How the names of tensors begin that the file may have and the module does not."""
    class_names: tuple[str, ...] = ()
    finish: Callable[[nn.Module], ZeroShot] | None = None
    """Makes the network of the module, once that has its weights."""
    is_foreign: bool = False
    """Whether the user's code decides how many channels it takes."""

    def assumptions(self, *, is_normalised: bool) -> str:
        """Returns what is assumed; of the normalisation only if none is given."""
        reasons = () if is_normalised else (self.reason,)
        return "; ".join(filter(None, (*reasons, *self.assumed)))

    def fill(self, tensors: StateDict) -> Fit:
        """Gives the module its weights, and makes it the network.

        Raises:
            InputError: Names or shapes differ, or weights are not finite.
        """
        try:
            found = fill(self.module, tensors, name=self.name, unused=self.unused)
        except InputError as error:
            if not self.is_foreign:
                raise
            raise InputError(
                f"{error} --arg KEY=VALUE gives {self.name} other arguments."
            ) from error
        if self.finish is not None:
            self.module = made = self.finish(self.module)
            self.record["scale"] = f"{made.scale:g}"
        return found

    def shape_for(self, values: int) -> Shape:
        """Returns the shape of the images, once the module has its weights.

        Args:
            values: The number of values of the normalisation.
        """
        if not self.is_foreign:
            check_activations(self.module, self.shape)
            return self.shape
        self.module.eval()
        allowed = [each for each in _shapes(self.shape) if values in (1, each.channels)]
        fitting = (each for each in allowed if runs_on(self.module, each))
        return next(fitting, self.shape)


def plan_network(
    file: WeightsFile,
    tensors: StateDict,
    arch: str | None,
    arguments: Mapping[str, str],
    shape: Shape | None,
    size: tuple[int, int] | None,
    jem: Mapping[str, Any],
) -> Plan:
    """Builds the module that a file's weights belong to.

    Args:
        file: The file.
        tensors: The state dict that was found in it.
        arch: What builds the module; None for what the card or the tensors say.
        arguments: Of `arch`, as texts.
        shape: Of the in-distribution set's images.
        size: Height and width of the network's images; None for the usual ones.
        jem: The user's `norm` and `unconditional` of a JEM.

    Raises:
        InputError: The architecture is not known, or an option has no effect.
    """
    card = find_card(file)
    if arguments and arch is None:
        raise InputError("--arg is for what --arch names, and there is no --arch.")
    if jem and not (arch is None and card is None):
        raise InputError(
            "--norm, --cond and --uncond are for recognised JEM checkpoints only."
        )
    if arch is None:
        if card is not None:
            return _carded(card, tensors)
        return _recognised(file, tensors, jem, None, shape, size)
    is_own = arch in architectures.names()
    if card is None and is_own and architectures.load(arch).usual:
        given = own_settings(arch, arguments)
        return _recognised(file, tensors, given, arch, shape, size)
    if arch.startswith(timm_models.PREFIX):
        return _timm(arch, arguments, tensors, size)
    if arch.startswith(openclip_models.PREFIX):
        return _openclip(arch, arguments)
    native = shape if card is None else card.shape
    if native is None:
        raise InputError("the size of its images is not in the file; give a shape.")
    if is_own:
        plan = _named(arch, arguments, tensors, native)
    else:
        module, code = call_factory(arch, arguments)
        record = {"architecture": describe(arch, arguments), "code": code}
        if converted := make_float32(module):  # before the file's weights are rounded
            record["converted"] = converted
        plan = Plan(module, arch, native, (0.0,), (1.0,), record, is_foreign=True)
    if card is not None:
        plan.mean, plan.std, plan.is_foreign = card.mean, card.std, False
        plan.class_names = card.class_names
    return plan


def _timm(
    arch: str,
    arguments: Mapping[str, str],
    tensors: StateDict,
    size: tuple[int, int] | None,
) -> Plan:
    name = arch.removeprefix(timm_models.PREFIX)
    given = {key: literal(text) for key, text in arguments.items()}
    found = timm_models.build(name, given, by_plain_name(tensors))
    shape = found.shape if size is None else Shape(found.shape.channels, *size)
    return Plan(
        found.module,
        f"{name} of timm",
        shape,
        found.mean,
        found.std,
        {"architecture": describe(arch, arguments)},
        reason="size and normalisation of timm's own weights",
    )


def _openclip(arch: str, arguments: Mapping[str, str]) -> Plan:
    prompts = Prompts.read(arguments)
    name = arch.removeprefix(openclip_models.PREFIX)
    found = openclip_models.build(name)
    # Without the folder of local-dir:FOLDER, which is no part of the network.
    kind = openclip_models.PREFIX + name.partition(":")[0]
    return Plan(
        found.module,
        f"{name} of OpenCLIP",
        found.shape,
        found.mean,
        found.std,
        {"architecture": kind, "texts": prompts.record()},
        found.assumed,
        "normalisation of OpenCLIP's configuration",
        openclip_models.UNUSED,
        prompts.classes,
        partial(openclip_models.zero_shot, name=name, prompts=prompts),
    )


def _named(
    name: str, arguments: Mapping[str, str], tensors: StateDict, native: Shape
) -> Plan:
    """Builds an architecture of oodbench, with the sizes that its tensors have."""
    given, plain = own_settings(name, arguments), by_plain_name(tensors)
    family = architectures.load(name)
    found = family.recognise(plain, given) or {}
    for shape in _shapes(native):
        settings = {**inputs_of(name, shape), **found, **given}
        with without_weights():
            module = build_own(name, settings)
        own = module.state_dict()
        if all(plain[key].shape == own[key].shape for key in own if key in plain):
            break
    text = json.dumps({"name": name, **settings}, sort_keys=True)
    record = {"architecture": text}
    return Plan(module, name, shape, record=record, unused=family.unused)


def _carded(card: Card, tensors: StateDict) -> Plan:
    if card.factory:
        raise InputError(
            f"its network was built by {card.factory}; name it with --arch and --arg."
        )
    layers = card.settings.get("hidden")
    if isinstance(layers, list) and len(layers) > len(tensors):  # to build them is long
        raise InputError(
            f"its card is damaged: {len(layers)} layers of {len(tensors)} tensors."
        )
    with without_weights():
        module = build_own(card.name, card.settings)
    text = json.dumps({"name": card.name, **card.settings}, sort_keys=True)
    record = {"architecture": text}
    plan = Plan(module, card.name, card.shape, card.mean, card.std, record)
    plan.class_names = card.class_names
    if card.assumed:
        plan.record["assumed"] = card.assumed
    return plan


def _recognised(
    file: WeightsFile,
    tensors: StateDict,
    given: Mapping[str, Any],
    name: str | None,
    inside: Shape | None,
    size: tuple[int, int] | None,
) -> Plan:
    """Builds the architecture that tensors show, with what is usual for the rest."""
    keys = list(file.content) if isinstance(file.content, Mapping) else []
    found = recognise(tensors, keys, given, name)
    if found is None:
        if name is None and (why := refusal(by_plain_name(tensors))):
            raise InputError(why)
        what = "its architecture is not recognised" if name is None else f"no {name}"
        raise InputError(
            f"{what} (the first tensors are {some(map(repr, tensors))}); name what "
            "builds it, with --arch package.module:factory or --arch file.py:factory."
        )
    if name is None and given and found.name != "jem_wrn":
        raise InputError(
            "--norm, --cond and --uncond are for recognised JEM checkpoints only, and "
            f"this is {found.usual.title}."
        )
    usual = found.usual
    with without_weights():
        module = build_own(found.name, found.settings)
    values = NORMALISATIONS[usual.normalisation]
    return Plan(
        module,
        usual.title,
        _usual_shape(found, file.content, inside, size),
        values.mean,
        values.std,
        _record(found, given),
        assumed=usual.assumed,
        reason=f"normalisation {usual.normalisation} ({usual.reason})",
        unused=found.unused,
    )


def _record(found: Recognised, given: Mapping[str, Any]) -> dict[str, str]:
    text = json.dumps({"name": found.name, **found.settings}, sort_keys=True)
    record = {"architecture": text, "recognised": found.usual.title}
    if found.name == "jem_wrn":
        how = {key: "given" if key in given else "inferred" for key in found.settings}
        is_head = found.settings["unconditional"]
        kind = "unconditional" if is_head else "conditional"
        record["norm"] = f"{found.settings['norm']} ({how['norm']})"
        record["kind"] = f"{kind} ({how['unconditional']})"
    return record


def _usual_shape(
    found: Recognised,
    content: object,
    inside: Shape | None,
    size: tuple[int, int] | None,
) -> Shape:
    """Returns the shape of the images: given, of the replay buffer, or usual."""
    channels, side = found.settings.get("channels", 3), found.usual.side
    buffer = content.get("replay_buffer") if isinstance(content, Mapping) else None
    if size is not None:
        return Shape(channels, *size)
    if isinstance(buffer, Tensor) and buffer.ndim == 4 and buffer.numel() > 0:
        return Shape(*buffer.shape[1:])
    if found.usual.takes_smaller and inside is not None and max(inside[1:]) < side:
        return Shape(channels, *inside[1:])
    return Shape(channels, side, side)


def _shapes(native: Shape) -> list[Shape]:
    """Returns a shape, and the same with 1 and 3 channels."""
    both = [native._replace(channels=number) for number in (1, 3)]
    return list(dict.fromkeys([native, *both]))

"""One pass of a network over a batch, with the gradients that detectors list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.base.errors import InputError, reason
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network
from oodbench.networks.precision import products
from oodbench.networks.result import Result
from oodbench.scoring.batch import Batch, Objective
from oodbench.scoring.containment import Containment


def run_network(
    network: Network,
    pixels: Tensor,
    objectives: Sequence[Objective],
    numbers: Tensor,
    contained: Containment | None = None,
    *,
    with_maps: bool = False,
    given: Mapping[str, Tensor] = MappingProxyType({}),
    attached: bool = False,
) -> Batch:
    """Runs the network forward once, and backward once per objective.

    The gradient of a sum over the batch holds each image's own gradient, since in
    evaluation mode no image influences another.

    Args:
        network: On the device of the pixels.
        pixels: `[N, *shape]` in [0, 1].
        objectives: The objectives to differentiate by the pixels.
        numbers: `[N]`, the images' places in their set.
        contained: Watches the objectives during a pass over a set.
        with_maps: Whether to keep the feature maps of the blocks, and to differentiate
            by them, too.
        given: Maps that blocks return in the place of their own.
        attached: Whether the outputs, gradients included, can be differentiated by the
            pixels, which require gradients then.

    Raises:
        InputError: The network fails on them.
    """
    contained = contained or Containment()
    if objectives and not attached:
        pixels = pixels.detach().requires_grad_(True)
    with (
        torch.set_grad_enabled(bool(objectives) or attached),
        products(pixels.device, network.precision),
    ):
        result = _forward(network, pixels, numbers, with_maps, given)
        found = _differentiated(pixels, result, objectives, contained, attached)
    take = _itself if attached else torch.detach

    def rerun(
        pixels: Tensor, objectives: Sequence[Objective], given: Mapping[str, Tensor]
    ) -> Batch:
        return run_network(
            network,
            pixels,
            objectives,
            numbers,
            contained,
            with_maps=with_maps,
            given=given,
            attached=attached,
        )

    return Batch(
        inputs=take(pixels),
        logits=take(result.logits),
        log_px=take(result.log_px),
        features=None if result.features is None else take(result.features),
        members=None if result.members is None else take(result.members),
        texts=network.texts,
        negatives=network.negatives,
        head=network.head,
        gradients={o: own[0] for o, own in found.gradients.items()},
        faults=found.faults,
        numbers=numbers,
        blocks=network.block_names if with_maps else (),
        maps={name: take(one) for name, one in result.maps.items()},
        map_gradients={
            (name, objective): one
            for objective, own in found.gradients.items()
            for name, one in zip(result.maps, own[1:], strict=True)
        },
        rerun=rerun,
    )


def _itself(value: Tensor) -> Tensor:
    return value


def _forward(
    network: Network,
    pixels: Tensor,
    numbers: Tensor,
    with_maps: bool,
    given: Mapping[str, Tensor],
) -> Result:
    try:
        return network(pixels, with_maps=with_maps, given=given)
    except Exception as error:  # other people's code
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"The network {network.name!r} fails on images {numbers[0]} to "
            f"{numbers[-1]} of the set ({reason(error)}). `oodbench --debug` shows "
            "where."
        ) from error


class _Differentiated(NamedTuple):
    """The gradients of objectives, or why they do not exist."""

    gradients: dict[Objective, tuple[Tensor, ...]]
    """By the pixels, then by each map."""
    faults: dict[Objective, Exception]


def _differentiated(
    pixels: Tensor,
    result: Result,
    objectives: Sequence[Objective],
    contained: Containment,
    attached: bool,
) -> _Differentiated:
    found = _Differentiated({}, {})
    for done, objective in enumerate(objectives, 1):
        try:
            total = _total(objective, result, contained)
        except Exception as error:  # noqa: BLE001 - it comes from a plug-in
            # Without the traceback, which keeps all that was allocated alive.
            found.faults[objective] = error.with_traceback(None)
            continue
        sources = (pixels, *result.maps.values())
        keep = attached or done < len(objectives)
        own = _gradients(total, sources, keep=keep, attached=attached)
        if isinstance(own, Exception):
            found.faults[objective] = own
        else:
            found.gradients[objective] = own
    return found


def _total(objective: Objective, result: Result, contained: Containment) -> Tensor:
    name = getattr(objective, "__name__", type(objective).__name__)
    with contained.watch(f"the objective {name}", objective):
        # Clones, since objectives come from plug-ins and could write into them.
        return objective(result.copy()).sum()


def _gradients(
    total: Tensor, sources: Sequence[Tensor], *, keep: bool, attached: bool
) -> tuple[Tensor, ...] | Exception:
    """Returns ∂ total / ∂ each source, or why there is none by the first source."""
    try:
        # A map that the total does not depend on has gradient 0.
        pixels, *maps = torch.autograd.grad(
            total,
            sources,
            retain_graph=keep,
            create_graph=attached,
            allow_unused=True,
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return error.with_traceback(None)
    if pixels is None:
        return RuntimeError("it does not depend on the pixels")
    own = [
        torch.zeros_like(source) if one is None else one
        for source, one in zip(sources[1:], maps, strict=True)
    ]
    return tuple(one.float() for one in (pixels, *own))

"""One pass of a network over a batch, with the gradients that detectors list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from oodbench.base.errors import InputError, reason
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network, Result
from oodbench.scoring.containment import Containment
from oodbench.scoring.outputs import Batch, Objective


def run_network(
    network: Network,
    pixels: Tensor,
    objectives: Sequence[Objective],
    numbers: Tensor,
    contained: Containment | None = None,
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

    Raises:
        InputError: The network fails on them.
    """
    contained = contained or Containment()
    gradients: dict[Objective, Tensor] = {}
    faults: dict[Objective, Exception] = {}
    if objectives:
        pixels = pixels.detach().requires_grad_(True)
    with torch.set_grad_enabled(bool(objectives)):
        result = _forward(network, pixels, numbers)
        for done, objective in enumerate(objectives, 1):
            try:
                total = _total(objective, result, contained)
            except Exception as error:  # noqa: BLE001 - it comes from a plug-in
                # Without the traceback, which keeps all that was allocated alive.
                faults[objective] = error.with_traceback(None)
                continue
            more = done < len(objectives)
            found = _gradient(total, pixels, keep=more)
            if isinstance(found, Exception):
                faults[objective] = found
            else:
                gradients[objective] = found
    return Batch(
        inputs=pixels.detach(),
        logits=result.logits.detach(),
        log_px=result.log_px.detach(),
        features=None if result.features is None else result.features.detach(),
        head=network.head,
        gradients=gradients,
        faults=faults,
        numbers=numbers,
        rerun=partial(_rerun, network, numbers, contained),
    )


def _rerun(
    network: Network,
    numbers: Tensor,
    contained: Containment,
    pixels: Tensor,
    objectives: Sequence[Objective],
) -> Batch:
    return run_network(network, pixels, objectives, numbers, contained)


def _forward(network: Network, pixels: Tensor, numbers: Tensor) -> Result:
    try:
        return network(pixels)
    except Exception as error:  # other people's code
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"The network {network.name!r} fails on images {numbers[0]} to "
            f"{numbers[-1]} of the set ({reason(error)}). `oodbench --debug` shows "
            "where."
        ) from error


def _total(objective: Objective, result: Result, contained: Containment) -> Tensor:
    name = getattr(objective, "__name__", type(objective).__name__)
    with contained.watch(f"the objective {name}", objective):
        # Clones, since objectives come from plug-ins and could write into them.
        return objective(result.copy()).sum()


def _gradient(total: Tensor, pixels: Tensor, *, keep: bool) -> Tensor | Exception:
    """Returns ∂ total / ∂ pixels, or why it does not exist."""
    try:
        (gradient,) = torch.autograd.grad(total, pixels, retain_graph=keep)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return error.with_traceback(None)
    return gradient.float()

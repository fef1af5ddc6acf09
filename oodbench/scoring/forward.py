"""One pass of a network over a batch, with the gradients that detectors ask for."""

from __future__ import annotations

from collections.abc import Sequence

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
) -> Batch:
    """Runs the network forward once, and backward once an objective.

    The gradient of a sum over the batch holds each image's own gradient, since in
    evaluation mode no image influences another.

    Args:
        network: On the device of the pixels.
        pixels: `[N, *shape]` in [0, 1].
        objectives: Whose gradients detectors ask for.
        numbers: `[N]`, the images' places in their set.

    Raises:
        InputError: The network fails on them.
    """
    gradients: dict[Objective, Tensor] = {}
    faults: dict[Objective, str] = {}
    if objectives:
        pixels = pixels.detach().requires_grad_(True)
    with torch.set_grad_enabled(bool(objectives)):
        result = _forward(network, pixels, numbers)
        for done, objective in enumerate(objectives, 1):
            more = done < len(objectives)
            try:
                gradients[objective] = _gradient(objective, result, pixels, keep=more)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                faults[objective] = f"its objective failed: {reason(error)}"
    return Batch(
        inputs=pixels.detach(),
        logits=result.logits.detach(),
        log_px=result.log_px.detach(),
        features=None if result.features is None else result.features.detach(),
        head=network.head,
        gradients=gradients,
        faults=faults,
        numbers=numbers,
        rerun=lambda other, asked: run_network(network, other, asked, numbers),
    )


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


def _gradient(
    objective: Objective, result: Result, pixels: Tensor, *, keep: bool
) -> Tensor:
    name = getattr(objective, "__name__", type(objective).__name__)
    with Containment().watch(f"the objective {name}"):
        # Clones, since objectives come from plug-ins and could write into them.
        total = objective(result.logits.clone(), result.log_px.clone()).sum()
    (gradient,) = torch.autograd.grad(total, pixels, retain_graph=keep)
    return gradient.float()

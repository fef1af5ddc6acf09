"""A detector's score as an attacker sees it, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench.attacks.images import Images
from oodbench.attacks.objective import Aim
from oodbench.jem.sampler import Noise
from oodbench.networks.network import Network
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Batch, Objective, Outputs


@dataclass(frozen=True)
class RaiseScore:
    """Wants images to score high, to pass for in-distribution."""

    network: Network
    detector: Detector
    """Fitted, if it needs fitting."""
    enough: float = field(init=False, default=torch.inf)
    copies: int = field(init=False, default=1)

    def __call__(self, pixels: Tensor, images: Images, noise: Noise) -> Aim:
        """Returns the scores `[N]` of pixels `[N, C, H, W]` in the place of images."""
        run = differentiable if pixels.requires_grad else run_network
        batch = run(self.network, pixels, self.detector.objectives, images.numbers)
        with Containment().watch(type(self.detector).__name__):
            scores = self.detector.score(Outputs(batch, self.detector))
        return Aim(scores, scores.detach())


def differentiable(
    network: Network, pixels: Tensor, objectives: Sequence[Objective], numbers: Tensor
) -> Batch:
    """Runs the network as the engine does, but all that it gives can be differentiated.

    Args:
        network: On the device of the pixels.
        pixels: `[N, *shape]` in [0, 1], of a graph that leads to whatever is wanted.
        objectives: Whose gradients detectors ask for.
        numbers: `[N]`, the images' places in their set.
    """
    result = network(pixels)
    gradients = {}
    for objective in objectives:
        total = objective(result.logits.clone(), result.log_px.clone()).sum()
        (gradient,) = torch.autograd.grad(total, pixels, create_graph=True)
        gradients[objective] = gradient.float()
    return Batch(
        inputs=pixels,
        logits=result.logits,
        log_px=result.log_px,
        features=result.features,
        head=network.head,
        gradients=gradients,
        numbers=numbers,
        rerun=lambda other, asked: differentiable(network, other, asked, numbers),
    )

"""The optimiser of a training, and the moving average of its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oodbench.jem.training.recipe import Recipe

MOMENTUM = 0.9


def optimiser_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Returns the recipe's optimiser of all weights, at the rate 0."""
    weights = module.parameters()
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            weights, lr=0.0, momentum=MOMENTUM, weight_decay=recipe.weight_decay
        )
    return torch.optim.Adam(weights, lr=0.0, weight_decay=recipe.weight_decay)


def moving_average(module: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """Returns the exponential moving average of a module; None if not wanted."""
    if not recipe.ema:
        return None

    def update(averages: Any, weights: Any, count: Tensor | int) -> None:
        # The first weights are soon forgotten, so that short runs gain, too.
        decay = min(recipe.ema, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(decay)(averages, weights, count)

    return AveragedModel(module, multi_avg_fn=update, use_buffers=True)


def lay_out_alike(optimiser: torch.optim.Optimizer) -> None:
    """Gives moments the memory format of their weights, which fused updates need."""
    for weight, moments in optimiser.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape:
                moments[name] = torch.empty_like(weight).copy_(moment)

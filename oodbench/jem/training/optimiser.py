"""What moves the weights, and their average."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oodbench.jem.training.recipe import Recipe

MOMENTUM = 0.9


def new_optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Returns Adam or SGD on a module's weights."""
    weights = module.parameters()
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            weights, lr=0.0, momentum=MOMENTUM, weight_decay=recipe.weight_decay
        )
    return torch.optim.Adam(weights, lr=0.0, weight_decay=recipe.weight_decay)


def new_average(module: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """Returns what averages a module's weights exponentially; None for no average."""
    if not recipe.ema:
        return None

    def update(averages: Any, weights: Any, count: Tensor | int) -> None:
        # The first weights are soon forgotten, so that short runs gain, too.
        decay = min(recipe.ema, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(decay)(averages, weights, count)

    return AveragedModel(module, multi_avg_fn=update, use_buffers=True)

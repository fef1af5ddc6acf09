"""Trains a small network on a data set and writes it down with its card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from oodbench.adapt import adapt
from oodbench.architectures import ARCHITECTURES
from oodbench.dataset import chunks
from oodbench.dataset_spec import open_dataset
from oodbench.engine import Tell, pick_device
from oodbench.errors import InputError
from oodbench.jem.train import Recipe, Trainer
from oodbench.results import write_atomically
from oodbench.sample import Sample, draw, native_shape

CENTRE = 0.5
"""Mean and deviation of the normalisation, which maps pixels to [-1, 1]."""


@dataclass(frozen=True)
class Trained:
    """A trained module with all that is needed to build and trust it."""

    module: nn.Module
    card: dict[str, Any]

    def write(self, path: Path) -> None:
        """Writes the weights with the card inside, and the card beside them.

        Raises:
            InputError: The file cannot be written.
        """
        card = json.dumps(self.card, indent=1, sort_keys=True)
        weights = {k: v.cpu().contiguous() for k, v in self.module.state_dict().items()}
        content = safetensors.torch.save(weights, {"oodbench": card})
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), f"{card}\n".encode())


def train(
    inside: str,
    recipe: Recipe,
    *,
    hidden: tuple[int, ...] = (256, 256),
    activation: str = "leaky_relu",
    device: str = "auto",
    command: str = "",
    note: str = "",
    watch: Callable[[str, int], Tell] = lambda stage, total: lambda steps: None,
) -> Trained:
    """Trains an MLP on the train split of a labelled set.

    Args:
        inside: The set, such as `digits:0-7`.
        recipe: How to train.
        hidden: Widths of the hidden layers.
        activation: silu or leaky_relu.
        device: auto, cpu, cuda or mps.
        command: What to type for the same again, for the card.
        note: What else the card shall say.
        watch: Is told of the iterations.

    Raises:
        InputError: The set cannot be used, or training diverges.
    """
    dataset = open_dataset(inside)
    shape = native_shape(dataset)
    place = pick_device(device)
    sample = draw(dataset, "train", shape)
    images, labels = (part.to(place) for part in _tensors(sample))
    network = {
        "name": "mlp",
        "inputs": list(shape),
        "hidden": list(hidden),
        "classes": int(labels.max()) + 1,
        "activation": activation,
    }
    module = _build(network, recipe.seed).to(place)
    tell = watch(f"training on {inside}", recipe.iterations)
    Trainer(module, images, labels, recipe).run(lambda progress: tell(1))
    accuracy = {
        stage: _accuracy(module, draw(dataset, stage, shape))
        for stage in ("val", "test")
    }
    return Trained(
        module,
        {
            "architecture": network,
            "shape": list(shape),
            "mean": [CENTRE],
            "std": [CENTRE],
            "command": command,
            "note": note,
            "trained_on": sample.record(),
            "recipe": asdict(recipe),
            "accuracy": accuracy,
            "versions": {
                name: version(name) for name in ("oodbench", "torch", "numpy")
            },
        },
    )


def _build(network: dict[str, Any], seed: int) -> nn.Module:
    arguments = {key: value for key, value in network.items() if key != "name"}
    # Modules draw their first weights from the global generator; it is put back after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[network["name"]](**arguments)


def _tensors(sample: Sample) -> tuple[Tensor, Tensor]:
    """Returns a sample's images on the network's scale and their labels."""
    if sample.split.labels is None:
        raise InputError(
            f"{sample.dataset.name} has no labels to train a classifier with."
        )
    pixels = torch.cat(
        [adapt(images, sample.shape) for images in chunks(sample.split.images)]
    )
    return (pixels - CENTRE) / CENTRE, torch.as_tensor(sample.split.labels)


@torch.no_grad()
def _accuracy(module: nn.Module, sample: Sample) -> float:
    images, labels = _tensors(sample)
    device = next(module.parameters()).device
    predictions = module(images.to(device)).argmax(1).cpu()
    return float((predictions == labels).double().mean())

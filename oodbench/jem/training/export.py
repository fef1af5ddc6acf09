"""Weights alone in a file, with the card that says what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from oodbench.base.errors import InputError
from oodbench.base.files import Record, write_atomically


@dataclass(frozen=True)
class Trained:
    """A trained module with all that is needed to build and trust it."""

    module: nn.Module
    card: Record

    def write(self, path: Path) -> None:
        """Writes the weights with the card inside, and the card beside them.

        Raises:
            InputError: The file cannot be written.
        """
        card = json.dumps(self.card, indent=1, sort_keys=True)
        check_export(path)
        # Copies, since tied weights share their memory.
        weights = {
            name: weight.cpu().clone(memory_format=torch.contiguous_format)
            for name, weight in self.module.state_dict().items()
        }
        content = safetensors.torch.save(weights, {"oodbench": card})
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), f"{card}\n".encode())


def check_export(path: Path) -> None:
    """Holds a path to what an export needs, before hours are spent on it.

    Raises:
        InputError: It has another ending, or a file that is no card lies beside it.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"--export must end in .safetensors, got {path}.")
    card = path.with_suffix(".json")
    try:
        is_card = not card.exists() or "recipe" in json.loads(card.read_bytes())
    except (OSError, ValueError, TypeError):
        is_card = False
    if not is_card:
        raise InputError(
            f"{card} is no card of a model, and would be overwritten; name another "
            "--export."
        )

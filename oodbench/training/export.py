"""Weights alone in a file, with the card that says what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import nn

from oodbench.results import Record, write_atomically


@dataclass(frozen=True)
class Trained:
    """A trained module with all that is needed to build and trust it."""

    module: nn.Module
    card: Record
    is_told: bool = True
    """Whether this process is the one to write it down."""

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

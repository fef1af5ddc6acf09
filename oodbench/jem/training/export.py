"""Trained weights, and their export to a file with a card."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from oodbench.base.errors import InputError
from oodbench.base.files import Record, write_atomically


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained module, and the card that describes it and builds it again."""

    module: nn.Module
    card: Record
    path: Path | None = None
    """Where `oodbench train` wrote the weights."""

    def __repr__(self) -> str:
        return f"<Trained {self}>"

    def __str__(self) -> str:
        measured = self.card.get("accuracy", {}).items()
        values = ", ".join(f"{value:.4f} on {stage}" for stage, value in measured)
        return f"{self.path or 'not written'}: accuracy {values or 'not measured'}"

    def write(self, path: Path) -> None:
        """Writes the weights with the card inside, and the card beside them.

        Raises:
            InputError: The file cannot be written.
        """
        card = json.dumps(self.card, indent=1, sort_keys=True)
        # Copies, since tied weights share their memory.
        weights = {
            name: weight.cpu().clone(memory_format=torch.contiguous_format)
            for name, weight in self.module.state_dict().items()
        }
        content = safetensors.torch.save(weights, {"oodbench": card})
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), f"{card}\n".encode())


def check_export(path: Path) -> None:
    """Checks that weights can be written to a path, before hours of training.

    Raises:
        InputError: Its folder cannot be written to, or a file that is no card would be
            overwritten.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(path.parent, os.W_OK) else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if path.is_dir():
        reason = "Is a directory"
    if reason:
        raise InputError(f"Cannot write {path}: {reason}. Name another --export.")
    card = path.with_suffix(".json")
    try:
        is_card = not card.exists() or "recipe" in json.loads(card.read_bytes())
    except (OSError, ValueError, TypeError):
        is_card = False
    if not is_card:
        raise InputError(
            f"{card} is not a card of a model, and would be overwritten; name another "
            "--export."
        )

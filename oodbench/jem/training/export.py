"""Trained weights, and their export to a file with a card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from oodbench.base.files import Record
from oodbench.networks.checkpoint import card


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
        """Writes the weights with the card inside, and the card next to them.

        Raises:
            InputError: The file cannot be written.
        """
        card.write(path, self.module, self.card)

"""The folder of a training run: its checkpoint, its log and pictures of its chains."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oodbench.base.errors import InputError
from oodbench.base.files import Record, write_atomically
from oodbench.data.image_png import png_grid
from oodbench.jem.training.guard import State
from oodbench.networks import weights_file

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
SAVE_SECONDS = 60.0
"""Between two checkpoints on disk, at least."""
SHOWN = 64
"""Chains in a picture."""
DECIDES = ("architecture", "shape", "mean", "std", "trained_on", "recipe")
"""What of a card makes another run of it."""


@dataclass
class TrainingFolder:
    """What a run leaves while it lasts; a run of the same card goes on from it."""

    path: Path
    card: Record
    _unsaved: list[State] = field(default_factory=list)
    _saved_at: float = field(default=-SAVE_SECONDS)

    def read(self) -> list[State]:
        """Returns the states to go on from, the older first; none for a new run.

        Raises:
            InputError: The checkpoint is damaged, or of another run.
        """
        place = self.path / CHECKPOINT
        if not place.exists():
            return []
        try:
            content = weights_file.read(place).content
        except InputError as error:
            raise InputError(f"{error} Or start anew with --overwrite.") from error
        try:
            assert isinstance(content, dict)
            card = json.loads(content.pop("card"))
            before = content.pop("before")
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{place} is no checkpoint of `oodbench train`; name another --to."
            ) from error
        self._compare(card)
        return [content] if before is None else [before, content]

    def clear(self) -> None:
        """Removes what an earlier run left."""
        for path in [*self.path.glob("buffer-*.png"), self.path / LOG]:
            path.unlink(missing_ok=True)

    def save(self, states: list[State]) -> None:
        """Writes the last states, unless others were written a moment ago."""
        self._unsaved = states
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what is not yet on disk."""
        if not self._unsaved:
            return
        *before, last = self._unsaved
        buffer = io.BytesIO()
        text = json.dumps(self.card, sort_keys=True)
        whole = {"card": text, **last, "before": before[-1] if before else None}
        torch.save(whole, buffer)
        write_atomically(self.path / CHECKPOINT, buffer.getvalue())
        if self.card["recipe"]["weight_x"] or self.card["recipe"]["weight_xy"]:
            self._draw(last)
        self._unsaved, self._saved_at = [], time.monotonic()

    def log(self, **values: Any) -> None:
        """Adds a line to the log."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / LOG).open("a") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise InputError(
                f"Cannot write {self.path / LOG}: {error.strerror}."
            ) from error

    def cut_log(self, iteration: int) -> None:
        """Takes out of the log what will be done again, from an iteration on."""
        place = self.path / LOG
        if not place.is_file():
            return
        lines = place.read_text(errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if _iteration(line) <= iteration]
        write_atomically(place, "".join(kept).encode())

    def _draw(self, state: State) -> None:
        pixels = (state["replay_buffer"][:SHOWN] + 1) / 2
        if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
            name = f"buffer-{state['iteration']:07}.png"
            write_atomically(self.path / name, png_grid(pixels))

    def _compare(self, card: Record) -> None:
        for name in DECIDES:
            own, found = _flat(name, self.card[name]), _flat(name, card.get(name))
            for key in sorted(own.keys() | found.keys()):
                if own.get(key) != found.get(key):
                    raise InputError(
                        f"{self.path} holds a run with {key} {found.get(key)}, and "
                        f"this one has {own.get(key)}; name another folder with --to, "
                        "or start anew with --overwrite."
                    )


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Returns a card's entry as JSON keeps it, a value a name."""
    value = json.loads(json.dumps(value))
    return value if isinstance(value, dict) else {name: value}


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line, of a run that was killed

"""The folder of a training run: lock, checkpoint, log and pictures of its chains."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from oodbench.base.errors import InputError
from oodbench.base.files import Record, write_atomically
from oodbench.base.processes import Processes
from oodbench.data.image_png import png_grid
from oodbench.jem.energy import to_pixels
from oodbench.jem.training.guard import State
from oodbench.networks.checkpoint import weights_file

logger = logging.getLogger(__name__)

CHECKPOINT, LOG, LOCK = "checkpoint.pt", "log.jsonl", ".lock"
SAVE_SECONDS = 60.0
"""Least time between two checkpoints on disk."""
SHOWN = 64
"""Number of chains in a picture."""
DECIDES = (
    *("architecture", "shape", "mean", "std"),
    *("trained_on", "started_from", "recipe"),
)
"""Entries of a card in which two runs that share a checkpoint must agree."""


@contextmanager
def locked(folder: Path | None, processes: Processes) -> Iterator[None]:
    """Makes a folder, and keeps other trainings out of it while the context lasts.

    The first process holds the lock for all. The operating system releases it when that
    process ends, even by SIGKILL.

    Raises:
        InputError: Another training uses the folder, or it cannot be made.
    """
    file, fault = None, ""
    if folder is not None and processes.is_first:
        try:
            file = _lock(folder)
        except InputError as error:
            fault = str(error)
    if fault := processes.agree(fault):
        raise InputError(fault)
    try:
        yield
    finally:
        if file is not None:
            file.close()


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise InputError(
            f"Cannot train in {folder}: {error.strerror}; name another folder with "
            "--to."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "an unknown process"
        file.close()
        raise InputError(
            f"{folder} is in use by another training ({holder}); wait for it, stop it, "
            "or name another folder with --to."
        ) from None
    except OSError as error:  # some network file systems have no locks
        logger.warning(
            "%s cannot be locked (%s): do not start a second training in it.",
            folder,
            error.strerror,
        )
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


@dataclass
class TrainingFolder:
    """The files of a run in progress; a run with the same card continues from them."""

    path: Path
    card: Record
    _unsaved: list[State] = field(default_factory=list)
    _saved_at: float = field(default=-SAVE_SECONDS)

    def read(self) -> list[State]:
        """Returns the states to continue from, the older first; none for a new run.

        Raises:
            InputError: The checkpoint is damaged, or of another run.
        """
        place = self.path / CHECKPOINT
        if not place.exists():
            return []
        try:
            content = weights_file.read(place).content
        except InputError as error:
            raise InputError(f"{error} Or start again with --overwrite.") from error
        try:
            if not isinstance(content, dict):
                raise TypeError("no dictionary")
            card = json.loads(content.pop("card"))
            before = content.pop("before")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{place} is not a checkpoint of `oodbench train`; name another --to."
            ) from error
        self._compare(card)
        return [content] if before is None else [before, content]

    def clear(self) -> None:
        """Removes log and pictures of an earlier run."""
        for path in [*self.path.glob("buffer-*.png"), self.path / LOG]:
            path.unlink(missing_ok=True)

    def save(self, states: list[State]) -> None:
        """Writes the last states, at most once per minute."""
        self._unsaved = states
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes the last states if they are not yet on disk."""
        if not self._unsaved:
            return
        *before, last = self._unsaved
        buffer = io.BytesIO()
        text = json.dumps(self.card, sort_keys=True)
        whole = {"card": text, **last, "before": before[-1] if before else None}
        torch.save(whole, buffer)
        write_atomically(self.path / CHECKPOINT, buffer.getvalue())
        if self.card["recipe"]["weight_x"] or self.card["recipe"]["weight_xy"]:
            self._save_picture(last)
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
        """Removes the log lines after an iteration, which will be done again."""
        place = self.path / LOG
        if not place.is_file():
            return
        lines = place.read_text(errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if _iteration(line) <= iteration]
        write_atomically(place, "".join(kept).encode())

    def _save_picture(self, state: State) -> None:
        pixels = to_pixels(state["replay_buffer"][:SHOWN])
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
                        "or start again with --overwrite."
                    )


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Returns an entry of a card as JSON stores it, one value per name."""
    value = json.loads(json.dumps(value))
    return value if isinstance(value, dict) else {name: value}


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # an incomplete line of a run that was killed

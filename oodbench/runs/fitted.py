"""What detectors have learnt, on disk: fitted once for a network and a split.

    runs/MODEL-key/fitted/detectors/DETECTOR-key.json   fields; tensors by their hashes
    runs/MODEL-key/fitted/tensors/HASH.npy              a tensor, shared by equal ones

The key is that of the detector's scores. Tensors are mapped into memory, so that a bank
of features that is larger than it can be searched.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import InputError, reason
from oodbench.base.files import (
    Record,
    folder_name,
    json_bytes,
    write_atomically,
    write_npz,
    writing,
)
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.state import State, restore, state_of

logger = logging.getLogger(__name__)

DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""What reading something else than what was written can raise."""


@dataclass(frozen=True)
class Fitted:
    """The folder of what detectors of one network have learnt."""

    folder: Path
    _mapped: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def read(self, label: str, key: str, detector: Detector) -> float | None:
        """Gives a detector what was stored for it.

        Returns:
            The seconds that fitting it took; None if nothing undamaged is there.
        """
        try:
            record = self._record(label, key)
            tensors = [self._tensor(digest) for digest in record["tensors"]]
            restore(detector, State(record["parts"], tensors))
            return float(record["seconds"])
        except DAMAGE:
            return None

    def ship(self, label: str, key: str, archive: Path) -> Record | None:
        """Copies what is stored of a detector to a place of its own.

        Args:
            label: The detector's.
            key: That of its scores.
            archive: An `.npz` file to write, with its tensors by their hashes.

        Returns:
            What `unship` needs besides; None if nothing undamaged is there.

        Raises:
            InputError: The archive cannot be written.
        """
        try:
            record = self._record(label, key)
            digests = record["tensors"]
            tensors = {one: self._tensor(one).numpy() for one in digests}
        except DAMAGE:
            return None
        with writing(archive) as file:
            write_npz(file, tensors)
        return {"parts": record["parts"], "tensors": digests}

    def write(self, label: str, key: str, detector: Detector, seconds: float) -> None:
        """Stores what a detector has learnt; logs where this is impossible."""
        try:
            state = state_of(detector)
            digests = [self._keep(tensor) for tensor in state.tensors]
            record: Record = {
                "key": key,
                "seconds": seconds,
                "parts": state.parts,
                "tensors": digests,
            }
            write_atomically(self._file(label, key), json_bytes(record))
        except (TypeError, InputError) as error:
            logger.debug("What %s has learnt is not kept: %s", label, error)

    def sweep(self, wanted: Container[str]) -> None:
        """Removes what is stored of detectors without scores.

        Args:
            wanted: The keys of the scores that there are.
        """
        used: set[str] = set()
        for path in self.folder.glob("detectors/*.json"):
            try:
                record = json.loads(path.read_bytes())
                tensors = record["tensors"] if record["key"] in wanted else None
            except DAMAGE:
                tensors = None
            if tensors is None:
                path.unlink(missing_ok=True)
            else:
                used.update(tensors)
        for path in self.folder.glob("tensors/*.npy"):
            if path.stem not in used:
                path.unlink(missing_ok=True)

    def _record(self, label: str, key: str) -> Record:
        record: Record = json.loads(self._file(label, key).read_bytes())
        if record["key"] != key:
            raise ValueError("of another detector")
        return record

    def _file(self, label: str, key: str) -> Path:
        return self.folder / "detectors" / f"{folder_name(label, key)}.json"

    def _keep(self, tensor: Tensor) -> str:
        """Stores a tensor unless it is there; returns its hash."""
        array = tensor.detach().cpu().contiguous().numpy()
        digest = _digest(array)
        try:
            self._tensor(digest)
        except (OSError, ValueError):  # it is not there, or damaged
            with writing(self.folder / "tensors" / f"{digest}.npy") as file:
                np.save(file, array, allow_pickle=False)
        return digest

    def _tensor(self, digest: str) -> Tensor:
        """Returns a stored tensor, mapped into memory; writing changes no file.

        Raises:
            ValueError: It is damaged.
        """
        if digest not in self._mapped:
            path = self.folder / "tensors" / f"{digest}.npy"
            array = np.load(path, mmap_mode="c", allow_pickle=False)
            if _digest(array) != digest:
                raise ValueError(f"{path} is damaged")
            self._mapped[digest] = torch.from_numpy(array)
        return self._mapped[digest]


def unship(detector: Detector, learnt: Record, archive: Path) -> None:
    """Gives a detector what `Fitted.ship` has written.

    Raises:
        InputError: The archive is missing or damaged, or of another detector.
    """
    try:
        with archive.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {digest: stored[digest] for digest in learnt["tensors"]}
        if any(_digest(array) != digest for digest, array in arrays.items()):
            raise ValueError("its content has changed")
        tensors = [torch.from_numpy(arrays[digest]) for digest in learnt["tensors"]]
        restore(detector, State(learnt["parts"], tensors))
    except Exception as error:  # hostile bytes can raise anything
        raise InputError(
            f"{archive}, which holds what the detector of the threshold has learnt, "
            f"cannot be used ({reason(error)}); ship it beside the threshold as "
            "`oodbench threshold --to` wrote both."
        ) from error


def _digest(array: NDArray[Any]) -> str:
    """Returns a hash of an array's type, shape and values."""
    found = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()

"""How a run is carried out; nothing here decides a score."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal, get_args

from oodbench.base.errors import InputError
from oodbench.base.processes import ALONE, Processes
from oodbench.base.progress import Tell, Watch, silent, unwatched
from oodbench.data.device_cache import Resident
from oodbench.data.image_set import ImageSet
from oodbench.results.store import Store

Overwrite = Literal["missing", "stale", "always"]
"""missing: compute absent cells. stale: also remove outdated ones. always: recompute
everything."""

MANY_FILES = 2000
"""From this number of files on, processes that read ahead are worth their start."""


@dataclass
class Execution:
    """Where a run stores its scores, and how it computes them."""

    store: Store
    batch_size: int | None = None
    """None for a size that mostly fits."""
    workers: int | None = None
    """Processes that read images ahead; None for some where many files are decoded."""
    overwrite: Overwrite = "missing"
    processes: Processes = ALONE
    resident: Resident = field(default_factory=Resident)
    """Serves all networks of the run."""
    watch: Watch = unwatched
    is_dry: bool = False
    """Whether to find what is missing without computing it."""
    whole: Tell = silent
    """Counts the images of the whole run: of all networks and sets."""

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                noun = name.replace("_", " ")
                raise InputError(f"The {noun} must be at least {least}, got {value}.")
        if self.overwrite not in get_args(Overwrite):
            raise InputError(
                f"Overwrite must be one of {', '.join(get_args(Overwrite))}, not "
                f"{self.overwrite!r}."
            )

    def workers_for(self, images: ImageSet) -> int:
        """Returns the number of processes that read these images ahead."""
        if self.workers is not None:
            return self.workers
        # Images in memory need none.
        if images.digests is not None or images.count < MANY_FILES:
            return 0
        return min(8, os.cpu_count() or 1) // self.processes.count

"""Says what a run would compute and about how long it would take."""

from __future__ import annotations

import tempfile
import time
from typing import Any, NamedTuple

from oodbench.base.progress import Tell
from oodbench.runs.result import Planned
from oodbench.runs.run import run

SAMPLE = 64
"""Images of each split that are computed to know the speed."""


class Forecast(NamedTuple):
    """What a run would compute."""

    planned: list[Planned]
    seconds: float
    """About how long it would take here."""
    unknown: list[str]
    """Stages whose time is not counted, because they fail on so few images."""


def forecast(*, limit: int | None = None, **options: Any) -> Forecast:
    """Returns what a run with these options would compute, and stores nothing.

    The speed is that of a run on a few images of each split. It is run twice, since
    much is loaded only once.

    Args:
        limit: As of `run`.
        options: Other keywords of `run`.

    Raises:
        InputError: As `run` does.
    """
    planned = run(limit=limit, dry_run=True, **options).planned
    if not planned:
        return Forecast([], 0.0, [])
    with tempfile.TemporaryDirectory() as folder:
        own = {"limit": min(limit or SAMPLE, SAMPLE), "results": folder}
        for _ in range(2):
            watch = _Stopwatch()
            run(**options | own | {"overwrite": "always", "watch": watch})
    seconds = [
        one.images * watch.seconds[one.stage] / watch.images[one.stage]
        for one in planned
        if watch.images.get(one.stage)
    ]
    unknown = [one.stage for one in planned if not watch.images.get(one.stage)]
    return Forecast(planned, sum(seconds), unknown)


class _Stopwatch:
    """A `Watch` that adds up how long each stage took until its last step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.images: dict[str, int] = {}

    def __call__(self, stage: str, total: int) -> Tell:
        last = time.perf_counter()

        def tell(steps: int, note: str = "", /) -> None:
            nonlocal last
            now = time.perf_counter()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - last
            self.images[stage] = self.images.get(stage, 0) + steps
            last = now

        return tell

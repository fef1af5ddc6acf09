"""Says how a training run goes: lines of a log, a word of progress, TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from oodbench.errors import InputError
from oodbench.jem.step import Step
from oodbench.training.folder import TrainingFolder

EVERY = 50
"""Iterations that a line of the log sums up."""
MEASURED = 10
"""How often in a run accuracy on the validation split is measured."""


class Tell(Protocol):
    """Is told of the iterations done, and a word on how it goes."""

    def __call__(self, steps: int, note: str = "") -> object:
        """Takes both."""


class Writer(Protocol):
    """What TensorBoard's writer does."""

    def add_scalar(self, tag: str, value: float, step: int) -> object:
        """Takes a number."""


@dataclass
class Journal:
    """Sums iterations up."""

    iterations: int
    """Of the whole run."""
    images: int
    """Of an iteration."""
    tell: Tell
    accuracy: Callable[[], float] | None
    """Measures accuracy on the validation split; None where there is none."""
    folder: TrainingFolder | None = None
    board: Writer | None = None
    _steps: list[Step] = field(init=False, default_factory=list)
    _since: float = field(init=False, default_factory=time.perf_counter)

    def add(self, step: Step) -> None:
        """Takes an iteration."""
        self._steps.append(step)
        last = step.iteration + 1 == self.iterations
        if len(self._steps) == EVERY or last:
            self._sum_up(step.iteration + 1)
        interval = max(1, self.iterations // MEASURED)
        if self.accuracy and ((step.iteration + 1) % interval == 0 or last):
            began = time.perf_counter()
            self._write(step.iteration + 1, {"val_accuracy": self.accuracy()})
            self._since += time.perf_counter() - began

    def _sum_up(self, iteration: int) -> None:
        took = time.perf_counter() - self._since
        count = len(self._steps)
        means = {
            name: sum(getattr(step, name) for step in self._steps) / count
            for name in (*Step._fields[1:], "gap")
        }
        means["images_per_second"] = count * self.images / took
        means["seconds_left"] = (self.iterations - iteration) * took / count
        self._write(iteration, means)
        note = (
            f"loss {means['loss']:.3f}, accuracy {means['accuracy']:.3f}, "
            f"gap {means['gap']:+.2f}, {means['images_per_second']:,.0f} images/s"
        )
        self.tell(count, note)
        self._steps, self._since = [], time.perf_counter()

    def _write(self, iteration: int, values: dict[str, float]) -> None:
        if self.folder is not None:
            rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
            self.folder.log(iteration=iteration, **rounded)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, iteration)


def tensorboard(folder: Path) -> Writer:
    """Returns a writer into a folder.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed; pip install 'oodbench[tensorboard]'."
        ) from error
    return SummaryWriter(str(folder))

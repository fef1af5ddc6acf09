"""Reports a training run: log lines, notes for the progress bar, TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from oodbench.base import extras
from oodbench.base.progress import Tell
from oodbench.jem.training.folder import TrainingFolder
from oodbench.jem.training.loss import Step
from oodbench.jem.training.trainer import Trainer

logger = logging.getLogger(__name__)

EVERY = 50
"""Iterations per line of the log."""
MEASURED = 10
"""Times per run that accuracy on the validation split is measured."""


class Writer(Protocol):
    """The part of TensorBoard's writer that is used."""

    def add_scalar(self, tag: str, value: float, step: int) -> object:
        """Writes a number."""


@dataclass
class Journal:
    """Averages iterations and reports them."""

    trainer: Trainer
    tell: Tell
    accuracy: Callable[[], float] | None = None
    """Measures accuracy on the validation split; None where there is none."""
    folder: TrainingFolder | None = None
    board: Writer | None = None
    _steps: list[Step] = field(init=False, default_factory=list)
    _counted: int = field(init=False, default=0)
    """Iterations that the progress bar has counted."""
    _note: str = field(init=False, default="")
    _since: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._tell(self.trainer.iteration)

    def add(self, step: Step) -> None:
        """Adds an iteration."""
        done, total = step.iteration + 1, self.trainer.iterations
        self._steps.append(step)
        if len(self._steps) == EVERY or done == total:
            self._sum_up(done)
        else:
            self._tell(done)
        if self.accuracy and (done % max(1, total // MEASURED) == 0 or done == total):
            began = time.perf_counter()
            self._write(done, {"val_accuracy": self.accuracy()})
            self._since += time.perf_counter() - began

    def fault(self, iteration: int, fault: str) -> None:
        """Reports that training diverged and went back to an iteration."""
        if self.trainer.processes.is_first:
            logger.warning("%s", fault)
        if self.folder is not None:
            self.folder.cut_log(iteration)
            self.folder.log(iteration=iteration, fault=fault)
        self._steps, self._since = [], time.perf_counter()
        self._tell(iteration)

    def _sum_up(self, iteration: int) -> None:
        took = time.perf_counter() - self._since
        count, left = len(self._steps), self.trainer.iterations - iteration
        means = {
            name: sum(getattr(step, name) for step in self._steps) / count
            for name in (*Step._fields[1:], "gap")
        }
        speed = count * self.trainer.recipe.batch_size / took
        means |= {"images_per_second": speed, "seconds_left": left * took / count}
        self._write(iteration, means)
        self._note = _note(means)
        self._tell(iteration)
        self._steps, self._since = [], time.perf_counter()

    def _tell(self, iteration: int) -> None:
        self.tell(iteration - self._counted, self._note)
        self._counted = iteration

    def _write(self, iteration: int, values: dict[str, float]) -> None:
        if self.folder is not None:
            rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
            self.folder.log(iteration=iteration, **rounded)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, iteration)


def _note(means: Mapping[str, float]) -> str:
    """Returns the state of training in a few words."""
    words = [f"loss {means['loss']:.3f}", f"accuracy {means['accuracy']:.3f}"]
    if means["moved"]:
        words.append(f"log p(x) {means['log_px']:.2f}, gap {means['gap']:+.2f}")
        words.append(f"chains moved {means['moved']:.2f}")
    words.append(f"{means['images_per_second']:,.0f} images/s")
    words.append(f"{means['seconds_left']:,.0f} s left")
    return ", ".join(words)


def tensorboard_writer(folder: Path) -> Writer:
    """Returns a writer into a folder.

    Raises:
        InputError: TensorBoard is not installed.
    """
    found = extras.library(
        "torch.utils.tensorboard", "tensorboard", title="TensorBoard"
    )
    return found.SummaryWriter(str(folder))

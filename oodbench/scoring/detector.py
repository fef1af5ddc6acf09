"""What a detector is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

from torch import Tensor

from oodbench.scoring.outputs import Known, Need, Objective, Outputs


class Detector(ABC):
    """Scores images: the higher the score, the more in-distribution.

    Detectors are dataclasses whose fields are their parameters. An instance serves one
    checkpoint; `fit` is called once, before any `score`, if `fitted_on` names a split.
    """

    needs: ClassVar[Need] = Need.NOTHING
    objectives: ClassVar[tuple[Objective, ...]] = ()
    """Whose gradients it reads; goes with `Need.GRADIENT`."""
    fitted_on: ClassVar[Literal["train", "val"] | None] = None
    control: ClassVar[bool] = False
    """A control sees pixels alone: a set that it separates says little of a network."""

    def fit(self, known: Known) -> None:  # noqa: B027 - most detectors need no fitting
        """Learns what it needs from the fitting split."""

    if not TYPE_CHECKING:  # for mypy, a misspelt attribute stays an error

        def __getattr__(self, name: str) -> NoReturn:
            who = type(self).__name__
            if self.fitted_on is None:
                raise AttributeError(f"{who!r} object has no attribute {name!r}")
            raise AttributeError(
                f"{who} has no {name!r}; was it fitted on {self.fitted_on} images?"
            )

    @abstractmethod
    def score(self, batch: Outputs) -> Tensor:
        """Returns one score an image, `[N]`, on the device of what it was given."""

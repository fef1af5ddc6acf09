"""Detectors behind shapings: `react+knn` scores the features that ReAct has clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from oodbench.scoring.batch import Need
from oodbench.scoring.detector import Detector
from oodbench.scoring.fitting.known import Known
from oodbench.scoring.outputs import Outputs
from oodbench.scoring.shaping import Shaping

T = TypeVar("T", bound=Outputs)

_OF_THE_NETWORK = Need.GRADIENT | Need.NETWORK | Need.BLOCKS | Need.MEMBERS


@dataclass
class Chain(Detector):
    """Scores of a detector on outputs that shapings have changed, from left to right.

    Each part is fitted on what the parts before it make of the fitting split. All are
    fitted on the same split: train if any part is, else val.

    Raises:
        ValueError: The parts cannot be composed.
    """

    shapings: tuple[Detector, ...]
    scorer: Detector

    def __post_init__(self) -> None:
        for shaping in self.shapings:
            if not isinstance(shaping, Shaping):
                raise ValueError(f"{_name(shaping)} is no shaping; it must come last")
        if self.scorer.control:
            raise ValueError(f"{_name(self.scorer)} reads pixels, not features")
        for part in self.parts[1:]:
            if part.needs & _OF_THE_NETWORK:
                raise ValueError(
                    f"{_name(part)} reads gradients or maps, which no shaping changes; "
                    "it must come first"
                )
        for part in self.parts:
            self.needs |= part.needs
        self.objectives = tuple(o for part in self.parts for o in part.objectives)
        stages = {part.fitted_on for part in self.parts}
        if stages != {None}:
            self.fitted_on = "train" if "train" in stages else "val"

    @property
    def parts(self) -> tuple[Detector, ...]:
        """The shapings in order, then the detector behind them."""
        return (*self.shapings, self.scorer)

    def fit(self, known: Known) -> None:
        """Fits the parts one after another."""
        for shaping in self.shapings:
            view = known.seen_by(shaping)
            if shaping.fitted_on:
                shaping.fit(view)
            known = _shape(shaping, view)
        if self.scorer.fitted_on:
            view = known.seen_by(self.scorer)
            self.scorer.fit(view)
            view.check_untouched()

    def score(self, batch: Outputs) -> Tensor:
        """Returns the scores of the last part, `[N]`."""
        for shaping in self.shapings:
            batch = _shape(shaping, batch.seen_by(shaping))
        view = batch.seen_by(self.scorer)
        scores = self.scorer.score(view)
        view.check_untouched()
        return scores


def _shape(shaping: Detector, outputs: T) -> T:
    assert isinstance(shaping, Shaping)
    shaped = shaping.shape(outputs)
    outputs.check_untouched()
    assert isinstance(shaped, type(outputs))
    return shaped


def _name(detector: Detector) -> str:
    return type(detector).__name__

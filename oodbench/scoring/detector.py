"""The base class of all detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

from torch import Tensor

from oodbench.scoring.batch import Need, Objective, Summary
from oodbench.scoring.fitting.known import Known
from oodbench.scoring.outputs import Outputs


class Detector(ABC):
    """Scores images: the higher the score, the more in-distribution.

    A detector is a dataclass; its fields are its parameters. An instance serves one
    network. If `fitted_on` names a split, `fit` is called once, before any `score`.
    What it learns it keeps in fields with `init=False`, as tensors, numbers, and tuples
    of them: then they are stored, and moved to the device of the inputs.
    """

    needs: Need = Need.NOTHING
    """What it reads besides logits and log p(x)."""
    objectives: tuple[Objective, ...] = ()
    """The functions whose gradients it reads, with `Need.GRADIENT`."""
    summaries: tuple[Summary, ...] = ()
    """The functions of single batches whose rows `fit` reads by `known.summary`. They
    may read what a whole split has no memory for: feature maps and further passes. A
    detector that lists some reads no pixels and gradients in `fit` itself."""
    fitted_on: Literal["train", "val"] | None = None
    """The split that `fit` receives; None for a detector without `fit`."""
    fitted_images: int | None = None
    """How many of the split's images `fit` has drawn; None for all."""
    control: ClassVar[bool] = False
    """Whether it uses pixels alone. Where a control separates two sets, the success of
    other detectors says little about the network."""

    chosen_on: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """On which images the authors chose a parameter's default, by its name; one that is
    not named here has no stated choice."""

    @property
    def parts(self) -> tuple[Detector, ...]:
        """The detectors that it consists of: itself, or the parts of a chain."""
        return (self,)

    def fit(self, known: Known) -> None:  # noqa: B027 - most detectors need no fitting
        """Learns from the fitting split.

        Raises:
            ValueError: The split does not suffice; the message gives the reason.
        """

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
        """Returns one score per image, `[N]` floats, on the device of the inputs."""

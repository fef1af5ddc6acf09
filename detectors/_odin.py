"""What ODIN and I-ODIN share: the objective, and the score after one step."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs, Result
from oodbench.detectors._checks import check_at_least, check_temperature
from oodbench.scoring.probabilities import log_odds


@dataclass(frozen=True)
class LogOdds:
    """log p − log(1 − p) of the most probable class, p from softmax(f/T).

    Its gradient is that of log p divided by 1 − p > 0. So it has the same signs and the
    same order within an image, and it does not vanish where p rounds to 1.
    """

    temperature: float

    def __call__(self, result: Result) -> Tensor:
        """Returns the log odds, `[N]`, float64."""
        return log_odds(result.logits.double() / self.temperature)


@dataclass
class OneStepDetector(Detector):
    """Base of detectors that score images after one step that raises log p."""

    needs = Need.NETWORK | Need.INPUTS | Need.GRADIENT

    temperature: float = 1000.0
    """T > 0 of the softmax, in the step and in the score."""
    epsilon: float = 0.0014
    """The step of a pixel in [0, 1], at least 0; 0 for none."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_at_least(self, epsilon=0)
        self._objective = LogOdds(self.temperature)
        self.objectives = (self._objective,)

    @abstractmethod
    def direction(self, gradient: Tensor) -> Tensor:
        """Returns the direction `[N, C, H, W]`, in -1, 0 and 1, for a gradient."""

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds after the step, `[N]`, at least −log(K − 1)."""
        if self.epsilon:
            step = self.epsilon * self.direction(batch.gradient(self._objective))
            batch = batch.run(batch.inputs + step)
        return log_odds(batch.logits.double() / self.temperature)

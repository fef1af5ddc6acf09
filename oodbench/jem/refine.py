"""Detectors that follow SGLD chains from images up log p(x)."""

from __future__ import annotations

from dataclasses import dataclass

from oodbench.jem.counter_noise import CounterNoise
from oodbench.jem.energy import to_pixels, to_states
from oodbench.jem.sampler import SGLD
from oodbench.scoring.batch import Need, log_px
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Outputs


@dataclass(frozen=True)
class Refinement:
    """Runs an SGLD chain from every image and evaluates the network on its last state.

    The sampler works on pixels in [-1, 1]. A chain's noise depends only on the seed and
    the image's number. It takes as many runs of the network as steps, since the shared
    pass has the first gradient.
    """

    sampler: SGLD
    seed: int

    def __call__(self, batch: Outputs) -> Outputs:
        """Returns the network's outputs on the last states."""
        noise = CounterNoise(self.seed, batch.numbers)
        states = to_states(batch.inputs)
        for _ in range(self.sampler.steps):
            # The gradient by states is half of that by pixels in [0, 1].
            states = self.sampler.step(states, batch.gradient(log_px) / 2, noise)
            batch = batch.run(to_pixels(states), log_px)
        return batch


@dataclass
class RefiningDetector(Detector):
    """Base of detectors that compare images before and after SGLD steps up log p(x).

    The chains cost `steps` more forward and backward passes, shared by all such
    detectors with equal parameters. The name `refine` and the defaults of step size and
    noise are those of the JEM paper's code; 10 is the longest chain of the paper's
    robust JEMs.

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is
    Secretly an Energy Based Model and You Should Treat it Like One, ICLR 2020,
    arXiv 1912.03263.

    Raises:
        InputError: A parameter is out of its range.
    """

    needs = Need.NETWORK | Need.INPUTS | Need.GRADIENT
    objectives = (log_px,)

    steps: int = 10
    step_size: float = 1.0
    """Multiplies the gradient by pixels in [-1, 1]."""
    noise: float | None = 0.01
    """Standard deviation per step, of pixels in [-1, 1]; None for √(2 · step_size)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        sampler = SGLD(self.steps, self.step_size, self.noise)
        self._refinement = Refinement(sampler, self.seed)

    def refined(self, batch: Outputs) -> Outputs:
        """Returns the network's outputs on the last states of the chains."""
        return batch.after(self._refinement)

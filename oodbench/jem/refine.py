"""Images moved up log p(x), and the detectors that look at what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from oodbench.jem.sampler import SGLD, ChainNoise
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Need, Outputs, log_px


@dataclass(frozen=True)
class Refinement:
    """Starts an SGLD chain at every image and leads to its last state.

    The chain is that of `sampler` on pixels in [-1, 1]. Its noise depends on the seed
    and the image's number alone. It takes as many runs of the network as steps, since
    the shared pass has the first gradient.
    """

    sampler: SGLD
    seed: int

    def __call__(self, batch: Outputs) -> Outputs:
        """Returns what the network gives of the last states."""
        noise = ChainNoise(self.seed, batch.numbers.tolist())
        states = 2 * batch.inputs - 1
        for _ in range(self.sampler.steps):
            # Pixels in [-1, 1] span twice the range of those in [0, 1].
            states = self.sampler.step(states, batch.gradient(log_px) / 2, noise)
            batch = batch.run((states + 1) / 2, log_px)
        return batch


@dataclass
class RefiningDetector(Detector):
    """Compares images with themselves after `steps` SGLD steps up log p(x).

    It costs `steps` more forward and backward passes, once for all such detectors of
    equal parameters. `refine` is the name of the JEM paper's code, whose step size and
    noise are the defaults; 10 is the longest chain of the paper's robust JEMs.

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
    """Of the gradient by pixels in [-1, 1]."""
    noise: float | None = 0.01
    """Deviation a step, of pixels in [-1, 1]; None for √(2 · step_size)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        sampler = SGLD(self.steps, self.step_size, self.noise)
        self._refinement = Refinement(sampler, self.seed)

    def refined(self, batch: Outputs) -> Outputs:
        """Returns what the network gives of the chains' last states."""
        return batch.after(self._refinement)

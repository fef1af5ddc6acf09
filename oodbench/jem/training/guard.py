"""Detects that training has diverged, and keeps states to go back to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from oodbench.base.errors import InputError
from oodbench.jem.training.loss import Step
from oodbench.jem.training.recipe import Recipe

State = dict[str, Any]
"""Everything that a training run needs to continue; see `Trainer.state`."""

SLOWER = 0.5
"""Factor of the learning rate at each return."""


class DivergedError(InputError):
    """Training diverged, and going back does not help."""


@dataclass
class Guard:
    """Keeps the last two states, and goes back to the older one.

    The younger one may have been taken while training was diverging. The older one was
    followed by a whole interval without a fault. JEM training diverges now and then;
    the paper's authors restarted it by hand (Grathwohl et al., ICLR 2020, arXiv
    1912.03263, appendix H.3).
    """

    recipe: Recipe
    states: list[State] = field(default_factory=list)
    """At most two, the older first."""
    rate_factor: float = 1.0
    """Factor of the learning rate."""
    faults: list[str] = field(default_factory=list)
    """One sentence per fault."""

    def is_due(self, iteration: int) -> bool:
        """Returns whether to keep the state before this iteration."""
        if self.states and self.states[-1]["iteration"] == iteration:
            return False
        return iteration % self.recipe.snapshot_every == 0

    def keep(self, state: State) -> None:
        """Stores a state as the younger one."""
        self.states = [*self.states[-1:], state]

    def fault(self, step: Step) -> str:
        """Returns the fault of an iteration in words; empty if there is none."""
        if not math.isfinite(step.loss):
            return f"the loss is {step.loss}"
        for what, gap in {"x": step.gap, "x, y": step.joint_gap}.items():
            if not abs(gap) <= self.recipe.gap_limit:
                return (
                    f"log p({what}) of data and of samples differ by {abs(gap):g}, "
                    f"more than the gap limit {self.recipe.gap_limit:g}"
                )
        return ""

    def go_back(self, iteration: int, fault: str) -> State:
        """Returns the state to continue from, at half the learning rate.

        Raises:
            DivergedError: It has gone back too often.
        """
        state = self.states[0]
        sentence = f"Training diverged at iteration {iteration}: {fault}."
        # No learning rate changes the loss of the state itself.
        hopeless = iteration == state["iteration"]
        if hopeless or len(self.faults) >= self.recipe.most_rollbacks:
            self.faults.append(sentence)
            raise DivergedError(
                f"{sentence} It had gone back {len(self.faults) - 1} times before; "
                "lower the learning rate or the SGLD step size, take more SGLD steps, "
                "or raise the gap limit."
            )
        self.rate_factor *= SLOWER
        self.faults.append(
            f"{sentence} Went back to iteration {state['iteration']}, at "
            f"{self.rate_factor:g} of the learning rate."
        )
        state |= {"rate_factor": self.rate_factor, "faults": list(self.faults)}
        self.states = [state]
        return state

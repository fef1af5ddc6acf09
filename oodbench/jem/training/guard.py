"""Notices that training has diverged, and knows a state to go back to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from oodbench.base.errors import InputError
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.step import Step

State = dict[str, Any]
"""All that a training run is at one iteration; see `Trainer.state`."""

SLOWER = 0.5
"""Factor of the learning rate at each return."""


@dataclass
class Guard:
    """Keeps the last two states, and goes back to the older one.

    The younger may have been taken while training was diverging; the older has been
    followed by a whole interval without a fault. JEM's training diverges now and then,
    and the paper's authors restarted it by hand (Grathwohl et al., ICLR 2020, arXiv
    1912.03263, appendix H.3).
    """

    recipe: Recipe
    states: list[State] = field(default_factory=list)
    """From the older to the younger."""
    rate_factor: float = 1.0
    """What the learning rate is multiplied with."""
    faults: list[str] = field(default_factory=list)
    """What happened, in sentences, one a return."""

    def is_due(self, iteration: int) -> bool:
        """Returns whether the state before this iteration shall be kept."""
        if self.states and self.states[-1]["iteration"] == iteration:
            return False
        return iteration % self.recipe.snapshot_every == 0

    def keep(self, state: State) -> None:
        """Takes a state as the youngest."""
        self.states = [*self.states[-1:], state]

    def fault(self, step: Step) -> str:
        """Returns what is wrong with an iteration; empty if nothing."""
        if not math.isfinite(step.loss):
            return f"the loss is {step.loss}"
        for what, gap in {"x": step.gap, "x, y": step.joint_gap}.items():
            if not abs(gap) <= self.recipe.gap_limit:
                return (
                    f"log p({what}) of data and of samples are {gap:g} apart, more "
                    f"than {self.recipe.gap_limit:g}"
                )
        return ""

    def go_back(self, iteration: int, fault: str) -> State:
        """Returns the state to go on from, at half the learning rate.

        Raises:
            InputError: It has gone back too often.
        """
        state = self.states[0]
        said = f"Training diverged at iteration {iteration}: {fault}."
        # No learning rate changes the loss of the state itself.
        hopeless = iteration == state["iteration"]
        if hopeless or len(self.faults) >= self.recipe.most_rollbacks:
            self.faults.append(said)
            raise InputError(
                f"{said} It had gone back {len(self.faults) - 1} times before; lower "
                "the learning rate or the SGLD step size, take more SGLD steps, or "
                "raise the gap limit."
            )
        self.rate_factor *= SLOWER
        self.faults.append(
            f"{said} Went back to iteration {state['iteration']}, at "
            f"{self.rate_factor:g} of the learning rate."
        )
        state |= {"rate_factor": self.rate_factor, "faults": list(self.faults)}
        self.states = [state]
        return state

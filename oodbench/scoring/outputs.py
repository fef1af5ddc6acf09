"""What a detector receives: declared needs, and the outputs of the shared pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Protocol, TypeVar

from torch import Tensor, nn

Objective = Callable[[Tensor, Tensor], Tensor]
"""Maps logits `[N, K]` and log p(x) `[N]` to one number an image, `[N]`.

Hashable: equal objectives are differentiated once for all detectors that list them.
"""

Change = Callable[["Outputs"], "Outputs"]
"""Leads from images to others by `run`, and returns what the last `run` gave.

Hashable, a frozen dataclass say, so that equal ones are told.
"""

T = TypeVar("T")


def log_px(logits: Tensor, log_px: Tensor) -> Tensor:
    """Returns unnormalised log p(x) `[N]`, the objective of the JEM paper's score."""
    return log_px


class Need(Flag):
    """What a detector reads besides logits and log p(x)."""

    NOTHING = 0
    FEATURES = auto()
    """`features` `[N, D]`, the input of the head."""
    HEAD = auto()
    """`head`, a linear layer with head(features) = logits."""
    INPUTS = auto()
    """`inputs` `[N, C, H, W]`, pixels in [0, 1]."""
    GRADIENT = auto()
    """`gradient(objective)` `[N, C, H, W]` of the objectives that it lists."""
    NETWORK = auto()
    """`run` and `after`, the network on other pixels (while scoring), and `numbers`."""
    LABELS = auto()
    """`labels` `[N]`, of the fitting split only."""


@dataclass(frozen=True, eq=False)
class Batch:
    """All that the network gave for some images; the engine's, never a detector's."""

    inputs: Tensor
    logits: Tensor | None = None
    log_px: Tensor | None = None
    features: Tensor | None = None
    labels: Tensor | None = None
    head: nn.Linear | None = None
    gradients: Mapping[Objective, Tensor] = field(default_factory=dict)
    faults: Mapping[Objective, str] = field(default_factory=dict)
    """Why an objective has no gradient."""
    numbers: Tensor | None = None
    """`[N]`, places in the set."""
    rerun: Callable[[Tensor, Sequence[Objective]], Batch] | None = None
    """Runs the network on other pixels, and differentiates the objectives there."""
    changed: dict[Hashable, Batch] = field(default_factory=dict)
    """What became of these images, by change and by what its detector declares."""


class Declares(Protocol):
    """What a detector declares of itself."""

    @property
    def needs(self) -> Need:
        """What it reads besides logits and log p(x)."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives whose gradients it reads."""

    @property
    def control(self) -> bool:
        """Whether it sees pixels alone."""


class Outputs:
    """What a detector sees of a batch: all that it declared, in copies of its own."""

    def __init__(self, batch: Batch, detector: Declares) -> None:
        self._batch = batch
        self._detector = detector
        self._lent: dict[object, Tensor] = {}
        self._lent_head: nn.Linear | None = None

    def __len__(self) -> int:
        return len(self._batch.inputs)

    @property
    def logits(self) -> Tensor:
        """`[N, K]`, float32."""
        return self._lend("logits", self._network_output(self._batch.logits))

    @property
    def log_px(self) -> Tensor:
        """`[N]`, float32: LogSumExp of the logits, or a JEM's own head."""
        return self._lend("log_px", self._network_output(self._batch.log_px))

    @property
    def features(self) -> Tensor:
        """`[N, D]`, float32, the input of the head."""
        return self._lend("features", self._declared(Need.FEATURES).features)

    @property
    def inputs(self) -> Tensor:
        """`[N, C, H, W]`, float32 pixels in [0, 1]."""
        return self._lend("inputs", self._declared(Need.INPUTS).inputs)

    @property
    def head(self) -> nn.Linear:
        """The linear layer that makes the logits from the features."""
        head = self._declared(Need.HEAD).head
        if head is None:
            raise LookupError("the network has no linear head")
        if self._lent_head is None:
            self._lent_head = copy.deepcopy(head).to(self._batch.inputs.device)
        return self._lent_head

    @property
    def numbers(self) -> Tensor:
        """`[N]`, int64, on the host: the place of each image in its set.

        Noise of an image that comes from a seed and its number is always the same.
        """
        return self._lend("numbers", self._declared(Need.NETWORK).numbers)

    def gradient(self, objective: Objective) -> Tensor:
        """Returns ∂ objective / ∂ pixels `[N, C, H, W]`, each image's own.

        Pixels go from 0 to 1; the gradient by pixels in [-1, 1] is half of it.
        """
        gradients = self._declared(Need.GRADIENT).gradients
        if objective in self._batch.faults:
            raise RuntimeError(self._batch.faults[objective])
        if objective not in gradients:
            raise LookupError(
                f"{self._who} reads the gradient of an objective that it does not "
                f"list; add it to its `objectives`, or give it to `run`"
            )
        return self._lend(objective, gradients[objective])

    def run(self, pixels: Tensor, *objectives: Objective) -> Outputs:
        """Runs the network on other pixels `[N, C, H, W]` in the place of these.

        Args:
            pixels: Mostly from 0 to 1, which nobody checks.
            objectives: Whose gradients to compute there, a backward pass each.
        """
        rerun = self._network_output(self._declared(Need.NETWORK).rerun)
        if rerun is None:
            raise LookupError(f"there is no network here for {self._who}")
        if pixels.shape != self._batch.inputs.shape:
            raise ValueError(
                f"{self._who} runs the network on {list(pixels.shape)}, not on "
                f"{list(self._batch.inputs.shape)} as it was given"
            )
        # A copy, since the detector may go on writing into its own.
        return Outputs(rerun(pixels.clone(), objectives), self._detector)

    def after(self, change: Change) -> Outputs:
        """Returns what the network gives of these images once they are changed.

        Equal changes are made once for all detectors of equal `needs` and `objectives`.
        """
        changed = self._declared(Need.NETWORK).changed
        # Who declares less must fail where it fails alone.
        key = change, self._detector.needs, self._detector.objectives
        if key not in changed:
            # From copies that nobody has written into.
            changed[key] = change(Outputs(self._batch, self._detector))._batch
        return Outputs(changed[key], self._detector)

    def check_untouched(self) -> None:
        """Raises RuntimeError if the detector wrote into what it was lent."""
        # Clones start at version 0, and every in-place write raises the version.
        if any(tensor._version for tensor in self._lent.values()):
            raise RuntimeError(f"{self._who} writes into its inputs; copy them first")
        if self._lent_head is not None and self._batch.head is not None:
            self._check_head(self._lent_head, self._batch.head)

    def _check_head(self, head: nn.Linear, original: nn.Linear) -> None:
        if any(weight._version for weight in head.parameters()):
            raise RuntimeError(f"{self._who} changes the head's weights; copy it first")
        if head.training:
            raise RuntimeError(f"{self._who} switches the head to training mode")
        if _hooks(head) != _hooks(original):
            raise RuntimeError(f"{self._who} leaves a hook on the head")

    @property
    def _who(self) -> str:
        return type(self._detector).__name__

    def _declared(self, need: Need) -> Batch:
        if need not in self._detector.needs:
            raise LookupError(
                f"{self._who} reads {str(need.name).lower()} without declaring it; "
                f"add Need.{need.name} to its `needs`"
            )
        return self._batch

    def _network_output(self, value: T) -> T:
        if self._detector.control:
            raise LookupError(f"{self._who} is a control: it sees pixels alone")
        return value

    def _lend(self, name: object, value: Tensor | None) -> Tensor:
        if value is None:
            raise LookupError(f"there are no {name} here for {self._who}")
        if name not in self._lent:
            self._lent[name] = value.clone()
        return self._lent[name]


def _hooks(layer: nn.Module) -> list[int]:
    kinds = (
        layer._forward_pre_hooks,
        layer._forward_hooks,
        layer._backward_pre_hooks,
        layer._backward_hooks,
    )
    return [len(kind) for kind in kinds]


class Known(Outputs):
    """What a detector sees of the whole fitting split, on the host."""

    @property
    def labels(self) -> Tensor:
        """`[N]`, int64 class numbers."""
        return self._lend("labels", self._declared(Need.LABELS).labels)

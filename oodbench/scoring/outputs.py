"""What a detector receives: the outputs of the shared pass, as far as it needs them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from typing import Protocol, Self, TypeVar

from torch import Tensor, nn
from torch.nn.functional import linear

from oodbench.base.errors import reason
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Result

Objective = Callable[[Result], Tensor]
"""Maps the logits `[N, K]`, log p(x) `[N]` and features `[N, D]` of a forward pass to
one number per image, `[N]`.

Hashable: equal objectives are differentiated once for all detectors that list them.
"""

Change = Callable[["Outputs"], "Outputs"]
"""A function that reruns the network on changed images and returns the last outputs.

Hashable (a frozen dataclass, say), so that equal changes run once.
"""

T = TypeVar("T")


def log_px(result: Result) -> Tensor:
    """Returns unnormalised log p(x) `[N]`, the objective of the JEM paper's score."""
    return result.log_px


class Need(Flag):
    """The inputs that a detector declares besides logits and log p(x)."""

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
    """`run` and `after`, the network on other pixels (in `score`), and `numbers`."""
    LABELS = auto()
    """`labels` `[N]`, of the fitting split only (in `fit`)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """All outputs of a network for some images; detectors get copies, `Outputs`."""

    inputs: Tensor
    logits: Tensor | None = None
    log_px: Tensor | None = None
    features: Tensor | None = None
    labels: Tensor | None = None
    head: nn.Linear | None = None
    gradients: Mapping[Objective, Tensor] = field(default_factory=dict)
    faults: Mapping[Objective, Exception] = field(default_factory=dict)
    """The errors of objectives that have no gradient."""
    numbers: Tensor | None = None
    """`[N]`, places in the set."""
    rerun: Callable[[Tensor, Sequence[Objective]], Batch] | None = None
    """Runs the network on other pixels, and differentiates the objectives there."""
    changed: dict[Hashable, Batch] = field(default_factory=dict)
    """Outputs for changed images, by the change and by the detector's declarations."""
    statistics: dict[Hashable, object] = field(default_factory=dict)
    """What detectors share in `fit`, by the function that computes it."""


class Declares(Protocol):
    """The declarations of a detector."""

    @property
    def needs(self) -> Need:
        """The inputs besides logits and log p(x)."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives whose gradients it reads."""

    @property
    def control(self) -> bool:
        """Whether it uses pixels alone."""


class Outputs:
    """The outputs for a batch that a detector has declared, as copies of its own."""

    def __init__(self, batch: Batch, detector: Declares) -> None:
        self._batch = batch
        self._detector = detector
        self._copies: dict[object, Tensor] = {}
        self._copied_head: nn.Linear | None = None
        self.read = Need.NOTHING
        """The declared inputs that have been read."""

    def __len__(self) -> int:
        return len(self._batch.inputs)

    @property
    def logits(self) -> Tensor:
        """`[N, K]`, float32."""
        return self._copy_of("logits", self._network_output(self._batch.logits))

    @property
    def log_px(self) -> Tensor:
        """`[N]`, float32: LogSumExp of the logits, or a JEM's own head."""
        return self._copy_of("log_px", self._network_output(self._batch.log_px))

    @property
    def features(self) -> Tensor:
        """`[N, D]`, float32, the input of the head."""
        return self._copy_of("features", self._declared(Need.FEATURES).features)

    @property
    def inputs(self) -> Tensor:
        """`[N, C, H, W]`, float32 pixels in [0, 1]."""
        return self._copy_of("inputs", self._declared(Need.INPUTS).inputs)

    @property
    def head(self) -> nn.Linear:
        """The linear layer that makes the logits from the features."""
        head = self._declared(Need.HEAD).head
        if head is None:
            raise LookupError("the network has no linear head")
        if self._copied_head is None:
            self._copied_head = copy.deepcopy(head).to(self._batch.inputs.device)
        return self._copied_head

    @property
    def numbers(self) -> Tensor:
        """`[N]`, int64, on the host: the place of each image in its whole set.

        Noise that depends on a seed and this number alone is the same in every run.
        """
        return self._copy_of("numbers", self._declared(Need.NETWORK).numbers)

    def gradient(self, objective: Objective) -> Tensor:
        """Returns ∂ objective / ∂ pixels `[N, C, H, W]` of each image.

        Pixels go from 0 to 1; the gradient by pixels in [-1, 1] is half of it.

        Raises:
            LookupError: The detector does not list the objective.
            RuntimeError: The objective failed.
        """
        gradients = self._declared(Need.GRADIENT).gradients
        if (fault := self._batch.faults.get(objective)) is not None:
            if is_out_of_memory(fault):
                raise fault  # a smaller batch may help
            raise RuntimeError(f"its objective failed: {reason(fault)}") from fault
        if objective not in gradients:
            raise LookupError(
                f"{self._who} reads the gradient of an objective that it does not "
                f"list; add it to its `objectives`, or give it to `run`"
            )
        return self._copy_of(objective, gradients[objective])

    def shaped(
        self,
        features: Tensor | None = None,
        *,
        head: nn.Linear | None = None,
        logits: Tensor | None = None,
    ) -> Self:
        """Returns these outputs with other features, another head, or other logits.

        Logits that are not given are head(features) in float64, and log p(x) is their
        LogSumExp. There are no gradients, and the network cannot be run on.

        Args:
            features: `[N, D]`; None for those that are there.
            head: The layer to use in place of the network's.
            logits: `[N, K]`.
        """
        batch = self._declared(Need.FEATURES)
        features = self.features if features is None else features
        head = batch.head if head is None else head
        if logits is None and head is not None:
            bias = None if head.bias is None else head.bias.double()
            logits = linear(features.double(), head.weight.double(), bias)
        changed = replace(
            batch,
            features=features,
            head=head,
            logits=logits,
            log_px=None if logits is None else logits.logsumexp(1),
            gradients={},
            rerun=None,
            changed={},
            statistics={},
        )
        return type(self)(changed, self._detector)

    def seen_by(self, detector: Declares) -> Self:
        """Returns these outputs as another detector receives them."""
        return type(self)(self._batch, detector)

    def run(self, pixels: Tensor, *objectives: Objective) -> Outputs:
        """Runs the network on other pixels `[N, C, H, W]` in the place of these.

        Args:
            pixels: Usually in [0, 1], which is not checked.
            objectives: The objectives to differentiate there, one backward pass each.

        Raises:
            LookupError: There is no network, as in `fit`.
            ValueError: The pixels have another shape than `inputs`.
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
        """Returns the network's outputs for these images after a change.

        Equal changes run once for all detectors of equal `needs` and `objectives`.
        """
        changed = self._declared(Need.NETWORK).changed
        # A detector that declares less must fail here as it fails alone.
        key = change, self._detector.needs, self._detector.objectives
        if key not in changed:
            # From new copies, since the detector may have written into its own.
            changed[key] = change(Outputs(self._batch, self._detector))._batch
        return Outputs(changed[key], self._detector)

    def check_untouched(self) -> None:
        """Raises RuntimeError if the detector wrote into its copies."""
        # Clones start at version 0, and every in-place write raises the version.
        if any(tensor._version for tensor in self._copies.values()):
            raise RuntimeError(f"{self._who} writes into its inputs; copy them first")
        if self._copied_head is not None and self._batch.head is not None:
            self._check_head(self._copied_head, self._batch.head)

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
        self.read |= need
        return self._batch

    def _network_output(self, value: T) -> T:
        if self._detector.control:
            raise LookupError(f"{self._who} is a control: it uses pixels alone")
        return value

    def _copy_of(self, name: object, value: Tensor | None) -> Tensor:
        if value is None:
            raise LookupError(f"there are no {name} here for {self._who}")
        if name not in self._copies:
            self._copies[name] = value.clone()
        return self._copies[name]


def _hooks(layer: nn.Module) -> list[int]:
    kinds = (
        layer._forward_pre_hooks,
        layer._forward_hooks,
        layer._backward_pre_hooks,
        layer._backward_hooks,
    )
    return [len(kind) for kind in kinds]

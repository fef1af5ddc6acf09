"""What the shared pass computes for some images, and how detectors ask for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from oodbench.networks.result import Result

if TYPE_CHECKING:
    from oodbench.scoring.outputs import Outputs

Objective = Callable[[Result], Tensor]
"""Maps the logits `[N, K]`, log p(x) `[N]` and features `[N, D]` of a forward pass to
one number per image, `[N]`.

Hashable: equal objectives are differentiated once for all detectors that list them.
"""

Change = Callable[["Outputs"], "Outputs"]
"""A function that reruns the network on changed images and returns the last outputs.

Hashable (a frozen dataclass, say), so that equal changes run once.
"""

Summary = Callable[["Outputs"], Tensor]
"""Maps the outputs for a batch to a tensor `[N, …]`, one row per image.

Hashable, so that equal summaries are computed once for all detectors that list them. In
`fit` the rows of all batches stand one below the other.
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
    """`inputs` `[N, C, H, W]`, pixels in [0, 1]; with NETWORK only in `score`."""
    GRADIENT = auto()
    """`gradient(objective)` `[N, C, H, W]` of the objectives that it lists."""
    NETWORK = auto()
    """`run`, `after` and `with_map`, the network on other pixels or maps, and
    `numbers`; in `score`, or in a summary."""
    BLOCKS = auto()
    """`map` and `map_gradient`, the feature maps of the network's blocks; in `score`,
    or in a summary."""
    MEMBERS = auto()
    """`members` `[N, M, K]`, the logits of an ensemble's members."""
    TEXTS = auto()
    """`texts` `[K, D]`, the embeddings of the classes of a zero-shot classifier."""
    NEGATIVES = auto()
    """`negatives` `[M, D]`, the embeddings of texts that describe no class."""
    LABELS = auto()
    """`labels` `[N]`, of the fitting split only (in `fit`)."""


@dataclass
class Passes:
    """How often a detector has the network run for a batch, beyond the shared pass."""

    forward: int = 0
    backward: int = 0

    def add(self, other: Passes) -> None:
        """Adds the passes of something that the detector has used."""
        self.forward += other.forward
        self.backward += other.backward


class Made(NamedTuple, Generic[T]):
    """Something that several detectors use, with the passes that it took."""

    value: T
    passes: Passes


@dataclass(frozen=True, eq=False)
class Batch:
    """All outputs of a network for some images; detectors get copies, `Outputs`."""

    inputs: Tensor
    logits: Tensor | None = None
    log_px: Tensor | None = None
    features: Tensor | None = None
    members: Tensor | None = None
    texts: Tensor | None = None
    negatives: Tensor | None = None
    labels: Tensor | None = None
    head: nn.Linear | None = None
    gradients: Mapping[Objective, Tensor] = field(default_factory=dict)
    faults: Mapping[Objective, Exception] = field(default_factory=dict)
    """The errors of objectives that have no gradient."""
    numbers: Tensor | None = None
    """`[N]`, places in the set."""
    blocks: tuple[str, ...] = ()
    """The names of the blocks."""
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    """`[N, C, H, W]`, by block."""
    map_gradients: Mapping[tuple[str, Objective], Tensor] = field(default_factory=dict)
    """`[N, C, H, W]`, by block and objective."""
    rerun: Rerun | None = None
    """Runs the network on other pixels."""
    summaries: dict[Hashable, Made[Tensor | Exception]] = field(default_factory=dict)
    """What detectors have summarised, by the summary and their declarations."""
    changed: dict[Hashable, Made[Batch]] = field(default_factory=dict)
    """Outputs for changed images, by the change and by the detector's declarations."""
    statistics: dict[Hashable, object] = field(default_factory=dict)
    """What detectors share in `fit`, by the function that computes it."""


class Rerun(Protocol):
    """The network, to be run again for the images of a batch."""

    def __call__(
        self,
        pixels: Tensor,
        objectives: Sequence[Objective],
        given: Mapping[str, Tensor],
    ) -> Batch:
        """Returns the outputs for other pixels, and given maps in place of blocks'."""


class Declares(Protocol):
    """The declarations of a detector."""

    @property
    def needs(self) -> Need:
        """The inputs besides logits and log p(x)."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives whose gradients it reads."""

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """The summaries of batches that it reads in `fit`."""

    @property
    def control(self) -> bool:
        """Whether it uses pixels alone."""

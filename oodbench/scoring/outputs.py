"""What a detector receives: the outputs of the shared pass, as far as it needs them."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Self, TypeVar

from torch import Tensor, nn
from torch.nn.functional import linear

from oodbench.base.errors import reason
from oodbench.networks.hardware import is_out_of_memory
from oodbench.scoring.batch import (
    Batch,
    Change,
    Declares,
    Made,
    Need,
    Objective,
    Passes,
    Rerun,
    Summary,
)
from oodbench.scoring.fitting.rows import own_copy

T = TypeVar("T")


class Outputs:
    """The outputs for a batch that a detector has declared, as copies of its own."""

    def __init__(
        self, batch: Batch, detector: Declares, passes: Passes | None = None
    ) -> None:
        self._batch = batch
        self._detector = detector
        self.passes = passes or Passes()
        """Those that the detector would need alone."""
        self._copies: dict[object, Tensor] = {}
        self._copied_head: nn.Linear | None = None
        self.read = Need.NOTHING
        """The declared inputs that have been read."""

    def __len__(self) -> int:
        return self._batch.inputs.shape[0]

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
    def members(self) -> Tensor:
        """`[N, M, K]`, float32, the logits of an ensemble's members."""
        return self._copy_of("members", self._declared(Need.MEMBERS).members)

    @property
    def texts(self) -> Tensor:
        """`[K, D]`, float32, of length 1: the embeddings of the classes' texts."""
        return self._copy_of("texts", self._declared(Need.TEXTS).texts)

    @property
    def negatives(self) -> Tensor:
        """`[M, D]`, float32, of length 1: embeddings of texts that describe no class.

        They are in the order of mining, the least similar to the classes first.
        """
        return self._copy_of("negatives", self._declared(Need.NEGATIVES).negatives)

    @property
    def inputs(self) -> Tensor:
        """`[N, C, H, W]`, float32 pixels in [0, 1]."""
        inputs = self._declared(Need.INPUTS).inputs
        return self._copy_of("inputs", inputs if inputs.shape[1] else None)

    @property
    def head(self) -> nn.Linear:
        """The linear layer that makes the logits from the features."""
        head = self._declared(Need.HEAD).head
        if head is None:
            raise LookupError("the network has no linear head")
        if self._copied_head is None:
            self._copied_head = copy.deepcopy(head)
        return self._copied_head

    @property
    def numbers(self) -> Tensor:
        """`[N]`, int64, on the host: the place of each image in its whole set.

        Noise that depends on a seed and this number alone is the same in every run.
        """
        return self._copy_of("numbers", self._declared(Need.NETWORK).numbers)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the network's blocks, in the order in which they run."""
        return self._declared(Need.BLOCKS).blocks

    def map(self, block: str) -> Tensor:
        """Returns the feature map that a block returns, `[N, C, H, W]`, float32."""
        maps = self._declared(Need.BLOCKS).maps
        if not maps:
            raise LookupError(
                f"there are no maps of a whole split; {self._who} can list a summary "
                "of single batches"
            )
        return self._copy_of(f"map of {block}", maps[block])

    def map_gradient(self, block: str, objective: Objective) -> Tensor:
        """Returns ∂ objective / ∂ the map of a block `[N, C, H, W]`, image by image.

        Raises:
            LookupError: The detector does not list the objective.
            RuntimeError: The objective failed.
        """
        gradients = self._declared(Need.BLOCKS).map_gradients
        self._check_listed(objective)
        return self._copy_of((block, objective), gradients[block, objective])

    def gradient(self, objective: Objective) -> Tensor:
        """Returns ∂ objective / ∂ pixels `[N, C, H, W]` of each image.

        Pixels go from 0 to 1; the gradient by pixels in [-1, 1] is half of it.

        Raises:
            LookupError: The detector does not list the objective.
            RuntimeError: The objective failed.
        """
        gradients = self._declared(Need.GRADIENT).gradients
        self._check_listed(objective)
        return self._copy_of(objective, gradients[objective])

    def summary(self, summary: Summary) -> Tensor:
        """Returns what a summary makes of these outputs, `[N, …]`.

        Equal summaries are computed once for all detectors of equal `needs` and
        `objectives`.
        """
        found = summarise(self._batch, self._detector, summary)
        self.passes.add(found.passes)
        if isinstance(found.value, Exception):
            raise found.value
        return self._copy_of(summary, found.value)

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
            members=None,
            gradients={},
            maps={},
            map_gradients={},
            rerun=None,
            summaries={},
            changed={},
            statistics={},
        )
        return type(self)(changed, self._detector, self.passes)

    def seen_by(self, detector: Declares) -> Self:
        """Returns these outputs as another detector receives them."""
        return type(self)(self._batch, detector, self.passes)

    def run(self, pixels: Tensor, *objectives: Objective) -> Outputs:
        """Runs the network on other pixels `[N, C, H, W]` in the place of these.

        Args:
            pixels: Usually in [0, 1], which is not checked.
            objectives: The objectives to differentiate there, one backward pass each.

        Raises:
            LookupError: There is no network, as in `fit`.
            ValueError: The pixels have another shape than `inputs`.
        """
        self._network()
        if pixels.shape != self._batch.inputs.shape:
            raise ValueError(
                f"{self._who} runs the network on {list(pixels.shape)}, not on "
                f"{list(self._batch.inputs.shape)} as it was given"
            )
        # A copy, since the detector may go on writing into its own.
        return self._run_again(pixels.clone(), objectives, {})

    def with_map(self, block: str, values: Tensor) -> Outputs:
        """Runs the network on these images, with another map of a block.

        Args:
            block: One of `blocks`.
            values: `[N, C, H, W]`, what the block returns instead.
        """
        self._declared(Need.BLOCKS)
        return self._run_again(self._batch.inputs, (), {block: values.clone()})

    def _run_again(
        self,
        pixels: Tensor,
        objectives: Sequence[Objective],
        given: Mapping[str, Tensor],
    ) -> Outputs:
        batch = self._network()(pixels, objectives, given)
        self.passes.add(Passes(1, len(objectives)))
        return Outputs(batch, self._detector, self.passes)

    def _network(self) -> Rerun:
        rerun = self._network_output(self._declared(Need.NETWORK).rerun)
        if rerun is None:
            raise LookupError(f"there is no network here for {self._who}")
        return rerun

    def after(self, change: Change) -> Outputs:
        """Returns the network's outputs for these images after a change.

        Equal changes run once for all detectors of equal `needs` and `objectives`.
        """
        changed = self._declared(Need.NETWORK).changed
        key = shared_key(change, self._detector)
        if key not in changed:
            # From new copies, since the detector may have written into its own.
            made = change(Outputs(self._batch, self._detector))
            changed[key] = Made(made._batch, made.passes)
        self.passes.add(changed[key].passes)
        return Outputs(changed[key].value, self._detector, self.passes)

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

    def _check_listed(self, objective: Objective) -> None:
        if (fault := self._batch.faults.get(objective)) is not None:
            if is_out_of_memory(fault):
                raise fault  # a smaller batch may help
            raise RuntimeError(f"its objective failed: {reason(fault)}") from fault
        if objective not in self._batch.gradients:
            raise LookupError(
                f"{self._who} reads the gradient of an objective that it does not "
                f"list; add it to its `objectives`, or give it to `run`"
            )

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
            self._copies[name] = own_copy(value)
        return self._copies[name]


def summarise(
    batch: Batch, detector: Declares, summary: Summary
) -> Made[Tensor | Exception]:
    """Returns the summary of a batch for a detector, or why it failed; kept for later.

    Raises:
        torch.OutOfMemoryError: A smaller batch may help.
    """
    key = shared_key(summary, detector)
    if key not in batch.summaries:
        view = Outputs(batch, detector)
        found: Tensor | Exception
        try:
            found = summary(view)
            view.check_untouched()
            if found.shape[:1] != (len(view),):
                raise ValueError(
                    f"a summary of {len(view)} images has shape {list(found.shape)}"
                )
        except Exception as error:  # it comes from a plug-in
            if is_out_of_memory(error):
                raise
            found = error.with_traceback(None)
        batch.summaries[key] = Made(found, view.passes)
    return batch.summaries[key]


def shared_key(summary: Hashable, detector: Declares) -> Hashable:
    """Returns the key of what a function makes of a batch for a detector.

    A detector that declares less must fail as it fails alone.
    """
    return summary, detector.needs, detector.objectives


def _hooks(layer: nn.Module) -> list[int]:
    kinds = (
        layer._forward_pre_hooks,
        layer._forward_hooks,
        layer._backward_pre_hooks,
        layer._backward_hooks,
    )
    return [len(kind) for kind in kinds]

"""A classifier on pixels in [0, 1]: logits, log p(x), features and head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError, reason
from oodbench.base.files import key_of
from oodbench.data.dataset import Shape
from oodbench.networks.compiled import Part, compiled, in_place, parts_of
from oodbench.networks.fingerprint import Attribute, attributes, hash_module
from oodbench.networks.inner import (
    Call,
    Inner,
    checked_blocks,
    layer_of,
    linear_form,
    map_calls,
    usual_blocks,
    watched,
)
from oodbench.networks.libraries.onnx_module import OnnxModule
from oodbench.networks.output import Place, find_logits
from oodbench.networks.precision import Precision, autocast, make_float32, products
from oodbench.networks.result import Joint, Result
from oodbench.networks.sizes import other_size
from oodbench.networks.zero_shot.classifier import ZeroShot


@dataclass(eq=False)
class Network:
    """A module with its preprocessing, frozen, in evaluation mode and in float32.

    Normalisation happens inside, so that images are perturbed and differentiated as
    pixels in [0, 1]. The module may return logits `[N, K]`, a `Joint`, or an object,
    dictionary or tuple with logits. One logit f per image, `[N, 1]` or `[N]`, becomes
    the two logits (0, f), whose softmax is the sigmoid of f.

    Raises:
        InputError: The module cannot take such images, or returns no logits.
    """

    module: nn.Module
    shape: Shape
    """Of one image: channels, height and width."""
    name: str = "network"
    mean: tuple[float, ...] = (0.0,)
    """Of the normalisation, one value or one per channel, for pixels in [0, 1]."""
    std: tuple[float, ...] = (1.0,)
    precision: Precision = "fp32"
    """bf16 runs the module in autocast; what comes out of it is float32 again. With
    tf32 a GPU rounds what it multiplies to 10 bits; elsewhere it is fp32."""
    compiled: bool = False
    """Whether torch.compile runs what lies between blocks and head; last digits of the
    outputs differ then. A single image runs uncompiled. `run` sets it."""
    source: Mapping[str, object] = field(default_factory=dict)
    """Where the weights come from, for the record."""
    class_names: tuple[str, ...] = ()
    """In the order of the logits; empty if they are not known."""
    head_layer: str = ""
    """Name of the layer whose input is the features, `classifier.0`, say; empty for the
    last linear layer whose output is the logits."""
    blocks: tuple[str, ...] = ()
    """Names of the modules whose feature maps detectors read; empty for the last module
    of each size of map."""
    head: nn.Linear | None = field(init=False, default=None)
    """The linear layer that makes the logits from the features, if there is one."""
    classes: int = field(init=False)
    has_density_head: bool = field(init=False)
    """Whether log p(x) has its own head (an unconditional JEM)."""
    has_members: bool = field(init=False)
    """Whether it is an ensemble."""
    _logits: Place = field(init=False)
    _is_binary: bool = field(init=False)
    _reads: nn.Module | None = field(init=False, default=None)
    """The layer whose input is the features."""
    _written: frozenset[Attribute] = field(init=False)
    _order: torch.memory_format = field(init=False, default=torch.channels_last)
    """The order of images in memory: the faster one, unless the module fails on it."""
    _moments: tuple[object, Tensor, Tensor] | None = field(
        init=False, repr=False, default=None
    )
    """Mean and deviation on the device of the last images, and what they were made of;
    both may be set anew."""

    def __post_init__(self) -> None:
        self.shape = _shape(self.shape)
        self.mean, self.std = _values("mean", self.mean), _values("std", self.std)
        self._check_normalisation()
        self.source = dict(self.source)
        self.module.eval()
        if converted := make_float32(self.module):
            self._note("converted", converted)
        self._probe()  # lazy layers have their weights from then on
        if self.blocks:
            self.blocks = checked_blocks(self.blocks, self._map_calls)
        self.module.requires_grad_(False)

    def to(self, device: str | torch.device) -> Network:
        """Moves the module; images are expected there from then on."""
        self.module.to(device)
        for weight in self.module.parameters():
            if weight.is_cuda and weight.ndim == 4:  # images come in this order, too
                weight.data = weight.contiguous(memory_format=self._order)
        if self.head is not None:
            self.head.to(device)
        return self

    @property
    def title(self) -> str:
        """The name, with the precision where it is not the usual one."""
        return self.name + ("" if self.precision == "fp32" else f" ({self.precision})")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weight = next(self.module.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @property
    def has_features(self) -> bool:
        """Whether there is a layer whose input is the features."""
        return self._reads is not None

    @property
    def has_gradients(self) -> bool:
        """Whether outputs can be differentiated by the pixels."""
        return not isinstance(self.module, OnnxModule)

    @property
    def texts(self) -> Tensor | None:
        """`[K, D]`, embeddings of the classes' texts; None if it is no zero-shot one.

        Like the features, they have length 1.
        """
        return None if self._zero_shot is None else self._zero_shot.texts

    @property
    def negatives(self) -> Tensor | None:
        """`[M, D]`, embeddings of texts that describe none of the classes."""
        return None if self._zero_shot is None else self._zero_shot.negatives

    @property
    def _zero_shot(self) -> ZeroShot | None:
        """The module, if the features are embeddings that can be compared to texts."""
        module = self.module
        if isinstance(module, ZeroShot) and self._reads is module.head:
            return module
        return None

    @cached_property
    def block_names(self) -> tuple[str, ...]:
        """The blocks whose feature maps detectors read; empty where there are none."""
        return self.blocks or usual_blocks(self._map_calls)

    def __call__(
        self,
        pixels: Tensor,
        *,
        with_maps: bool = False,
        given: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> Result:
        """Runs the module once on pixels `[N, C, H, W]` in [0, 1].

        Args:
            pixels: The images.
            with_maps: Whether to return the feature maps of the blocks.
            given: Maps that blocks return in the place of their own, by name.
        """
        names = (*(self.block_names if with_maps else ()), *given)
        parts = self.parts if self.compiled and len(pixels) > 1 else ()
        with self._watched(names, given) as inner, in_place(parts):
            output = self._run(pixels)
        logits, log_px, members = self._joint(output, pixels.shape[0])
        return Result(
            logits.float(),
            log_px.float(),
            None if inner.features is None else inner.features.float(),
            {name: one.float() for name, one in inner.maps.items()},
            None if members is None else members.float(),
        )

    def _watched(
        self, names: Iterable[str], given: Mapping[str, Tensor]
    ) -> AbstractContextManager[Inner]:
        blocks = {name: self.module.get_submodule(name) for name in names}
        return watched(self._reads, blocks, given)

    @cached_property
    def _map_calls(self) -> list[Call]:
        pixels = torch.full((2, *self.shape), 0.5, device=self.device)
        return map_calls(self.module, lambda: self._run(pixels))

    @cached_property
    def parts(self) -> Sequence[Part]:
        """The parts that may be compiled; none of an ensemble or an ONNX file."""
        if self.has_members:
            return ()
        watched = {self.module.get_submodule(name) for name in self.block_names}
        watched |= {self._reads} if self._reads else set()
        return compiled(dict.fromkeys(parts_of(self.module, watched)))

    def __getstate__(self) -> dict[str, Any]:
        # Compiled parts compute with the weights of this very module.
        return {key: own for key, own in vars(self).items() if key != "parts"}

    def fingerprint(self) -> str:
        """Returns a hash of all that decides what the network computes."""
        built_by = [self.source.get(key) for key in ("architecture", "code")]
        module = self.module
        derived = module.derived if isinstance(module, ZeroShot) else frozenset()
        return key_of(
            hash_module(self.module, self._written, derived),
            built_by,
            self.has_density_head,
            str(self._logits),
            [self.mean, self.std, self.shape, self.precision],
        )

    def _check_normalisation(self) -> None:
        for values in (self.mean, self.std):
            if len(values) not in (1, self.shape.channels):
                raise InputError(
                    f"The normalisation has {len(values)} values for "
                    f"{self.shape.channels} channels; give one, or one per channel."
                )
        if not all(value > 0 for value in self.std):
            raise InputError(f"--std must be positive, got {self.std}.")
        # No pixels in [0, 1] have such moments, and nothing else is ever normalised.
        if not all(0 <= mean <= 1 for mean in self.mean) or max(self.std) > 1:
            raise InputError(
                f"The normalisation with mean {self.mean} and std {self.std} is not "
                "one for pixels in [0, 1]; for pixels in 0…255, divide both by 255."
            )

    def _note(self, key: str, text: str) -> None:
        self.source = {**self.source, key: text}

    def _run(self, pixels: Tensor) -> object:
        made_of = (pixels.device, self.mean, self.std)
        if self._moments is None or self._moments[0] != made_of:
            self._moments = (
                made_of,
                _per_channel(self.mean, pixels),
                _per_channel(self.std, pixels),
            )
        _, mean, std = self._moments
        device, precision = pixels.device, self.precision
        with products(device, precision), autocast(device, precision):
            # `contiguous` would leave the strides of grey images as they are.
            images = (pixels - mean).div_(std).to(memory_format=self._order)
            return self.module(images)

    def _joint(self, output: object, images: int) -> Joint:
        found = self._logits.take(output)
        if isinstance(found, Joint):
            return Joint.of(found)
        assert isinstance(found, Tensor)
        if self._is_binary:
            found = found.reshape(-1, 1)
            found = torch.cat([torch.zeros_like(found), found], 1)
        elif images == 1 and found.ndim == 1:  # the module squeezes its output
            found = found[None]
        if found.shape[0] != images:
            raise InputError(
                f"The network {self.name!r} returned {len(found)} rows of logits for "
                f"{images} images; it must return one per image."
            )
        return Joint.of(found)

    def _probe(self) -> None:
        pixels = torch.full((2, *self.shape), 0.5, device=self.device)
        before = attributes(self.module)
        calls: list[tuple[nn.Linear, Tensor]] = []
        hooks = [
            layer.register_forward_hook(lambda own, _, out: calls.append((own, out)))
            for layer in self.module.modules()
            if isinstance(layer, nn.Linear)
        ]
        if self.head_layer:
            self._reads = layer_of(self.module, self.head_layer)
        try:
            output, inner = self._first_run(pixels, calls)
        except Exception as error:  # other people's code
            raise InputError(
                f"The network {self.name!r} fails on images {self.shape} "
                f"({reason(error)}).{other_size(self.module, self.shape)}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        after = attributes(self.module)
        self._written = frozenset(k for k in after if before.get(k) != after[k])
        logits = self._accept(output, [out for _, out in calls])
        self._find_head(logits, [layer for layer, out in calls if out is logits], inner)

    @torch.no_grad()
    def _first_run(self, pixels: Tensor, calls: list[Any]) -> tuple[object, Inner]:
        try:
            with self._watched((), {}) as inner:
                return self._run(pixels), inner
        except RuntimeError:
            if self._order == torch.contiguous_format:
                raise
            # A `view` behind a convolution takes no other order.
            self._order = torch.contiguous_format
            calls.clear()
            return self._first_run(pixels, calls)

    def _find_head(self, logits: Tensor, last: list[nn.Linear], inner: Inner) -> None:
        """Finds the linear layer between features and logits, if there is one."""
        if self._reads is None:
            self._reads = self.head = last[-1] if last else None
        elif inner.features is None or inner.features.ndim != 2:
            raise InputError(
                f"The input of the layer {self.head_layer!r} cannot be the features; "
                "name a layer that receives [N, D] or [N, C, H, W]."
            )
        else:
            self.head = linear_form(self._reads, inner.features, logits)
        if self.head is not None and self._is_binary:
            self.head = _with_a_zero_row(self.head)

    def _accept(self, output: object, heads: list[Tensor]) -> Tensor:
        """Returns the logits in an output for two images; notes where they are."""
        wanted = f"The network {self.name!r} must return logits [N, classes]"
        whole = isinstance(output, Joint)
        self.has_members = isinstance(output, Joint) and output.members is not None
        self.has_density_head = whole and not self.has_members
        try:
            self._logits = Place() if whole else find_logits(output, 2, heads)
        except InputError as error:
            raise InputError(f"{wanted}; for 2 images {error}.") from error
        found = self._logits.take(output)
        logits = found.logits if isinstance(found, Joint) else found
        assert isinstance(logits, Tensor)
        size = tuple(logits.shape)
        self._is_binary = size in ((2,), (2, 1)) and not whole
        if not self._is_binary and (len(size) != 2 or size[0] != 2 or size[1] < 1):
            raise InputError(f"{wanted}; for 2 images it returned shape {size}.")
        if self._logits.kind:
            self._note("logits", str(self._logits))
        if self._is_binary:
            self._note("classes", "one logit f per image, taken as the logits (0, f)")
        self.classes = 2 if self._is_binary else size[1]
        return logits


def _per_channel(values: tuple[float, ...], pixels: Tensor) -> Tensor:
    return torch.tensor(values, device=pixels.device).view(1, -1, 1, 1)


def _with_a_zero_row(head: nn.Linear) -> nn.Linear:
    """Returns the head of the logits (0, f) for the head of f."""
    both = nn.Linear(head.in_features, 2, device=head.weight.device)
    with torch.no_grad():
        both.weight.copy_(torch.cat([torch.zeros_like(head.weight), head.weight]))
        both.bias.zero_()
        if head.bias is not None:
            both.bias[1:] = head.bias
    return both.requires_grad_(False)


def _shape(shape: Iterable[int]) -> Shape:
    sizes = [int(size) for size in shape]
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(
            f"The shape of an image is (channels, height, width), not {shape}."
        )
    return Shape(*sizes)


def _values(name: str, values: float | Iterable[float]) -> tuple[float, ...]:
    """Returns one value or several as a tuple."""
    try:
        several = torch.as_tensor(values, dtype=torch.float64).flatten()
        return tuple(several.tolist())
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"The {name} of the normalisation must be numbers, not {values!r}."
        ) from None

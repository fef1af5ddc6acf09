"""A classifier on pixels in [0, 1]: logits, log p(x), features and head."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape

Precision = Literal["fp32", "bf16"]


class Joint(NamedTuple):
    """Logits and log p(x). An unconditional JEM's module returns it: two heads."""

    logits: Tensor
    """`[N, K]`."""
    log_px: Tensor
    """`[N]`, unnormalised."""

    @classmethod
    def of(cls, output: Tensor | Joint) -> Joint:
        """Returns what a module's output says, half precision made float32.

        Logits alone say log p(x) by their LogSumExp.
        """
        if isinstance(output, Joint):
            return cls(_at_least_float32(output.logits), _at_least_float32(output[1]))
        logits = _at_least_float32(output)
        return cls(logits, logits.logsumexp(1))


class Result(NamedTuple):
    """What one forward pass gives."""

    logits: Tensor
    """`[N, K]`, float32."""
    log_px: Tensor
    """`[N]`, float32, unnormalised log p(x)."""
    features: Tensor | None
    """`[N, D]`, the input of the head; None where there is no linear head."""


@dataclass(eq=False)
class Network:
    """A module with its preprocessing, frozen and in evaluation mode.

    Normalisation happens inside, so that whoever perturbs or differentiates an image
    works on pixels in [0, 1]. The head is the last linear layer whose output is the
    logits; it is found by running the module once on grey images.

    Raises:
        InputError: The module cannot take such images, or returns something else than
            logits `[N, K]` or a `Joint`.
    """

    module: nn.Module
    shape: Shape
    """Of the images that it takes."""
    name: str = "network"
    mean: tuple[float, ...] = (0.0,)
    """Of the normalisation, a value or one a channel, for pixels in [0, 1]."""
    std: tuple[float, ...] = (1.0,)
    precision: Precision = "fp32"
    """bf16 runs the module in autocast; what comes out of it is float32 again."""
    source: Mapping[str, object] = field(default_factory=dict)
    """Where the weights come from, for the record."""
    head: nn.Linear | None = field(init=False, default=None)
    classes: int = field(init=False)
    has_density_head: bool = field(init=False)
    """Whether log p(x) has a head of its own (an unconditional JEM)."""

    def __post_init__(self) -> None:
        self.shape = Shape(*self.shape)
        for values in (self.mean, self.std):
            if len(values) not in (1, self.shape.channels):
                raise InputError(
                    f"The normalisation has {len(values)} values for "
                    f"{self.shape.channels} channels; give one, or one a channel."
                )
        if not all(value > 0 for value in self.std):
            raise InputError(f"--std must be positive, got {self.std}.")
        self.module.eval()
        self.module.requires_grad_(False)
        self._probe()

    def to(self, device: str | torch.device) -> Network:
        """Moves the module; images are expected there from then on."""
        self.module.to(device)
        return self

    @property
    def title(self) -> str:
        """The name, with the precision where it is not the usual one."""
        return self.name + (" (bf16)" if self.precision == "bf16" else "")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weight = next(self.module.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    def __call__(self, pixels: Tensor) -> Result:
        """Runs the module once on pixels `[N, C, H, W]` in [0, 1]."""
        features: list[Tensor] = []
        if self.head is None:
            output = self._run(pixels)
        else:
            hook = self.head.register_forward_pre_hook(
                lambda _, inputs: features.append(inputs[0])
            )
            try:
                output = self._run(pixels)
            finally:
                hook.remove()
        logits, log_px = Joint.of(output)
        return Result(
            logits.float(),
            log_px.float(),
            features[-1].float() if features else None,
        )

    def fingerprint(self) -> str:
        """Returns a hash of all that decides what the network computes."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        # Equal weights compute otherwise with another norm, factory or density head.
        layers = [type(layer).__qualname__ for layer in self.module.modules()]
        built_by = self.source.get("architecture")
        digest.update(f"{layers} {built_by} {self.has_density_head}".encode())
        digest.update(f"{self.mean} {self.std} {self.shape}".encode())
        digest.update(self.precision.encode())
        digest.update(source_hash(type(self.module)).encode())
        return digest.hexdigest()

    def _run(self, pixels: Tensor) -> Tensor | Joint:
        mean = pixels.new_tensor(self.mean).view(1, -1, 1, 1)
        std = pixels.new_tensor(self.std).view(1, -1, 1, 1)
        with autocast(pixels.device, self.precision):
            output: Tensor | Joint = self.module((pixels - mean) / std)
        return output

    def _probe(self) -> None:
        pixels = torch.full((2, *self.shape), 0.5, device=self.device)
        calls: list[tuple[nn.Linear, Tensor]] = []
        hooks = [
            layer.register_forward_hook(lambda own, _, out: calls.append((own, out)))
            for layer in self.module.modules()
            if isinstance(layer, nn.Linear)
        ]
        try:
            with torch.no_grad():
                output = self._run(pixels)
        except Exception as error:  # other people's code
            reason = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"The network {self.name!r} fails on images {self.shape} "
                f"({type(error).__name__}: {reason}). Is it made for another size?"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        self._accept(output)
        logits = output.logits if isinstance(output, Joint) else output
        heads = [layer for layer, out in calls if out is logits]
        self.head = heads[-1] if heads else None

    def _accept(self, output: object) -> None:
        self.has_density_head = isinstance(output, Joint)
        logits = output.logits if isinstance(output, Joint) else output
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 2:
            got = (
                f"shape {tuple(logits.shape)}"
                if isinstance(logits, Tensor)
                else type(logits).__name__
            )
            raise InputError(
                f"The network {self.name!r} must return logits [N, classes] for N "
                f"images; for 2 images it returned {got}."
            )
        self.classes = logits.shape[1]


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Returns what a module runs in: bf16 where it is told to, else its own dtype."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def source_hash(owner: type) -> str:
    """Returns a hash of the file that defines a class, or else of its name."""
    try:
        text = Path(inspect.getfile(owner)).read_bytes()
    except (TypeError, OSError):
        text = f"{owner.__module__}.{owner.__qualname__}".encode()
    return hashlib.sha256(text).hexdigest()

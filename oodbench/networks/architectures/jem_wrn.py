"""The Wide ResNet of the JEM paper, and how to recognise one by its state dict.

Grathwohl et al., "Your Classifier is Secretly an Energy Based Model and You Should
Treat it Like One", ICLR 2020, arXiv 1912.03263. The body varies the one of Zagoruyko
and Komodakis, "Wide Residual Networks", BMVC 2016, arXiv 1605.07146.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.networks.architectures import Usual
from oodbench.networks.architectures._activations import activation as new_activation
from oodbench.networks.architectures._names import count
from oodbench.networks.result import Joint

# Other Wide ResNets have no bias in their convolutions, and other names.
_HALLMARKS = (
    *("f.conv1.weight", "f.layer1.0.conv1.weight", "f.layer1.0.conv1.bias"),
    *("class_output.weight", "energy_output.weight"),
)
UNUSED = ("f.layer_one.", "f.other_layers.", "f.linear.")
"""Second names of the same tensors (JEM++), and a layer that is never used (JEM)."""


class ActNorm(nn.Module):
    """A learned shift and scale of each channel.

    Kingma and Dhariwal, "Glow", NeurIPS 2018, arXiv 1807.03039. Their values for the
    first batch come with the checkpoint.
    """

    initialized: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(1, dtype=torch.uint8))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps of the same shape `[N, C, H, W]`."""
        return self.scale * (maps + self.loc)


NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": partial(nn.BatchNorm2d, momentum=0.9),
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "layer": partial(nn.GroupNorm, 1),
    "act": ActNorm,
}


class Block(nn.Module):
    """A pre-activation residual block whose second convolution has the stride."""

    def __init__(
        self, entering: int, leaving: int, *, stride: int, norm: str, activation: str
    ) -> None:
        super().__init__()
        self.activate = new_activation(activation)
        self.bn1 = NORMS[norm](entering)
        self.conv1 = nn.Conv2d(entering, leaving, 3, padding=1)
        self.bn2 = NORMS[norm](leaving)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, padding=1, stride=stride)
        self.shortcut = nn.Sequential()
        if stride != 1 or entering != leaving:
            self.shortcut.append(nn.Conv2d(entering, leaving, 1, stride=stride))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        inner = self.conv1(self.activate(self.bn1(maps)))
        inner = self.conv2(self.activate(self.bn2(inner)))
        return inner + self.shortcut(maps)


class WideResNet(nn.Module):
    """The body: images in [-1, 1] to `features` numbers each.

    Depth 6n + 4 means n blocks a stage. Three stages are for images of 32 pixels; the
    fourth is SADA-JEM's for 64 and more, and pools over the whole map.
    """

    def __init__(
        self,
        *,
        depth: int,
        width: int,
        channels: int,
        stages: int,
        norm: str,
        activation: str,
    ) -> None:
        super().__init__()
        self.activate = new_activation(activation)
        blocks = (depth - 4) // 6
        widths = [16, *(16 * width * 2**stage for stage in range(stages))]
        self.features = widths[-1]
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        for number in range(1, stages + 1):
            entering = [widths[number - 1]] + [widths[number]] * (blocks - 1)
            strides = [1 if number == 1 else 2] + [1] * (blocks - 1)
            stage = [
                Block(
                    size,
                    widths[number],
                    stride=stride,
                    norm=norm,
                    activation=activation,
                )
                for size, stride in zip(entering, strides, strict=True)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.bn1 = NORMS[norm](self.features)
        self.pool = nn.AvgPool2d(8) if stages == 3 else nn.AdaptiveAvgPool2d(1)
        self.stages = stages

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps `[N, channels, H, W]` to `[N, features]`."""
        maps = self.conv1(pixels)
        for number in range(1, self.stages + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        return self.pool(self.activate(self.bn1(maps))).flatten(1)


class JEMWideResNet(nn.Module):
    """A JEM: logits whose LogSumExp is log p(x), or logits and an energy head.

    The conditional JEM reads log p(x) off its logits, and its energy head was never
    trained; the unconditional one has learned log p(x) with that head. Both have the
    same tensors. Images come in [-1, 1]. All checkpoints of the paper's family have
    LeakyReLU; those of `oodbench train` say in their card what they have.

    Raises:
        InputError: Depth, stages or norm are none of this family.
    """

    def __init__(
        self,
        *,
        depth: int = 28,
        width: int = 10,
        classes: int = 10,
        channels: int = 3,
        stages: int = 3,
        norm: str = "none",
        activation: str = "leaky_relu",
        unconditional: bool = False,
    ) -> None:
        super().__init__()
        if (
            depth % 6 != 4
            or not 10 <= depth < 1000
            or width < 1
            or stages not in (3, 4)
        ):
            raise InputError(
                f"There is no JEM WRN-{depth}-{width} of {stages} stages; the depth is "
                "10, 16, 22, 28 …, the width at least 1, and the stages are 3 or 4."
            )
        if norm not in NORMS:
            raise InputError(unknown("norm", norm, NORMS))
        self.f = WideResNet(
            depth=depth,
            width=width,
            channels=channels,
            stages=stages,
            norm=norm,
            activation=activation,
        )
        self.energy_output = nn.Linear(self.f.features, 1)
        self.class_output = nn.Linear(self.f.features, classes)
        self.title = f"JEM WRN-{depth}-{width}"
        self.norm = norm
        self.unconditional = unconditional

    def forward(self, pixels: Tensor) -> Tensor | Joint:
        """Maps `[N, channels, H, W]` in [-1, 1] to logits `[N, K]` or a `Joint`."""
        features = self.f(pixels)
        logits: Tensor = self.class_output(features)
        if not self.unconditional:
            return logits
        return Joint(logits, self.energy_output(features).squeeze(1))


NETWORK = JEMWideResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns the settings of the JEM, JEM++ or SADA-JEM that a state dict belongs to.

    Args:
        tensors: The state dict.
        given: The user's settings. `norm` is needed where it is instance or layer norm,
            whose tensors look alike. `unconditional` says whether log p(x) is the
            energy head; by default, whether that head has left the range of its
            initial values.

    Raises:
        InputError: The norm is not known, or is not that of the tensors.
    """
    first = next((name for name in tensors if name.endswith(_HALLMARKS[0])), "")
    prefix = first.removesuffix(_HALLMARKS[0])
    tensors = {name.removeprefix(prefix): each for name, each in tensors.items()}
    if not _is_jem(tensors):
        return None
    unconditional = given.get("unconditional")
    if unconditional is None:
        unconditional = _is_trained(tensors["energy_output.weight"])
    return {
        "depth": 6 * count(tensors, "f.layer1.{}.conv1.weight") + 4,
        "width": len(tensors["f.layer1.0.conv1.weight"]) // 16,
        "classes": len(tensors["class_output.weight"]),
        "channels": tensors["f.conv1.weight"].shape[1],
        "stages": 4 if "f.layer4.0.conv1.weight" in tensors else 3,
        "norm": _find_norm(tensors, given.get("norm")),
        "unconditional": unconditional,
    }


def usual(settings: Mapping[str, Any], keys: Collection[str]) -> Usual:
    """Returns the convention of the paper's code and of its successors."""
    kind = "unconditional" if settings["unconditional"] else "conditional"
    return Usual(
        title=f"{kind} JEM WRN-{settings['depth']}-{settings['width']}",
        normalisation="half",
        reason="that of all JEM code",
        side=32 if settings["stages"] == 3 else 64,
        assumed=("LeakyReLU of slope 0.2",),
    )


def _is_jem(weights: Mapping[str, Tensor]) -> bool:
    if not weights.keys() >= set(_HALLMARKS):
        return False
    match [tuple(weights[name].shape) for name in _HALLMARKS]:
        case [(16, channels, 3, 3), (rows, 16, 3, 3), _, (classes, columns), (1, same)]:
            return columns == same and min(channels, rows, classes, columns) > 0
    return False


def _is_trained(energy: Tensor) -> bool:
    # PyTorch draws a linear layer of D inputs from within 1/sqrt(D), and a conditional
    # JEM never moves this one. The margin is for rounding.
    return energy.abs().max().item() > 1.0001 * energy.shape[1] ** -0.5


def _find_norm(weights: Mapping[str, Tensor], given: str | None) -> str:
    norm = "f.layer1.0.bn1."
    if not any(name.startswith(norm) for name in weights):
        possible = ["none"]
    elif norm + "running_mean" in weights:
        possible = ["batch"]
    elif norm + "loc" in weights:
        possible = ["act"]
    else:
        possible = ["instance", "layer"]
    if given is None and len(possible) > 1:
        raise InputError(
            "The checkpoint's instance and layer norms look alike; choose "
            "--norm instance or --norm layer, as the network was trained."
        )
    if given is not None and given not in possible:
        raise InputError(
            f"The checkpoint has norm {' or '.join(possible)}, not {given!r} as --norm "
            "says."
        )
    return given or possible[0]

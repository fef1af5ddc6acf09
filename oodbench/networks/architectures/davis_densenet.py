"""The DenseNet-BC of DAVIS: its body is called `encoder`, its head `output_layer`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures import Settings, Usual, densenet_bc


class DAVISDenseNet(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]`, as `densenet_bc` by other names.

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 4 layers; 100 in most papers.
        growth: New channels per layer; 12 in most papers.

    Raises:
        InputError: Depth or growth are none of this family.
    """

    def __init__(
        self, *, classes: int, channels: int = 3, depth: int = 100, growth: int = 12
    ) -> None:
        super().__init__()
        self.encoder = densenet_bc.Body(channels, depth, growth)
        self.output_layer = nn.Linear(self.encoder.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        return self.output_layer(self.encoder(images))


NETWORK = DAVISDenseNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth, growth and sizes."""
    renamed = {
        name.replace("output_layer.", "fc.").removeprefix("encoder."): tensor
        for name, tensor in tensors.items()
        if name.startswith(("encoder.", "output_layer."))
    }
    return densenet_bc.recognise(renamed, given)


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of DICE's authors, which DAVIS is assumed to follow."""
    found = densenet_bc.usual(settings, keys)
    return found._replace(title=f"{found.title}, as in DAVIS")

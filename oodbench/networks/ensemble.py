"""A network that is the mean of several."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.networks.network import Network
from oodbench.networks.precision import Precision
from oodbench.networks.result import Joint


class Ensemble(nn.Module):
    """The mean of the members' class probabilities, and of their log p(x).

    The logits are log p̄(y|x) + the mean of the members' log p(x), p̄ being the mean of
    their softmax: so their softmax is p̄, and their LogSumExp is the mean log p(x).

    Lakshminarayanan, Pritzel and Blundell, Simple and Scalable Predictive Uncertainty
    Estimation using Deep Ensembles, NeurIPS 2017, arXiv 1612.01474.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self._members = tuple(members)
        self.modules_of_members = nn.ModuleList(one.module for one in members)

    def forward(self, pixels: Tensor) -> Joint:
        """Returns logits `[N, K]`, log p(x) `[N]` and the members' logits of pixels."""
        for member in self._members:
            member.precision = _precision_here(pixels.device)
        found = [member(pixels) for member in self._members]
        logits = torch.stack([one.logits for one in found], 1)
        log_px = torch.stack([one.log_px for one in found], 1).mean(1)
        mean = logits.log_softmax(2).logsumexp(1) - math.log(len(found))
        return Joint(mean + log_px[:, None], log_px, logits)


def _precision_here(device: torch.device) -> Precision:
    """Returns the precision that the network of the ensemble has set."""
    if torch.is_autocast_enabled(device.type):
        return "bf16"
    is_tf32 = torch.backends.cuda.matmul.fp32_precision == "tf32"
    return "tf32" if device.type == "cuda" and is_tf32 else "fp32"


def ensemble(members: Sequence[Network], name: str) -> Network:
    """Returns the network that is the mean of several.

    Raises:
        InputError: They do not have the same classes and images.
    """
    first = members[0]
    for one in members[1:]:
        for what in ("classes", "class_names", "shape"):
            own, other = getattr(first, what), getattr(one, what)
            if own != other:
                raise InputError(
                    f"{first.name} and {one.name} are no ensemble: their "
                    f"{what.replace('_', ' ')} are {own} and {other}."
                )
    keys = [one.fingerprint() for one in members]
    source = {
        "architecture": f"ensemble of {', '.join(keys)}",
        "members": [{"name": one.name, **one.source} for one in members],
    }
    network = Network(Ensemble(members), first.shape, name, source=source)
    network.class_names = first.class_names
    return network

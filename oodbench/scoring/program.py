"""A network and the score of its logits as one program, which needs no oodbench."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from oodbench.base.errors import InputError, reason
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Need
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Outputs


class Program(NamedTuple):
    """A program of `torch.export` from pixels to several outputs."""

    exported: ExportedProgram
    names: tuple[str, ...]
    """Of the outputs: `logits`, then `scores` and `accepted`, or else `features`; last
    `log_px` where log p(x) has a head of its own."""
    pixels: Tensor
    """Some that it was tried on."""
    expected: tuple[Tensor, ...]
    """What the network and the detector themselves give for them."""


class _Scored(nn.Module):
    """Pixels `[N, *shape]` in [0, 1] to the outputs of a program."""

    def __init__(
        self, network: Network, detector: Detector | None, threshold: float | None
    ) -> None:
        super().__init__()
        self.module = network.module  # its weights become those of the program
        self._network = network
        self._detector = detector
        self._threshold = threshold
        scored = ("scores",) if threshold is None else ("scores", "accepted")
        plain = ("features",) if network.has_features else ()
        density = ("log_px",) if network.has_density_head else ()
        self.names = ("logits", *(plain if detector is None else scored), *density)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        result = self._network(pixels)
        found = {
            "logits": result.logits,
            "features": result.features,
            "log_px": result.log_px,
        }
        if self._detector is not None:
            batch = Batch(pixels, logits=result.logits, log_px=result.log_px)
            scores = self._detector.score(Outputs(batch, self._detector)).double()
            found["scores"] = scores
            if self._threshold is not None:
                found["accepted"] = scores >= self._threshold
        return tuple(one for name in self.names if (one := found[name]) is not None)


def check_reads_logits(detector: Detector) -> None:
    """Raises InputError if scores take more than logits and log p(x)."""
    if detector.needs & ~Need.LABELS or detector.control:  # labels are for `fit`
        raise InputError(
            f"Only scores of logits can be exported; {type(detector).__name__} "
            "reads more than logits and log p(x)."
        )


def program(
    network: Network, detector: Detector | None = None, threshold: float | None = None
) -> Program:
    """Returns a program from pixels to logits, scores and whether they are accepted.

    Normalisation is inside, and the number of images is free. That its scores are those
    of the detector, but for rounding, is checked on random pixels. Without a detector
    it gives logits and, where the network has them, features. A head of its own for
    log p(x) is one more output.

    Args:
        network: On the device of the program.
        detector: It reads logits and log p(x) alone; fitted, if it needs fitting.
        threshold: Images that score no less are accepted; None for scores alone.

    Raises:
        InputError: The detector reads more, or torch cannot export it, or the scores of
            the program differ.
    """
    what = network.name
    if detector is not None:
        what += f" with {type(detector).__name__}"
        check_reads_logits(detector)
    scored = _Scored(network, detector, threshold).eval()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(4, *network.shape, generator=generator).to(network.device)
    try:
        with torch.no_grad():
            few, expected = scored(pixels[:3]), scored(pixels)
            found = torch.export.export(
                scored, (pixels,), dynamic_shapes=({0: Dim.DYNAMIC},)
            )
            for own in (few, expected):
                given = found.module()(pixels[: len(own[0])])
                torch.testing.assert_close(given[:2], own[:2], rtol=1e-5, atol=1e-5)
    except Exception as error:  # other people's code
        raise InputError(f"{what} cannot be exported ({reason(error)}).") from error
    return Program(found, scored.names, pixels, expected)

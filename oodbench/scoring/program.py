"""A network and the score of its logits as one program, which needs no oodbench."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from oodbench.base.errors import InputError, reason
from oodbench.networks.network import Network
from oodbench.scoring.batch import Batch, Need
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Outputs


class _Scored(nn.Module):
    """Pixels `[N, *shape]` in [0, 1] to logits `[N, K]`, scores and verdicts `[N]`."""

    def __init__(self, network: Network, detector: Detector, threshold: float) -> None:
        super().__init__()
        self.module = network.module  # its weights become those of the program
        self._network = network
        self._detector = detector
        self._threshold = threshold

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        result = self._network(pixels)
        batch = Batch(pixels, logits=result.logits, log_px=result.log_px)
        scores = self._detector.score(Outputs(batch, self._detector)).double()
        return result.logits, scores, scores >= self._threshold


def program(network: Network, detector: Detector, threshold: float) -> ExportedProgram:
    """Returns a program from pixels to logits, scores and whether they are accepted.

    Normalisation is inside, and the number of images is free. That its scores are those
    of the detector, but for rounding, is checked on random pixels.

    Args:
        network: On the device of the program.
        detector: It reads logits and log p(x) alone; fitted, if it needs fitting.
        threshold: Images that score no less are accepted.

    Raises:
        InputError: The detector reads more, or torch cannot export it, or the scores of
            the program differ.
    """
    if detector.needs != Need.NOTHING or detector.control:
        raise InputError(
            f"Only scores of logits can be exported; {type(detector).__name__} reads "
            "more than logits and log p(x)."
        )
    scored = _Scored(network, detector, threshold).eval()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(4, *network.shape, generator=generator).to(network.device)
    try:
        with torch.no_grad():
            expected = [scored(some)[1] for some in (pixels, pixels[:3])]
            found = torch.export.export(
                scored, (pixels,), dynamic_shapes=({0: Dim.DYNAMIC},)
            )
            for own in expected:
                torch.testing.assert_close(
                    found.module()(pixels[: len(own)])[1], own, rtol=1e-6, atol=1e-6
                )
    except Exception as error:  # other people's code
        raise InputError(
            f"{network.name} with {type(detector).__name__} cannot be exported "
            f"({reason(error)})."
        ) from error
    return found

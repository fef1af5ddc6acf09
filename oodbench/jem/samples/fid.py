"""Fréchet Inception distance by torch-fidelity, an extra (`oodbench[fid]`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.data.adapt import adapt, to_bytes
from oodbench.data.dataset import Images, Shape
from oodbench.data.image_set import ImageSet
from oodbench.networks.checkpoint import weights_file

EXTRACTOR = "inception-v3-compat"
"""torch-fidelity's name of the Inception network of the original FID code."""
PUBLISHED = "weights-inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True)
class FID:
    """Measures the Fréchet Inception distance of two sets of images.

    Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs Trained by a Two
    Time-Scale Update Rule Converge to a Local Nash Equilibrium, NeurIPS 2017, arXiv
    1706.08500. The distance falls as the number of images grows, so compare equal
    numbers only. All images count here; JEM++ and SADA-JEM report the distance of their
    most confident samples.

    Raises:
        InputError: torch-fidelity is not installed, or the weights cannot be read.
    """

    weights: Path | None = None
    """A file of the Inception network's weights; None downloads them."""
    extractor: str = EXTRACTOR
    """A feature extractor of torch-fidelity."""
    sha256: str | None = field(init=False, default=None)
    """Of the weights."""

    def __post_init__(self) -> None:
        try:
            import torch_fidelity  # noqa: F401 - fail before anything is computed
        except ImportError as error:
            raise InputError(
                "FID needs torch-fidelity; pip install 'oodbench[fid]'."
            ) from error
        if self.weights is not None:
            # torch-fidelity would run code in a pickle; this refuses such a file.
            sha256 = weights_file.read(self.weights).sha256
            object.__setattr__(self, "sha256", sha256)

    def measure(self, samples: Images, real: ImageSet, device: torch.device) -> Record:
        """Returns the distance and a description of the images.

        Args:
            samples: Images of the network's shape.
            real: The images to compare with. Grey images are converted to RGB.
            device: CUDA is used if it is a CUDA device, else the CPU.

        Raises:
            InputError: One of the two has a single image, or the download fails.
        """
        if min(len(samples), real.count) < 2:
            raise InputError(
                f"FID needs at least two samples and two real images, got "
                f"{len(samples)} and {real.count}."
            )
        shape = real.shape._replace(channels=3)
        found = self._distance(
            _Pixels(samples, shape), _Pixels(real.split.images, shape), device
        )
        return {
            "value": found,
            "samples": len(samples),
            "set": real.record(),
            "filtered": False,
            "extractor": self.extractor,
            "weights": self.sha256,
            "torch_fidelity": version("torch-fidelity"),
        }

    def _distance(self, first: _Pixels, second: _Pixels, device: torch.device) -> float:
        import torch_fidelity

        with (
            registry.foreign("torch-fidelity failed with"),
            torch.random.fork_rng(devices=[]),
        ):
            try:
                found = torch_fidelity.calculate_metrics(
                    input1=first,
                    input2=second,
                    fid=True,
                    feature_extractor=self.extractor,
                    feature_extractor_weights_path=self.weights,
                    cuda=device.type == "cuda",
                    cache=False,
                    save_cpu_ram=True,  # no processes, which small images do not need
                    verbose=False,
                )
            except OSError as error:
                raise InputError(
                    f"torch-fidelity cannot download the weights of {self.extractor} "
                    f"({error}); download {PUBLISHED} from its releases on GitHub and "
                    "give the file as --fid-weights."
                ) from error
        return float(found["frechet_inception_distance"])


@dataclass(frozen=True)
class _Pixels(Dataset[Tensor]):
    """Images one by one in the form for torch-fidelity, uint8 `[3, H, W]`."""

    images: Images
    shape: Shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        if index >= len(self):
            raise IndexError(index)
        (image,) = to_bytes(adapt(self.images[index : index + 1], self.shape))
        return torch.from_numpy(image).permute(2, 0, 1)

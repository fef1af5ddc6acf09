"""Mahalanobis distance to clusters of features of length 1, without labels."""

from dataclasses import dataclass, field

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._bank import MOST, UnitFeatures
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._class_covariances import scatter_about
from oodbench.detectors._gaussian import Gaussians, gaussians
from oodbench.scoring.fitting import statistics


@dataclass
class SSD(Detector):
    """−min_c (x − m_c)ᵀ C_c⁺ (x − m_c), x the standardised ẑ = z / ‖z‖₂, clusters c.

    Features are scaled to length 1, then each dimension to mean 0 and variance 1;
    dimensions that do not vary are dropped. Several clusters are found by k-means, in
    at most 200,000 images. Each has its own mean m_c and covariance C_c, divided by its
    number of images. A cluster of fewer images than features ignores other directions.

    One cluster is the default of the paper's code. OpenOOD's file of this name does not
    compute it; the package `detectors` takes a root and divides by n − 1.

    Sehwag, Chiang and Mittal, SSD: A Unified Framework for Self-Supervised Outlier
    Detection, ICLR 2021.
    """

    needs = Need.FEATURES
    fitted_on = "train"

    clusters: int = 1
    """How many, at least 1."""
    seed: int = 0
    """Of k-means, and of the draw of images for it."""
    fitted_images: int = field(init=False, repr=False)
    _clusters: list[Gaussians] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_at_least(self, clusters=1)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to 2**32 - 1, got {self.seed}")

    def fit(self, known: Known) -> None:
        """Keeps the mean and the covariance of each cluster."""
        if (size := len(known)) < self.clusters:
            raise ValueError(f"clusters is {self.clusters}, the training images {size}")
        images, mean, total = known.shared(statistics.unit_moments)
        deviation = (total.diagonal() / images).sqrt()
        scale = torch.where(deviation > 1e-10, 1 / deviation, 0.0)
        if self.clusters == 1:
            self._clusters = [_cluster(images, mean, total, scale)]
            return
        features = known.shared(UnitFeatures(1.0, self.seed, MOST))
        self.fitted_images = len(features)
        standard = features.sub(mean.float()).mul_(scale.float())
        k_means = KMeans(self.clusters, random_state=self.seed, n_init=10).fit(standard)
        groups = torch.from_numpy(k_means.labels_).long()
        found = statistics.group_means(features, groups, self.clusters)
        self._clusters = []
        for k, (count, middle) in enumerate(zip(*found, strict=True)):
            own = scatter_about(features[groups == k], middle)
            self._clusters.append(_cluster(int(count), middle, own, scale))

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the squared distance to the nearest cluster, `[N]`, ≤ 0."""
        features = statistics.unit(batch.features.double())
        parts = [cluster.squared(features) for cluster in self._clusters]
        return -torch.cat(parts, 1).amin(1)


def _cluster(images: int, mean: Tensor, total: Tensor, scale: Tensor) -> Gaussians:
    scaled = scale[:, None] * total * scale
    if not scaled.any():
        raise ValueError(f"the features of a cluster of {images} images do not vary")
    found = gaussians(mean[None], scaled / images)
    return found._replace(root=found.root * scale)  # acts on ẑ itself

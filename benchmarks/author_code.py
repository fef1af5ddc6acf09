"""The problem, and what makes authors' code run on it; for author_numbers.py."""

import contextlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from openood_numbers import CLASSES, COUNTS, Loader, Net, normalised
from torch import nn

CHECKOUTS = {
    "actsub": ("visinf/actsub", "5b058e7", "actsub_openood"),
    "bats": ("alibaba/easyrobust", "c8b6c08", "examples/ood_detection/BATS"),
    "cadref": ("LingAndZero/CADRef", "121f74b", ""),
    "davis": ("epsilon-2007/DAVIS", "fb7d10f", ""),
    "doctor": ("doctor-public-submission/DOCTOR", "8e24e7e", ""),
    "exgrad": ("cvigoe/EpiGrad", "0cd9ece", ""),
    "gaia": ("JGEthanChen/GAIA-OOD", "91c287c", ""),
    "igeood": ("edadaltocg/Igeood", "db532b1", ""),
    "jem": ("wgrathwohl/JEM", "3d01161", ""),
    "joint_energy": ("deeplearning-wisc/multi-label-ood", "0c999be", ""),
    "kpca": ("fanghenshaometeor/ood-kernel-pca", "56d348e", ""),
    "line": (
        "YongHyun-Ahn/LINe-Out-of-Distribution-Detection-by-Leveraging-Important-"
        "Neurons",
        "465ddf5",
        "",
    ),
    "maha-norm": ("mueller-mp/maha-norm", "53de550", "OpenOOD"),
    "mcm": ("deeplearning-wisc/MCM", "ea7130f", ""),
    "nac": ("BierOne/ood_coverage", "b002780", ""),
    "neglabel": ("XueJiang16/NegLabel", "3253db6", ""),
    "openood": ("Jingkang50/OpenOOD", "3c35632", ""),
    "optfs": ("Qinyu-Allen-Zhao/OptFSOOD", "c09a85e", ""),
    "ora": (
        "berkerdemirel/ORA-OOD-Detection-with-Relative-Angles",
        "4a4b3d6",
        "",
    ),
    "outlier-exposure": ("hendrycks/outlier-exposure", "e6ede98", ""),
    "pro": ("wenxichen2746/Perturbation-Rectified-OOD-Detection", "bb22cc2", ""),
    "ras": ("gigug/RAS", "313d8e0", ""),
    "ssd": ("inspire-group/SSD", "cf2e162", ""),
    "torch-uncertainty": (
        "ENSTA-U2IS-AI/torch-uncertainty",
        "0d0df2b",
        "src/torch_uncertainty/metrics/classification",
    ),
    "vra": ("zeroQiaoba/VRA", "4dad931", ""),
    "weiper": ("mgranz/weiper", "1c27a4f", "Weiper/OpenOOD"),
}
"""By the name in FOLDER: the repository, the commit and where the code lies in it."""


class Known:
    """The network with its outputs on all splits."""

    def __init__(self, arrays):
        self.net = Net(arrays).eval()
        self.arrays = arrays
        self.images = {n: normalised(arrays[f"{n}_images"], arrays) for n in COUNTS}
        self.labels = {n: torch.from_numpy(arrays[f"{n}_labels"]) for n in COUNTS}
        self.logits, self.features = {}, {}
        with torch.no_grad():
            for name, images in self.images.items():
                found = self.net(images, return_feature=True)
                self.logits[name], self.features[name] = found
        self.net.get_feature = lambda images: self.net(images, return_feature=True)

    def loaders(self):
        return {n: Loader(self.images[n], self.labels[n]) for n in COUNTS}

    def class_means(self):
        z, labels = self.features["train"], self.labels["train"]
        return torch.stack([z[labels == k].mean(0) for k in range(CLASSES)])

    def test(self):
        """Returns one batch of features and logits."""
        return [(self.features["test"], self.logits["test"])]


class OnPixels(nn.Module):
    """The network on pixels in [0, 1], in which our steps are counted."""

    def __init__(self, net, arrays):
        super().__init__()
        self.net, self.feature_size = net, net.fc.in_features
        mean, std = (torch.from_numpy(arrays[k]).float() for k in ("mean", "std"))
        self.mean, self.std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)

    def forward(self, pixels, return_feature=False, return_feature_list=False):
        return self.net((pixels - self.mean) / self.std, return_feature)

    def get_fc_layer(self):
        return self.net.fc

    def pixels(self, images):
        return images * self.std + self.mean


class WithMaps(nn.Module):
    """A network with two batch norms, on normalised images."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.fc = nn.Linear(6, CLASSES)
        rng = np.random.default_rng(1)
        for own in self.state_dict().values():
            if own.is_floating_point():
                own.copy_(torch.from_numpy(rng.normal(0.2, 0.5, own.shape)).abs())
        for own in (self.layers[0], self.layers[3], self.fc):
            own.weight.data -= 0.4

    def forward(self, images):
        self.before_head_data = self.layers(images)
        return self.fc(self.before_head_data)


@contextlib.contextmanager
def code(folder, name, **stubs):
    """Makes the modules of a checkout importable, with stubs for others."""
    before, root = set(sys.modules), folder / name / CHECKOUTS[name][2]
    for part in ("", ".postprocessors", ".networks", ".preprocessors"):
        package = ModuleType(f"openood{part}")
        package.__path__ = [str(root / f"openood{part}".replace(".", "/"))]
        sys.modules[f"openood{part}"] = package
    sys.modules |= {k.replace("_dot_", "."): v for k, v in stubs.items()}
    sys.path.insert(0, str(root))
    try:
        yield root
    finally:
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            place = getattr(sys.modules[name], "__file__", None)
            if place is None or Path(place).is_relative_to(root):
                del sys.modules[name]


def settings(**given):
    """Returns the configuration of one of OpenOOD's detectors."""
    return SimpleNamespace(
        dataset=SimpleNamespace(name="cifar10"),
        postprocessor=SimpleNamespace(
            postprocessor_args=SimpleNamespace(**given),
            postprocessor_sweep=None,
            postprocessor_sweep_decisive=None,
            APS_mode=False,
        ),
    )


@contextlib.contextmanager
def random_features():
    """Lets NumPy draw what `kpca` draws here with 64 random features and γ = 2."""
    usual, rng = (np.random.normal, np.random.rand), np.random.default_rng(0)
    np.random.normal = lambda size: rng.normal(0, 2, size[::-1]).T / 2
    np.random.rand = lambda count: rng.uniform(0, 2 * np.pi, count) / (2 * np.pi)
    try:
        yield
    finally:
        np.random.normal, np.random.rand = usual

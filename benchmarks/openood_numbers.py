"""Writes scores that OpenOOD's own code gives on a small problem, for the tests.

    python benchmarks/openood_numbers.py CHECKOUT tests/detectors/openood.npz

CHECKOUT is a checkout of github.com/Jingkang50/OpenOOD at 3c35632. The file holds the
network, the images and the scores, and nothing of the code. Runs on a CPU; needs tqdm
and scikit-learn.
"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from torch import nn

CLASSES, FEATURES, SHAPE = 10, 16, (3, 4, 4)
COUNTS = {"train": 400, "val": 200, "test": 60}
CASES = {
    "nnguide": ("nnguide", "NNGuidePostprocessor", {"K": 10, "alpha": 1.0}),
    "relation": ("relation", "RelationPostprocessor", {"pow": 1}),
    "fdbd": ("fdbd", "fDBDPostprocessor", {"distance_as_normalizer": True}),
    "nci": ("nci", "NCIPostprocessor", {"alpha": 1e-4}),
    "she": ("she", "SHEPostprocessor", {"metric": "inner_product"}),
    "gen": ("gen", "GENPostprocessor", {"gamma": 0.1, "M": 100}),
    "ash": ("ash", "ASHPostprocessor", {"percentile": 90}),
    "scale": ("scale", "ScalePostprocessor", {"percentile": 85}),
    "kl_matching": ("kl_matching", "KLMatchingPostprocessor", {}),
    "grad_norm": ("gradnorm", "GradNormPostprocessor", {}),
    "relative_mahalanobis": ("rmds", "RMDSPostprocessor", {}),
    "residual": ("residual", "ResidualPostprocessor", {"dim": 8}),
    "vim": ("vim", "VIMPostprocessor", {"dim": 8}),
    "cf_ood": ("cfood", "CFOODPostprocessor", {"alpha": 1.0}),
    "odin": ("odin", "ODINPostprocessor", {"temperature": 1000, "noise": 0.0014}),
    "i_odin": ("iodin", "IODINPostprocessor", {"temperature": 1000, "noise": 0.0014}),
}
"""By the name of our detector: OpenOOD's file, the class and its parameters."""


class Net(nn.Module):
    """A network with the methods that OpenOOD asks for."""

    def __init__(self, arrays):
        super().__init__()
        self.hidden = nn.Linear(np.prod(SHAPE), FEATURES)
        self.fc = nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.copy_(torch.from_numpy(arrays[name]))

    def forward(self, images, return_feature=False):
        features = self.hidden(images.flatten(1)).relu()
        logits = self.fc(features)
        return (logits, features) if return_feature else logits

    def get_fc(self):
        return self.fc.weight.detach().numpy(), self.fc.bias.detach().numpy()

    def get_fc_layer(self):
        return self.fc


class Inner:
    """faiss.IndexFlatIP, the exact largest inner products."""

    def __init__(self, size):
        pass

    def add(self, bank):
        self.bank = bank

    def search(self, queries, k):
        return np.sort(queries @ self.bank.T, axis=1)[:, ::-1][:, :k], None


class Loader(list):
    """Batches, with what OpenOOD reads of a loader."""

    def __init__(self, images, labels):
        size = self.batch_size = 50
        self.dataset = images
        super().__init__(
            {"data": one, "label": own}
            for one, own in zip(images.split(size), labels.split(size), strict=True)
        )


def problem(std):
    """Returns the arrays of a network and of images around ten class means."""
    rng = np.random.default_rng(0)
    size = int(np.prod(SHAPE))
    arrays = {
        "hidden.weight": rng.normal(0, 1 / np.sqrt(size), (FEATURES, size)),
        "hidden.bias": rng.normal(0, 0.1, FEATURES),
        "fc.weight": rng.normal(0, 1, (CLASSES, FEATURES)),
        "fc.bias": rng.normal(0, 0.1, CLASSES),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    arrays |= {"mean": np.full(3, 0.5), "std": np.array(std)}
    centres = rng.normal(128, 70, (CLASSES, *SHAPE[1:], 3))
    for name, count in COUNTS.items():
        centre = centres[rng.integers(CLASSES, size=count)]
        centre[: 10 * (name == "test")] = 128
        images = rng.normal(centre, 25).clip(0, 255).astype(np.uint8)
        with torch.no_grad():
            labels = Net(arrays)(normalised(images, arrays)).argmax(1).numpy()
        wrong = rng.random(count) < 0.1
        arrays[f"{name}_images"] = images
        arrays[f"{name}_labels"] = np.where(wrong, (labels + 1) % CLASSES, labels)
    return arrays


def normalised(images, arrays):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
    mean, std = (
        torch.from_numpy(arrays[key]).float().view(1, 3, 1, 1)
        for key in ("mean", "std")
    )
    return (pixels - mean) / std


def load(checkout):
    """Makes OpenOOD's modules importable, one by one, on a CPU."""
    for name in ("", ".postprocessors", ".networks", ".preprocessors", ".utils"):
        package = ModuleType(f"openood{name}")
        package.__path__ = [str(checkout / f"openood{name}".replace(".", "/"))]
        sys.modules[f"openood{name}"] = package
    sys.modules["faiss"] = SimpleNamespace(IndexFlatIP=Inner)
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *_: self


def scores(name, net, arrays):
    """Returns OpenOOD's scores of the test images, higher for in-distribution ones."""
    file, kind, settings = CASES[name]
    module = importlib.import_module(f"openood.postprocessors.{file}_postprocessor")
    config = SimpleNamespace(
        dataset=SimpleNamespace(name="cifar10"),
        postprocessor=SimpleNamespace(
            postprocessor_args=SimpleNamespace(**settings), postprocessor_sweep=None
        ),
    )
    loaders = {
        stage: Loader(
            normalised(arrays[f"{stage}_images"], arrays),
            torch.from_numpy(arrays[f"{stage}_labels"]),
        )
        for stage in COUNTS
    }
    if name == "residual":  # which it fits on
        loaders["val"] = loaders["train"]
    if name in ("ash", "scale"):
        layer = importlib.import_module(f"openood.networks.{name}_net")
        net = {"ash": "ASHNet", "scale": "ScaleNet"}[name]
        net = getattr(layer, net)(Net(arrays))
    detector = getattr(module, kind)(config)
    detector.setup(net, loaders, None)
    images = normalised(arrays["test_images"], arrays)
    return np.asarray(detector.postprocess(net, images)[1], np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    load(options.checkout)
    transform = importlib.import_module("openood.preprocessors.transform")
    arrays = problem(transform.normalization_dict["cifar10"][1])
    net = Net(arrays).eval()
    found = {f"scores of {name}": scores(name, net, arrays) for name in CASES}
    np.savez_compressed(options.file, **arrays, **found)


if __name__ == "__main__":
    main()

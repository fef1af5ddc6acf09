"""The detectors that oodbench and pytorch-ood 0.4.0 both have, for parity.py."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytorch_ood.detector as peer
import torch


@dataclass
class Parts:
    """A network in the pieces that pytorch-ood asks for."""

    model: torch.nn.Module
    encoder: torch.nn.Module
    head: torch.nn.Linear
    head_name: str

    @classmethod
    def of(cls, network):
        module = copy.deepcopy(network.module)
        (name,) = [n for n, m in network.module.named_modules() if m is network.head]
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, torch.nn.Identity())
        scaling = Scaling(network)
        model = torch.nn.Sequential(scaling, network.module).eval()
        encoder = torch.nn.Sequential(scaling, module).eval()
        return cls(model, encoder, network.head, f"1.{name}")

    def maps(self, pixels):
        return self.encoder(pixels)[:, :, None, None]

    def tail(self, maps):
        return self.head(maps.flatten(1))


class Scaling(torch.nn.Module):
    """Normalises pixels in [0, 1]."""

    def __init__(self, network):
        super().__init__()
        self.mean, self.std = (
            torch.tensor(values).view(1, -1, 1, 1)
            for values in (network.mean, network.std)
        )

    def forward(self, pixels):
        return (pixels - self.mean) / self.std


def same(scores, data):
    return scores


@dataclass(frozen=True)
class Pair:
    """A detector of ours, and the same one of pytorch-ood."""

    ours: str
    peer: Callable
    """Maps Parts to the peer's detector."""
    reads: str = "features"
    """What the peer can be given in the place of images."""
    scaled: Callable = same
    """Maps our scores and the Data to the peer's scale."""
    departs: str = ""
    """Which of the two departs from the paper, and how."""


def logits(kind, **settings):
    return lambda parts: kind(parts.model, **settings)


def encoded(kind, **settings):
    return lambda parts: kind(parts.encoder, **settings)


def headed(kind, **settings):
    return lambda parts: kind(parts.encoder, parts.head, **settings)


def weighted(kind, **settings):
    def make(parts):
        weight, bias = parts.head.weight.detach(), parts.head.bias.detach()
        return kind(parts.encoder, w=weight, b=bias, **settings)

    return make


def mapped(kind, **settings):
    return lambda parts: kind(parts.maps, parts.tail, **settings)


def of_head(kind, what=""):
    def make(parts):
        own = f"{parts.head_name}.{what}"
        return kind(parts.model, param_filter=lambda name: name.startswith(own))

    return make


def probability(scores, data):
    return 1 / (1 + np.exp(-scores))


PAIRS = (
    Pair("msp", logits(peer.MaxSoftmax), "logits", probability),
    Pair("max_logit", logits(peer.MaxLogit), "logits"),
    Pair("energy", logits(peer.EnergyBased), "logits"),
    Pair("entropy", logits(peer.Entropy), "logits", lambda s, _: -np.exp(-s)),
    Pair(
        "gen",
        logits(peer.GEN),
        "logits",
        lambda s, data: s / data.classes,
        "pytorch-ood: p is clipped to [1e-7, 1 − 1e-7], so that a vanished class adds "
        "0.2 and not 0",
    ),
    Pair(
        "temp_scaling",
        logits(peer.TemperatureScaling),
        "logits",
        probability,
        "pytorch-ood: its optimiser stops after 50 iterations, before the minimum",
    ),
    Pair("kl_matching", logits(peer.KLMatching), "logits"),
    Pair(
        "openmax:tail=25",
        logits(peer.OpenMax),
        "logits",
        lambda s, _: -1 / (1 + np.exp(s)),
        "pytorch-ood: fits on misclassified images, too, and leaves out distances to "
        "classes that no image of the batch is predicted as",
    ),
    Pair(
        "mahalanobis",
        encoded(peer.Mahalanobis),
        scaled=lambda s, data: s / 2 / data.fitted,
    ),
    Pair(
        "relative_mahalanobis",
        encoded(peer.RMD),
        scaled=lambda s, data: s / data.fitted,
    ),
    Pair("gmm", encoded(peer.GMM)),
    Pair("knn:k=50", encoded(peer.KNN, k=50)),
    Pair("nnguide", headed(peer.NNGuide, k=10)),
    Pair("she", headed(peer.SHE)),
    Pair("fdbd", headed(peer.fDBD)),
    Pair("nci", headed(peer.NCI, alpha=1e-4)),
    Pair("pnml", headed(peer.PNML)),
    Pair("lts", headed(peer.LTS, p=0.05)),
    Pair("vim:dim=32", weighted(peer.ViM, d=32)),
    Pair("dice", weighted(peer.DICE, p=0.9)),
    Pair("react", mapped(peer.ReAct, percentile=0.9), "feature_maps"),
    Pair(
        "vra:low=0.01:high=0.99:variant=clamp",
        mapped(peer.VRA),
        "feature_maps",
    ),
    Pair("ash:percentile=65", mapped(peer.ASH, percentile=0.65), "feature_maps"),
    Pair("scale:percentile=65", mapped(peer.SCALE, percentile=0.65), "feature_maps"),
    Pair("grad_norm", of_head(peer.GradNorm, "weight"), "images"),
    Pair(
        "grad_uncertainty",
        of_head(peer.GradUncertainty),
        "images",
        departs="pytorch-ood: the gradient of torch's binary cross-entropy loses "
        "classes with p < 1e-12; where no class has so small a p, the two agree",
    ),
    Pair("odin", logits(peer.ODIN), "images", probability),
    Pair(
        "mahalanobis_odin",
        encoded(peer.MahalanobisODIN),
        "images",
        lambda s, data: s / 2 / data.fitted,
    ),
)
NOT_COMPARED = (
    "Gram, MultiMahalanobis, NACUE and RankFeat read feature maps of inner blocks",
    "MCD draws its dropout at random",
    "MCM needs text embeddings",
    "WeightedEBO needs weights that are learnt with the network",
)

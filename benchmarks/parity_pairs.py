"""The detectors that oodbench and pytorch-ood 0.4.0 both have, for parity.py."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytorch_ood.detector as peer
import torch

from oodbench import Network


@dataclass
class Parts:
    """A network in the pieces that pytorch-ood asks for."""

    network: Network
    model: torch.nn.Module
    encoder: torch.nn.Module
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
        return cls(network, model, encoder, f"1.{name}")

    @property
    def head(self):
        return self.network.head

    @property
    def blocks(self):
        return self.network.block_names

    def maps(self, pixels):
        return self.encoder(pixels)[:, :, None, None]

    def tail(self, maps):
        return self.head(maps.flatten(1))


class Step(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


class Chain:
    """Steps from pixels to the map of each block in turn, and from the last to logits.

    The first step runs the network, and the others return what it has found, since a
    network need not consist of modules that follow each other.
    """

    def __init__(self, network):
        self._network = network
        first, *others = network.block_names
        self.blocks = [
            Step(partial(self._run, first)),
            *(Step(partial(self._map, name)) for name in others),
        ]
        self.head = Step(lambda maps: self._found.logits)

    def _run(self, block, pixels):
        self._found = self._network(pixels, with_maps=True)
        return self._found.maps[block]

    def _map(self, block, maps):
        return self._found.maps[block]


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


def gram(parts):
    chain = Chain(parts.network)
    classes, orders = parts.network.classes, range(1, 11)
    torch.manual_seed(0)  # for the images that it holds out
    return peer.Gram(chain.head, chain.blocks, classes, orders)


class StandardisedLayers(peer.MultiMahalanobis):
    """MultiMahalanobis whose weights are 1 / the deviation over training images."""

    def fit(self, data_loader):
        super().fit(data_loader)
        layers = range(len(self.alpha))
        alone = [
            peer.MultiMahalanobis(self.model, [float(i == own) for i in layers])
            for own in layers
        ]
        for one in alone:
            one.mu, one.precision = self.mu, self.precision
        found = [
            torch.cat([one.predict(x) for x, _ in data_loader]).std(correction=0)
            for one in alone
        ]
        self.alpha = [1 / spread for spread in found]
        return self


def layers(parts):
    return StandardisedLayers(Chain(parts.network).blocks)


def coverage(parts):
    # Gradients need an input that asks for them: the weights are frozen.
    model = Step(lambda pixels: parts.model(pixels.clone().requires_grad_()))
    modules = [parts.network.module.get_submodule(name) for name in parts.blocks]
    pixels = torch.zeros(1, *parts.network.shape)
    last = parts.network(pixels, with_maps=True).maps[parts.blocks[-1]]
    # In the order in which the blocks run. The gradient by the features is that by
    # their map times the positions.
    return peer.NACUE(
        model,
        modules,
        m_bins=[50, 500, 50],
        alpha=[0.001, 1000, 100 * last[0, 0].numel()],
        o_star=[5, 100, 50],
    )


class BothBlocks:
    """RankFeat of the last two blocks: the energy of their mean logits."""

    def __init__(self, parts):
        self._of = [self._one(parts.network, name) for name in parts.blocks[-2:]]

    def predict(self, pixels):
        logits = torch.stack([own.predict(pixels) for own in self._of])
        return peer.EnergyBased.score(logits.mean(0))

    @staticmethod
    def _one(network, block):
        def maps(pixels):
            maps.pixels = pixels
            return network(pixels, with_maps=True).maps[block]

        def tail(changed):
            return network(maps.pixels, given={block: changed}).logits

        return peer.RankFeat(maps, tail, detector=lambda logits: logits)


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
    Pair("mahalanobis_layers", layers, "images"),
    Pair("rankfeat", BothBlocks, "images"),
    Pair(
        "gram",
        gram,
        "images",
        departs="pytorch-ood: ranges are of labelled and not of predicted classes, and "
        "deviations are not divided by the largest probability; both hold out other "
        "images. Without these differences the two agree",
    ),
    Pair(
        "nac_layers:alpha=100/1000/0.001:enough=50/100/5:bins=50/500/50:images=1200",
        coverage,
        "images",
        lambda s, data: 3 * s,
        "pytorch-ood: bins are narrow near 0 and 1 and not near ½; the product of map "
        "and gradient is averaged, not each of them; 1e-12 is added to probabilities. "
        "Without these differences the two agree",
    ),
)
NOT_COMPARED = (
    "MCD draws its dropout at random",
    "MCM needs text embeddings",
    "WeightedEBO needs weights that are learnt with the network",
)

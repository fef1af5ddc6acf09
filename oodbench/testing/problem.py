"""A small problem with a known answer: a network, its classes, and other images."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from torch import nn
from torch.nn.utils import skip_init

from oodbench.data.dataset import Shape, Split
from oodbench.networks.ensemble import ensemble
from oodbench.networks.network import Network
from oodbench.networks.zero_shot.classifier import ZeroShot

FEATURES, CLASSES = 16, 5
GREY = 128
"""The level of pixels that the network maps to 0: all features of grey are 0."""
KNOWN_EACH = 52
"""Images of each class to fit on: more than the 50 neighbours that are usual."""
EACH = 24
"""Images of each kind to score."""

_SIGNS = hadamard(8)[1 : 1 + CLASSES]
_CODES = np.hstack([np.ones_like(_SIGNS), _SIGNS])
"""The signs of the features of each class; half of them are those of all classes."""
_WEIGHTS = _CODES * np.repeat([0.05, 1], 8)
"""Of the head, which attends to where the classes differ."""
_SHAPE = Shape(3, 6, 8)
_PATCH = 3, 3, 4


def network(scale: float = 1.0) -> Network:
    """Returns a network on 3×6×8 images with two blocks, 16 features and 5 classes.

    The first block returns the normalised pixels. The second measures 16 patterns in
    each quarter of an image; the features are the mean tanh of what it finds. Images of
    a class have large features with the signs of the class. Others have small ones,
    which also lie farther from the mean feature.

    Args:
        scale: Multiplies the logits.
    """
    return _network(scale * _WEIGHTS)


def members(scale: float = 1.0) -> Network:
    """Returns an ensemble of two such networks, which agree on images of the classes.

    Args:
        scale: Multiplies the logits.
    """
    apart = np.hstack([_SIGNS, np.zeros_like(_SIGNS)]) / 2
    return ensemble([_network(scale * (_WEIGHTS + own)) for own in (apart, -apart)], "")


def zero_shot(scale: float = 1.0) -> Network:
    """Returns a zero-shot classifier of the same features, with 200 negative texts.

    Args:
        scale: Multiplies the logits.
    """
    negatives = np.random.default_rng(5).standard_normal((200, FEATURES))
    texts, others = torch.from_numpy(_WEIGHTS), torch.from_numpy(negatives)
    return _of(ZeroShot(copy.deepcopy(_body()), texts, others, scale))


def _network(weights: NDArray[np.float64]) -> Network:
    module = copy.deepcopy(_body())
    head = skip_init(nn.Linear, FEATURES, CLASSES)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.zero_()
    return _of(module.append(head))


def _of(module: nn.Module) -> Network:
    return Network(module, _SHAPE, "check", (GREY / 255,), (0.25,))


@cache
def _body() -> nn.Sequential:
    # Without random weights, which would take global random numbers.
    pixels = skip_init(nn.Conv2d, 3, 3, 1, bias=False)
    filters = skip_init(nn.Conv2d, 3, FEATURES, _PATCH[1:], _PATCH[1:], bias=False)
    with torch.no_grad():
        pixels.weight.copy_(torch.eye(3)[:, :, None, None])
        filters.weight.copy_(torch.from_numpy(_patterns()).reshape(-1, *_PATCH))
    return nn.Sequential(
        pixels, filters, nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def known() -> Split:
    """Returns images to fit on, all classes in turn; one label of 16 is wrong."""
    labels = np.arange(KNOWN_EACH * CLASSES) % CLASSES
    images = _of_classes(labels, np.random.default_rng(0))
    labels[::16] = (labels[::16] + 1) % CLASSES
    return Split(images, labels)


def inside() -> Split:
    """Returns other images of the classes."""
    return Split(_of_classes(np.arange(EACH) % CLASSES, np.random.default_rng(1)))


def outside() -> Split:
    """Returns images of no class: their features are small, with signs at random."""
    rng = np.random.default_rng(2)
    return Split(_images(0.3 * rng.standard_normal((EACH, FEATURES)), rng))


def both() -> Split:
    """Returns the images inside, then those outside."""
    return Split(np.concatenate([inside().images[:], outside().images[:]]))


def _of_classes(
    labels: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.uint8]:
    spread = 0.3 * rng.standard_normal((len(labels), FEATURES))
    return _images(2 * _CODES[labels] + spread, rng)


def _images(
    amounts: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns images with these amounts `[N, 16]` of each pattern, and some noise."""
    patches = (amounts @ _patterns()).reshape(-1, *_PATCH).transpose(0, 2, 3, 1)
    images = np.tile(patches, (1, 2, 2, 1)) / 4
    images += 0.03 * rng.standard_normal(images.shape)
    return np.clip(GREY + 255 * images, 0, 255).round().astype(np.uint8)


@cache
def _patterns() -> NDArray[np.float64]:
    """Returns 16 orthonormal patterns of patches, `[16, 36]`."""
    rng = np.random.default_rng(0)
    return np.linalg.qr(rng.standard_normal((np.prod(_PATCH), FEATURES)))[0].T

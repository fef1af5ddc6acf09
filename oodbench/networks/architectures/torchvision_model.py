"""All classifiers of torchvision, recognised by names and shapes of their tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import shape
from oodbench.networks.architectures._skeleton import without_weights

_AUXILIARY = {"googlenet": "aux1.", "inception_v3": "AuxLogits."}
"""What the second heads are called, which only serve training."""
_FIRST = {
    **dict.fromkeys(("alexnet", "vgg"), "features.0.weight"),
    **dict.fromkeys(("convnext", "efficientnet", "mobilenet", "swin"), "features.0.0."),
    **dict.fromkeys(("resnet", "resnext", "wide_resnet"), "conv1.weight"),
    "densenet": "features.conv0.",
    "googlenet": "conv1.conv.",
    "inception": "Conv2d_1a_3x3.",
    "maxvit": "stem.0.0.",
    "mnasnet": "layers.0.",
    "regnet": "stem.0.weight",
    "shufflenet": "conv1.0.",
    "squeezenet": "features.3.squeeze.",
    "vit": "class_token",
}
"""How a name begins in each kind of model: with it, few models are built and compared.
A kind that is not here is always compared."""
_COUNTER = "num_batches_tracked"
_IMAGENET = 1000


def torchvision_model(
    *,
    model: str,
    classes: int,
    image_size: int = 224,
    aux_logits: bool = True,
    transform_input: bool = True,
) -> nn.Module:
    """Builds a classifier of torchvision.

    Args:
        model: Its name there, such as `resnet50`.
        classes: The number of logits.
        image_size: Of a vision transformer, whose weights depend on it.
        aux_logits: Whether GoogLeNet and Inception have the heads for training.
        transform_input: Whether these two change the normalisation from ImageNet's to
            [-1, 1], as torchvision's weights need.

    Raises:
        InputError: There is no such model.
    """
    if model not in names():
        raise InputError(unknown("torchvision model", model, names()))
    options: dict[str, Any] = {}
    if model in _AUXILIARY:
        options = {"aux_logits": aux_logits, "transform_input": transform_input}
        options["init_weights"] = False  # SciPy draws them, which takes seconds
    if model.startswith("vit_"):
        options["image_size"] = image_size
    return torchvision.models.get_model(model, num_classes=classes, **options)


NETWORK = torchvision_model


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns the name of the model whose tensors these are, and its settings."""
    shapes = {name: each.shape for name, each in tensors.items()}
    shapes = {name: each for name, each in shapes.items() if not _is_counter(name)}
    for model in candidates(shapes):
        settings = _options(model, tensors)
        classes = _classes(shapes, _expected(model, **settings))
        if classes is not None:
            return {"model": model, **settings, "classes": classes}
    return None


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the transforms of torchvision's own weights."""
    model = settings["model"]
    transforms = torchvision.models.get_model_weights(model).DEFAULT.transforms()
    assumed = ["the activation and pooling of torchvision"]
    if model in _AUXILIARY:
        assumed.append(
            "transform_input as for torchvision's weights (without: --arch "
            f"torchvision_model --arg model={model} --arg transform_input=False)"
        )
    is_half = transforms.mean[0] == 0.5
    return Usual(
        title=f"{model} of torchvision",
        normalisation="half" if is_half else "imagenet",
        reason="that of torchvision's own weights",
        side=settings.get("image_size", transforms.crop_size[0]),
        assumed=tuple(assumed),
        takes_smaller=settings["classes"] != _IMAGENET and "image_size" not in settings,
    )


def candidates(tensors: Collection[str]) -> list[str]:
    """Returns the models that tensors of these names can belong to, by the first."""
    begun = tuple(
        kind
        for kind, first in _FIRST.items()
        if any(name.startswith(first) for name in tensors)
    )
    known = tuple(_FIRST)
    return [
        model
        for model in names()
        if model.startswith(begun) or not model.startswith(known)
    ]


def names() -> list[str]:
    """Returns the names of all classifiers of the installed torchvision."""
    return torchvision.models.list_models(module=torchvision.models)


def _is_counter(name: str) -> bool:
    return name.endswith(_COUNTER)


def _options(model: str, tensors: Mapping[str, Tensor]) -> Settings:
    """Returns the options of a model that tensors decide."""
    if model in _AUXILIARY:
        return {"aux_logits": any(k.startswith(_AUXILIARY[model]) for k in tensors)}
    match shape(tensors, "conv_proj.weight"), shape(tensors, "encoder.pos_embedding"):
        case (_, _, _, patch), (_, places, _) if model.endswith(f"_{patch}"):
            return {"image_size": patch * max(1, round(max(0, places - 1) ** 0.5))}
    return {}


@cache
def _expected(model: str, **settings: Any) -> dict[str, torch.Size]:
    """Returns the shapes of a model for ImageNet by name."""
    with without_weights():
        own = torchvision_model(model=model, classes=_IMAGENET, **settings)
    state = own.state_dict()
    return {name: state[name].shape for name in state if not _is_counter(name)}


def _classes(
    given: Mapping[str, torch.Size], expected: Mapping[str, torch.Size]
) -> int | None:
    """Returns the number of classes, where only layers of that number differ."""
    if given.keys() != expected.keys():
        return None
    counts = set()
    for name, size in expected.items():
        first, *rest = given[name] or (None,)
        if first is not None and size == (_IMAGENET, *rest):
            counts.add(first)
        elif size != given[name]:
            return None
    return counts.pop() if len(counts) == 1 else None

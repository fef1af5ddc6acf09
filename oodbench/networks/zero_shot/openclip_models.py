"""Zero-shot classifiers of the OpenCLIP library, an extra (`oodbench[openclip]`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base import extras
from oodbench.base.errors import InputError, reason
from oodbench.base.files import key_of
from oodbench.base.registry import unknown
from oodbench.data.dataset import Shape
from oodbench.networks.fingerprint import hash_module
from oodbench.networks.hardware import pick_device
from oodbench.networks.zero_shot.classifier import ZeroShot, mined
from oodbench.networks.zero_shot.prompts import ADJECTIVE, NOUN, Prompts, spoken

logger = logging.getLogger(__name__)

PREFIX = "openclip:"
UNUSED = ("input_resolution", "context_length", "vocab_size")
"""Tensors of OpenAI's files that are no weights."""
_TEXTS = 256
"""Texts that run at once."""


class OpenClip(NamedTuple):
    """A module of both towers, without weights, and the preprocessing of its images."""

    module: nn.Module
    shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    assumed: tuple[str, ...]


def build(name: str) -> OpenClip:
    """Returns a model of OpenCLIP.

    Args:
        name: Its name in OpenCLIP, or `local-dir:FOLDER` with an open_clip_config.json.

    Raises:
        InputError: open_clip is not installed, has no such model, or cannot build it.
    """
    library = extras.library("open_clip", "openclip")
    models = library.list_models()
    if ":" not in name and name not in models:
        raise InputError(unknown("OpenCLIP model", name, models))
    try:
        with _silent():
            module = library.create_model(
                name, load_weights=False, pretrained_image=False, pretrained_text=False
            )
    except Exception as error:  # other people's code, and their downloads
        raise InputError(f"OpenCLIP cannot build {name} ({reason(error)}).") from error
    images = module.visual.preprocess_cfg
    size = images["size"]
    height, width = (size, size) if isinstance(size, int) else size
    quick = f"{name}-quickgelu"
    assumed = (f"activation GELU ({quick} for OpenAI's weights)",)
    return OpenClip(
        module,
        Shape(3, height, width),
        tuple(images["mean"]),
        tuple(images["std"]),
        assumed if quick in models else (),
    )


def zero_shot(module: nn.Module, name: str, prompts: Prompts) -> ZeroShot:
    """Returns the classifier by texts, without the tower that has read them.

    Args:
        module: Of `build`, with its weights.
        name: As for `build`.
        prompts: The texts.

    Raises:
        InputError: Texts cannot be encoded.
    """
    classes = _encoded(module, name, prompts.classes, prompts.templates)
    negatives = [
        mined(_encoded(module, name, words, [template]), classes, *_mining(prompts))
        for words, template in (
            (prompts.nouns, NOUN),
            (prompts.adjectives, ADJECTIVE),
        )
        if words
    ]
    # The texts as the model reads them: a configuration may choose another tokenizer.
    read = [prompts.templates[0].format(spoken(each)) for each in prompts.classes]
    tokens = extras.library("open_clip", "openclip").get_tokenizer(name)(read).tolist()
    made_of = key_of(hash_module(module, frozenset()), asdict(prompts), tokens)
    return ZeroShot(
        module.visual,  # type: ignore[arg-type]
        classes,
        torch.cat(negatives) if negatives else None,
        module.logit_scale.exp().item(),  # type: ignore[operator]
        made_of,
    )


def _mining(prompts: Prompts) -> tuple[float, float]:
    return prompts.share, prompts.quantile


def _encoded(
    module: nn.Module, name: str, names: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """Returns the unit embeddings of names, `[len(names), D]`, on the CPU."""
    library, device = extras.library("open_clip", "openclip"), pick_device("auto")
    logger.info("%s: encoding %d texts on %s", name, len(names), device)
    try:
        with _silent(), torch.no_grad():
            found = library.build_zero_shot_classifier(
                module.eval().to(device),
                library.get_tokenizer(name),
                [spoken(each) for each in names],
                templates,
                max(1, _TEXTS // len(templates)),
                device,
            )
    except Exception as error:  # other people's code, and their downloads
        raise InputError(
            f"OpenCLIP cannot encode the texts of {name} ({reason(error)})."
        ) from error
    finally:
        module.cpu()
    return found.T.cpu()


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps OpenCLIP from logging, and from giving the root logger a handler."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = handlers

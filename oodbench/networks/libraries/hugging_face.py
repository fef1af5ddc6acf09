"""Files and image classifiers of Hugging Face, an extra (`oodbench[transformers]`)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oodbench.base import extras
from oodbench.base.errors import InputError, reason
from oodbench.data.dataset import Shape
from oodbench.networks.network import Network

PREFIX = "hf://"
_CONFIG, _PREPROCESSING = "config.json", "preprocessor_config.json"
_ODD = ("do_flip_channel_order", "include_top", "rescale_offset")
"""Steps of preprocessing that `Network` does not have."""
_MOMENTS = ("mean", "std")


def download(address: str) -> Path:
    """Returns the place of `hf://OWNER/REPO/FILE@REVISION` in the local cache.

    Without a file it is the folder of the repository's JSON and safetensors files.

    Raises:
        InputError: huggingface_hub is not installed, or does not get it.
    """
    body, _, revision = address.removeprefix(PREFIX).partition("@")
    owner, *parts = body.split("/")
    if not owner or not parts or not all(parts):
        raise InputError(
            f"{address} is no address; write hf://OWNER/REPO or "
            "hf://OWNER/REPO/FILE@REVISION."
        )
    hub, repository = (
        extras.library("huggingface_hub", "transformers"),
        f"{owner}/{parts[0]}",
    )
    version = revision or None
    try:
        with _without_warnings(hub.logging):  # one for each of several tries
            if len(parts) > 1:
                file = "/".join(parts[1:])
                return Path(hub.hf_hub_download(repository, file, revision=version))
            kinds = ["*.json", "*.safetensors"]
            found = hub.snapshot_download(
                repository, revision=version, allow_patterns=kinds
            )
            return Path(found)
    except Exception as error:  # the network, and other people's servers
        why = reason(error.__cause__ or error)
        raise InputError(
            f"{address} cannot be downloaded and is not in the cache ({why})."
        ) from error


@contextmanager
def _without_warnings(verbosity: Any) -> Iterator[None]:
    """Shows no warnings of a library that has this module of verbosity."""
    level = verbosity.get_verbosity()
    verbosity.set_verbosity_error()
    try:
        yield
    finally:
        verbosity.set_verbosity(level)


def is_classifier(path: Path) -> bool:
    """Returns whether a path is a folder as transformers saves it."""
    # os.path, since pathlib's raises for texts that no file may be called.
    return os.path.isfile(path / _CONFIG)  # noqa: PTH113


def classifier(path: Path, name: str) -> Network:
    """Returns the image classifier in a folder, with its own preprocessing.

    Only safetensors are read, and no code of the folder is run.

    Raises:
        InputError: transformers is not installed, or cannot load the folder.
    """
    library = extras.library("transformers", "transformers")
    preprocessing = _json(path / _PREPROCESSING)
    _check(path, preprocessing)
    try:
        module, report = library.AutoModelForImageClassification.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        shape = Shape(module.config.num_channels, *_size(preprocessing))
    except Exception as error:  # other people's code
        raise InputError(f"{path} cannot be loaded ({reason(error)}).") from error
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{path} lacks {len(missing)} weights, such as {missing[0]!r}."
        )
    mean, std = (0.0,), (1.0,)
    if preprocessing.get("do_normalize", True):
        mean, std = (tuple(preprocessing[f"image_{key}"]) for key in _MOMENTS)
    title = f"{type(module).__name__} of transformers"
    source = {"architecture": module.config.to_json_string(), "recognised": title}
    network = Network(module, shape, name, mean, std, source=source)
    labels = [module.config.id2label[number] for number in range(network.classes)]
    if labels[0] != "LABEL_0":  # what transformers writes where none are known
        network.class_names = tuple(labels)
    return network


def _check(path: Path, preprocessing: Mapping[str, Any]) -> None:
    """Refuses preprocessing that is more than a normalisation of pixels in [0, 1].

    Raises:
        InputError: It scales or reorders them, or does not say how it normalises.
    """
    odd = [key for key in _ODD if preprocessing.get(key)]
    if not preprocessing.get("do_rescale", True):
        odd.append("do_rescale = false")
    factor = preprocessing.get("rescale_factor", 1 / 255)
    if not math.isclose(factor, 1 / 255, rel_tol=1e-4):
        odd.append(f"rescale_factor = {factor:g}")
    if preprocessing.get("do_normalize", True):
        keys = (f"image_{key}" for key in _MOMENTS)
        odd += [f"no {key}" for key in keys if key not in preprocessing]
    if odd:
        raise InputError(
            f"{path / _PREPROCESSING} has {' and '.join(odd)}, and networks here get "
            "RGB pixels in [0, 1], less a mean, by a deviation; build this one by "
            "--arch file.py:factory, in a module that does the rest."
        )


def _size(preprocessing: dict[str, Any]) -> tuple[int, int]:
    """Returns height and width of the images."""
    is_cropped = preprocessing.get("do_center_crop") and "crop_size" in preprocessing
    size = preprocessing["crop_size" if is_cropped else "size"]
    if isinstance(size, int):
        return size, size
    edge = size.get("shortest_edge")
    return size.get("height", edge), size.get("width", edge)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({reason(error)}); it gives the size and "
            "normalisation of the images."
        ) from error

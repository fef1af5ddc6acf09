"""Reads a file of weights as data: no code in it is ever run."""

from __future__ import annotations

import hashlib
import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch

from oodbench.base.errors import InputError
from oodbench.networks.checkpoint import archive
from oodbench.networks.checkpoint.pickle_survey import ADVICE, PickleSurvey

_LONGEST_HEADER = 2**24
"""Bytes of JSON in a safetensors file; ten thousand tensors take one million."""
_MOST_DIMENSIONS = 16


class WeightsFile(NamedTuple):
    """What a file holds, and the hash of the very bytes that were read."""

    content: object
    """A dict of tensors, or whatever structure `torch.save` was given."""
    metadata: dict[str, str]
    """Of a safetensors file; empty otherwise."""
    sha256: str


def read(path: Path) -> WeightsFile:
    """Reads safetensors, or what `torch.save` wrote in its zip or its legacy format.

    The content decides the format, not the suffix. A pickle is surveyed before
    PyTorch builds it, and PyTorch builds it with `weights_only=True`.

    Raises:
        InputError: The file is not there, is damaged, or holds more than weights.
    """
    data = _bytes(path)
    hashed = hashlib.sha256(data).hexdigest()
    try:
        if data.startswith(b"PK\x03\x04"):
            clean = archive.rebuilt(data)
            del data  # not three copies at once
            content, metadata = _build(clean), dict[str, str]()
        else:
            content, metadata = _parse(data)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:  # hostile bytes can raise anything
        reason = (str(error).splitlines() or [""])[0][:120]
        raise InputError(
            f"{path} is damaged or cut short ({type(error).__name__}: {reason}); "
            "copy or download it again."
        ) from error
    return WeightsFile(content, metadata, hashed)


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name the file of weights in it.")
        if not path.exists():
            raise InputError(f"There is no file {path}.")
        if not path.is_file():  # a pipe or a device might never end
            raise InputError(f"{path} is not a regular file.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(data: bytes) -> tuple[object, dict[str, str]]:
    if not data:
        raise InputError("is empty; copy or download it again.")
    # Before pickles: the length of a safetensors header can look like their beginning.
    if data[6:9] == b"\0\0{":
        return _read_safetensors(data)
    if data.startswith(b"\x80"):
        return _read_legacy(data), {}
    text = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        raise InputError(
            "is a web page, probably a login or quota page that was saved in place "
            "of the weights; download it again."
        )
    if text.startswith(b"version https://git-lfs"):
        raise InputError("is a git-lfs pointer, not the weights; run `git lfs pull`.")
    raise InputError(
        f"is neither safetensors nor of torch.save; it begins with {data[:8]!r}."
    )


def _read_safetensors(data: bytes) -> tuple[object, dict[str, str]]:
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise InputError(
            f"is cut short: its header takes {length} bytes and the file has "
            f"{len(data)}; copy or download it again."
        )
    if length > _LONGEST_HEADER:
        raise InputError(f"has a header of {length} bytes; weights need no such.")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    if any(len(each["shape"]) > _MOST_DIMENSIONS for each in header.values()):
        raise InputError(f"has tensors of more than {_MOST_DIMENSIONS} dimensions.")
    tensors = dict(sorted(safetensors.torch.load(data).items()))  # they come shuffled
    return tensors, metadata


def _read_legacy(data: bytes) -> object:
    if torch.serialization.MAGIC_NUMBER.to_bytes(10, "little") not in data[:32]:
        raise InputError(
            f"is a pickle that torch.save did not write; it was not run. {ADVICE}"
        )
    stream = BytesIO(data)
    survey = PickleSurvey()
    for _ in ("magic number", "protocol", "machine", "content"):
        survey.walk(stream)
    survey.judge(held=len(data))
    # A storage that is not listed would be left as uninitialised memory.
    if set(survey.walk(stream)) != set(survey.storages):
        raise InputError("is damaged: its list of storages does not fit its content.")
    survey.judge(held=len(data) - stream.tell())
    return _build(BytesIO(data))


def _build(stream: BytesIO) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(stream, map_location="cpu", weights_only=True)

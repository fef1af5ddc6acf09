"""Reads a file of weights as data: nothing that it holds is ever run."""

from __future__ import annotations

import hashlib
import json
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch

from oodbench.base.errors import InputError
from oodbench.networks.pickle_survey import ADVICE, PickleSurvey

_EXPORTED = ("archive_format", "models/model.json", "serialized_exported_program.json")


class WeightsFile(NamedTuple):
    """What a file holds, and the hash of the very bytes that were read."""

    content: object
    """A dict of tensors, or whatever structure `torch.save` was given."""
    metadata: dict[str, str]
    """Of a safetensors file; empty otherwise."""
    sha256: str


def read(path: Path) -> WeightsFile:
    """Reads safetensors, or what `torch.save` wrote in its zip or its legacy format.

    The format is told by the content, not by the suffix. A pickle is surveyed before
    PyTorch builds it, and PyTorch builds it with `weights_only=True`.

    Raises:
        InputError: The file is not there, is damaged, or holds more than weights.
    """
    data = _bytes(path)
    try:
        content, metadata = _parse(data)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:  # hostile bytes can raise anything
        reason = (str(error).splitlines() or [""])[0][:120]
        raise InputError(
            f"{path} is damaged or cut short ({type(error).__name__}: {reason}); "
            "copy or download it again."
        ) from error
    return WeightsFile(content, metadata, hashlib.sha256(data).hexdigest())


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
    if data.startswith(b"PK\x03\x04"):
        return _read_zip(data), {}
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
    tensors = dict(sorted(safetensors.torch.load(data).items()))  # they come shuffled
    header = json.loads(data[8 : 8 + length])
    return tensors, header.get("__metadata__", {})


def _read_zip(data: bytes) -> object:
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except zipfile.BadZipFile as error:
        raise InputError(
            f"is cut short: it begins as torch.save writes, but its end is missing "
            f"after {len(data)} bytes; copy or download it again."
        ) from error
    with archive:
        members = archive.infolist()
        _refuse_code([member.filename for member in members])
        _refuse_bomb(members, len(data))
        root = members[0].filename.partition("/")[0]
        survey = PickleSurvey()
        survey.walk(BytesIO(archive.read(f"{root}/data.pkl")))
        survey.judge(held=len(data))
        if broken := archive.testzip():
            raise InputError(
                f"is damaged: the checksum of its part {broken!r} is wrong; copy or "
                "download it again."
            )
    return _build(data)


def _refuse_code(names: list[str]) -> None:
    if any(name.endswith("/constants.pkl") for name in names):
        kind = "a TorchScript archive"
    elif any(name.endswith(_EXPORTED) for name in names):
        kind = "a torch.export archive"
    elif any(name.endswith("/data.pkl") for name in names):
        return
    else:
        raise InputError("is a zip archive without weights: it has no data.pkl.")
    raise InputError(f"is {kind}, which is code and was not run. {ADVICE}")


def _refuse_bomb(members: list[zipfile.ZipInfo], held: int) -> None:
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise InputError(
            "is a compressed zip archive; torch.save stores weights uncompressed."
        )
    declared = sum(member.file_size for member in members)
    if declared > held:
        raise InputError(
            f"declares {declared} bytes in its parts and holds only {held}."
        )
    # PyTorch's reader ignores case, Python's takes the last of equal names.
    if len({member.filename.casefold() for member in members}) < len(members):
        raise InputError("is an archive with two parts of one name.")


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
    return _build(data)


def _build(data: bytes) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)

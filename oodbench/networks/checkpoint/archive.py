"""Rebuilds the zip archive that `torch.save` writes, so that one reader decides.

Python and PyTorch read a damaged or hostile archive differently: with two central
directories, say, each takes another one. So the members that Python's reader sees are
checked and copied into a clean archive, and PyTorch reads that.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO

from oodbench.base.errors import InputError
from oodbench.networks.checkpoint.pickle_survey import ADVICE, PickleSurvey

_ENTRY = b"PK\x01\x02"
_MOST_ENTRIES = 200_000
"""Records in the directory of an archive; torch.save writes one per storage."""
_EXPORTED = ("archive_format", "models/model.json", "serialized_exported_program.json")
_KEPT = ("data.pkl", "version", "byteorder")


def rebuilt(data: bytes) -> BytesIO:
    """Returns a clean archive with the checked members of an archive of torch.save.

    Raises:
        InputError: The archive is damaged, or holds more than weights.
    """
    if data.count(_ENTRY) > _MOST_ENTRIES:  # Python's reader makes an object of each
        raise InputError(f"is an archive of more than {_MOST_ENTRIES} parts.")
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
        sizes = {
            member.filename.removeprefix(f"{root}/"): member.file_size
            for member in members
            if member.filename.startswith(f"{root}/")
        }
        _survey(archive, root, sizes, len(data))
        return _copied(archive, root, [name for name in sizes if _is_kept(name)])


def _survey(
    archive: zipfile.ZipFile, root: str, sizes: Mapping[str, int], held: int
) -> None:
    survey = PickleSurvey()
    survey.walk(BytesIO(_content(archive, f"{root}/data.pkl")))
    survey.judge(held=held)
    for key, declared in survey.storages.items():
        # PyTorch takes the declared number of bytes, whatever the part's size is.
        if declared > sizes.get(f"data/{key}", 0):
            raise InputError(
                f"is cut short: its part {f'data/{key}'!r} declares {declared} bytes "
                f"and holds {sizes.get(f'data/{key}', 0)}; copy or download it again."
            )


def _copied(archive: zipfile.ZipFile, root: str, names: list[str]) -> BytesIO:
    clean = BytesIO()
    with zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as copy:
        for name in names:
            copy.writestr(f"archive/{name}", _content(archive, f"{root}/{name}"))
    clean.seek(0)
    return clean


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"is damaged: its part {name!r} cannot be read ({error}); copy or download "
            "it again."
        ) from error


def _is_kept(name: str) -> bool:
    folder, _, rest = name.rpartition("/")
    return name in _KEPT or (folder == "data" and bool(rest))


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

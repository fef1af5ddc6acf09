"""Images and labels in one NumPy archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName

ARRAYS = ("images", "labels")


def npz(argument: str) -> Dataset:
    """Opens a file, all of it as the test split: `npz:PATH`.

    The archive holds `images`, uint8, `[N, H, W, C]` with 1 or 3 channels or, if grey,
    `[N, H, W]`. It may hold `labels`, integers from 0, `[N]`. Other arrays are ignored
    and pickled objects never read.
    """
    path = Path(argument).expanduser()
    if not argument or not path.is_file():
        raise InputError(f"There is no file {argument!r}; write npz:PATH.")

    def load(split: SplitName, shape: Shape) -> Split:
        arrays = _read(path)
        images = _images(path, arrays["images"])
        labels = arrays.get("labels")
        if labels is None:
            return Split(images)
        return Split(images, _labels(path, labels, len(images)))

    return Dataset(name=path.stem, load=load, role="unstated")


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    """Returns the arrays `images` and, if there, `labels`."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is a single array")
            held = archive.files
            found = {name: archive[name] for name in ARRAYS if name in held}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise InputError(
            f"{path} cannot be read as a NumPy archive ({error}); "
            "save it anew with numpy.savez, without objects."
        ) from error
    if "images" not in found:
        raise InputError(
            f"{path} holds no array `images` but {', '.join(held) or 'nothing'}; "
            "save it anew with numpy.savez(PATH, images=…, labels=…)."
        )
    return found


def _images(path: Path, images: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Returns images as `[N, H, W, C]`."""
    if images.dtype != np.uint8:
        raise InputError(
            f"The images of {path} are {images.dtype}; save them as uint8, 0…255."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(
            f"The images of {path} have shape {images.shape}; save them as "
            "[N, H, W, C] with 1 or 3 channels, or as [N, H, W]."
        )
    if images.size == 0:
        raise InputError(f"The images of {path} are empty, of shape {images.shape}.")
    return np.ascontiguousarray(images, dtype=np.uint8)


def _labels(path: Path, labels: NDArray[np.generic], count: int) -> NDArray[np.int64]:
    if labels.shape != (count,):
        raise InputError(
            f"The labels of {path} have shape {labels.shape}, and there are {count} "
            "images; save one label an image."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"The labels of {path} are {labels.dtype}; save them as integers from 0."
        )
    numbers = labels.astype(np.int64)
    if numbers.min() < 0:
        raise InputError(
            f"The labels of {path} go down to {numbers.min()}; number classes from 0."
        )
    return numbers

"""The image sets of `small_images.py`: two families of classes at 28 x 28 pixels."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WORLDS = {"fashion": "fashionmnist_test", "digits": "mnist_test"}
"""The file of each world: Fashion-MNIST or MNIST, the 10,000 official test images."""
KNOWN = 8
"""Classes 0 to 7 are in-distribution, 8 and 9 near-OOD."""
TRAIN, VAL = 5000, 1000
"""Images of each; the others of classes 0 to 7, about 2,000, are the test images."""
ODDS = 2000
"""Most images of each OOD set."""
ARCHIVES = (*WORLDS.values(), "notmnist_test", "textures32", "cifar10_test")

Arrays = dict[str, np.ndarray]


def prepare(data: Path, folder: Path) -> None:
    """Writes all sets as `FOLDER/NAME.npz`.

    Images are put in the order of the SHA-256 of their pixels, and the first ones are
    taken: a fixed choice that depends on neither classes nor the order of a file.

    Args:
        data: The folder of the archives and of `unpack.py`.
        folder: The folder to write to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unpacked:
        subprocess.run(
            [sys.executable, data / "unpack.py", unpacked, *ARCHIVES],
            check=True,
            stdout=sys.stderr,
        )
        arrays = {name: _read(Path(unpacked) / f"{name}.npz") for name in ARCHIVES}
    for world, archive in WORLDS.items():
        one = arrays[archive]
        known = _of(one, one["labels"] < KNOWN)
        _write(folder / f"{world}_train", known, slice(TRAIN))
        _write(folder / f"{world}_val", known, slice(TRAIN, TRAIN + VAL))
        _write(folder / f"{world}_test", known, slice(TRAIN + VAL, None))
        _write(folder / f"{world}_8-9", _of(one, one["labels"] >= KNOWN), slice(ODDS))
        _write(folder / f"{world}_all", one, slice(ODDS))
    _write(folder / "letters", arrays["notmnist_test"], slice(ODDS))
    _write(folder / "textures", arrays["textures32"], slice(ODDS))
    _write(folder / "photos_val", arrays["cifar10_test"], slice(VAL))


def _read(path: Path) -> Arrays:
    """Returns images and labels in the order of the images' hashes."""
    with np.load(path) as archive:
        found = {name: archive[name] for name in ("images", "labels")}
    hashes = [hashlib.sha256(image.tobytes()).digest() for image in found["images"]]
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return {name: array[order] for name, array in found.items()}


def _of(arrays: Arrays, chosen: np.ndarray) -> Arrays:
    return {name: array[chosen] for name, array in arrays.items()}


def _write(path: Path, arrays: Arrays, part: slice) -> None:
    np.savez(path.with_suffix(".npz"), **{k: v[part] for k, v in arrays.items()})

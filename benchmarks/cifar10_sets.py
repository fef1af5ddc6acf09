"""The image sets of `cifar10.py`, and the classes of Tiny ImageNet that CIFAR-10 has.

All sets are JPEG copies, not the official ones. Some decisions in `SHARED` are open to
debate. Also removed: gazelles, which look like deer at 32 pixels; cougars and lions,
which are cats; go-karts and tractors, which have four wheels. Not removed: relatives
that look different (ox, bison, bighorn, camel, bears, salamander), trains, rickshaws,
missiles, and the lifting machine `crane`. The list is by class, not by image: a
seashore may still show a ship.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TRAIN, VAL, TEST = "cifar10_jpeg_train", "cifar10_jpeg_val", "cifar10_jpeg_test"
NEAR, FAR = "tinyimagenet", ("gtsrb32", "textures32")
WHOLE = 50_000
"""Number of training images, including validation."""
VALIDATION = 10
"""One training image in this many is kept for validation."""
TINY = "tinyimagenet_val32"
ARCHIVES = {
    "cifar10_test": TEST,
    "gtsrb_test32": FAR[0],
    "textures32": FAR[1],
    TINY: NEAR,
}
"""Names of the test sets, by the names of their archives."""

SHARED = {
    "airplane": {},
    "automobile": {
        "n02814533": "beach wagon",
        "n03100240": "convertible",
        "n03444034": "go-kart",
        "n03670208": "limousine",
        "n04285008": "sports car",
    },
    "bird": {
        "n01855672": "goose",
        "n02002724": "black stork",
        "n02056570": "king penguin",
        "n02058221": "albatross",
    },
    "cat": {
        "n02123045": "tabby",
        "n02123394": "Persian cat",
        "n02124075": "Egyptian cat",
        "n02125311": "cougar",
        "n02129165": "lion",
    },
    "deer": {"n02423022": "gazelle"},
    "dog": {
        "n02085620": "Chihuahua",
        "n02094433": "Yorkshire terrier",
        "n02099601": "golden retriever",
        "n02099712": "Labrador retriever",
        "n02106662": "German shepherd",
        "n02113799": "standard poodle",
    },
    "frog": {"n01641577": "bullfrog", "n01644900": "tailed frog"},
    "horse": {},
    "ship": {"n03447447": "gondola", "n03662601": "lifeboat"},
    "truck": {
        "n03796401": "moving van",
        "n03977966": "police van",
        "n04146614": "school bus",
        "n04465501": "tractor",
        "n04487081": "trolleybus",
    },
}
"""Tiny ImageNet's classes that show a class of CIFAR-10, by that class."""


def prepare(data: Path, folder: Path, images: int, test_images: int) -> None:
    """Writes each set as `FOLDER/NAME.npz`, and `FOLDER/sets.json` that counts them.

    Args:
        data: The folder of the JPEG archives and of `unpack.py`.
        folder: The folder to write to.
        images: Number of training images, including validation; 0 for all.
        test_images: Number of images of every other set, evenly spread; 0 for all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with tempfile.TemporaryDirectory(dir=folder) as unpacked:
        names = ["cifar10_train", *ARCHIVES]
        subprocess.run(
            [sys.executable, data / "unpack.py", unpacked, *names], check=True
        )
        whole = _read(Path(unpacked) / "cifar10_train.npz")
        total = min(images or WHOLE, WHOLE)
        kept = total // VALIDATION  # the archive is shuffled
        counts[TRAIN] = _write(folder / TRAIN, whole, np.arange(kept, total))
        counts[VAL] = _write(folder / VAL, whole, np.arange(kept))
        for archive, name in ARCHIVES.items():
            arrays = _read(Path(unpacked) / f"{archive}.npz")
            places = np.arange(len(arrays["labels"]))
            if archive == TINY:
                places = _not_shared(arrays)
            if 0 < test_images < len(places):
                places = places[np.arange(test_images) * len(places) // test_images]
            counts[name] = _write(folder / name, arrays, places)
    (folder / "sets.json").write_text(json.dumps(counts, indent=1) + "\n")


def shared() -> dict[str, str]:
    """Returns the names of all shared classes by their WordNet numbers."""
    return {wnid: name for group in SHARED.values() for wnid, name in group.items()}


def _not_shared(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the places of Tiny ImageNet's images that show no class of CIFAR-10."""
    names = dict(zip(arrays["wnids"], arrays["class_names"], strict=True))
    for wnid, name in shared().items():
        if names.get(wnid, "").partition(",")[0] != name:
            sys.exit(f"{TINY} calls {wnid} {names.get(wnid)!r}, not {name!r}.")
    out = np.isin(arrays["wnids"], list(shared()))
    return np.flatnonzero(~out[arrays["labels"]])


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def _write(path: Path, arrays: dict[str, np.ndarray], places: np.ndarray) -> dict:
    """Writes some images of a set and returns the numbers of images and classes."""
    labels = arrays["labels"][places]
    np.savez(path.with_suffix(".npz"), images=arrays["images"][places], labels=labels)
    count = {"images": len(places), "classes": len(np.unique(labels))}
    print(f"{path.name}: {count['images']} images of {count['classes']} classes")
    return count

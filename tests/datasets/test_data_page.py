"""Every text of docs/data.md opens a set."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodbench import Shape
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
TEXTS = re.findall(r"^\| `(.+?)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
NAMES = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
FUNCTION = """
import numpy as np
from oodbench import Dataset, Split


def street(argument):
    return Dataset("street", lambda *_: Split(np.zeros((2, 8, 8, 1), np.uint8)), "far")
"""


def image(level):
    rng = np.random.default_rng(level)
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the page speaks of, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for level, name in enumerate(NAMES):
        for path in (Path("pets") / name, Path("lists") / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            image(level).save(path)
    Path("photos").mkdir()
    image(3).save("photos/a.jpg")
    Path("lists/test.txt").write_text("cat/1.jpg 0\ndog/1.jpg -1\n")
    Path("pets/table.csv").write_text("path,class\ncat/1.jpg,cat\ndog/1.jpg,dog\n")
    for number in (0, 1):
        with tarfile.open(f"shard-{number:03}.tar", "w") as shard:
            image(number).save(content := io.BytesIO(), "jpeg")
            member = tarfile.TarInfo("0001.jpg")
            member.size = len(content.getvalue())
            shard.addfile(member, io.BytesIO(content.getvalue()))
    images = np.stack([np.asarray(image(level)) for level in range(10)])
    np.savez("digits.npz", images=images, labels=np.arange(10))
    np.savez(
        "tiny.npz",
        images=images[:3],
        labels=np.arange(3),
        wnids=["n01855672", "n07747607", "n02123045"],
        class_names=["goose", "orange", "tabby, cat"],
    )
    Path("test.txt").write_text("3 1\n")
    Path("sets.py").write_text(FUNCTION)


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_of_the_page_opens_images(files, text):
    if text.startswith("hfdata"):
        save_pets()
    found = open_images(open_dataset(text), "test", Shape(3, 8, 8), limit=4)
    assert found.count == len(found.split.images[:])


def save_pets():
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    table = library.Dataset.from_dict({"image": [image(0)]})
    library.DatasetDict({"test": table}).save_to_disk("pets.hf")


def test_the_page_has_every_plugin_that_reads_or_changes_sets():
    kinds = {text.partition(":")[0] for text in TEXTS}
    assert kinds >= {"csv", "folder", "hfdata", "imglist", "npz", "webdataset"}
    assert kinds >= {"classes", "mix", "rows", "without"}

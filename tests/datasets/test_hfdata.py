"""Data sets of Hugging Face's library, on disk; skipped where it is not installed."""

import sys

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 2, 2)


@pytest.mark.parametrize("argument", ["", "@test", "a@b@c@d", "a@"])
def test_a_wrong_name_is_refused(argument):
    with pytest.raises(InputError, match="write hfdata:NAME@SPLIT"):
        open_dataset(f"hfdata:{argument}")


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    dataset = open_dataset("hfdata:some/pets@train")
    assert dataset.name == "pets"
    with pytest.raises(InputError, match=r"pip install 'oodbench\[datasets\]'"):
        dataset.load("test", SHAPE)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A saved data set with two splits and a column that is no image."""
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    features = library.Features(
        img=library.Image(),
        size=library.Value("int64"),
        fine=library.ClassLabel(names=["cat", "dog"]),
        coarse=library.ClassLabel(names=["pet"]),
    )
    images = [Image.new("L", (2, 2), level) for level in (10, 20, 30)]
    columns = {"img": images, "size": [4] * 3, "fine": [1, 0, 1], "coarse": [0] * 3}
    table = library.Dataset.from_dict(columns, features)
    folder = tmp_path_factory.mktemp("hf") / "pets"
    splits = {"train": table.select([2]), "test": table}
    library.DatasetDict(splits).save_to_disk(folder)
    table.rename_column("coarse", "label").save_to_disk(folder / "one")
    table.select_columns("size").save_to_disk(folder / "none")
    return folder


def test_a_saved_split_has_images_labels_and_names(pets):
    split = open_dataset(f"hfdata:{pets}").load("test", SHAPE)
    assert np.asarray(split.images[:])[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert len(split.images[1:9]) == 2
    assert split.labels.tolist() == [1, 0, 1]
    assert split.class_names == ("cat", "dog")
    assert len(open_dataset(f"hfdata:{pets}@train").load("test", SHAPE).images) == 1


def test_the_column_label_goes_before_other_classes(pets):
    split = open_dataset(f"hfdata:{pets / 'one'}").load("test", SHAPE)
    assert split.labels.tolist() == [0, 0, 0]
    assert split.class_names == ("pet",)


def test_a_table_is_known_by_its_files(pets):
    train, test = (
        open_images(open_dataset(f"hfdata:{pets}@{part}"), "test", SHAPE)
        for part in ("train", "test")
    )
    assert test.digests is None
    assert train.key != test.key


@pytest.mark.parametrize(
    ("argument", "message"),
    [("{0}@val", r"KeyError: 'val'"), ("{0}/none", "0 columns of images")],
)
def test_a_table_that_cannot_be_used_is_one_sentence(pets, argument, message):
    with pytest.raises(InputError, match=message):
        open_dataset(f"hfdata:{argument.format(pets)}").load("test", SHAPE)

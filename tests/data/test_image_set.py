"""What identifies the images of a split, and which labels a network can grade."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.dataset import manifest_of
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import distinct, open_dataset

SHAPE = Shape(1, 8, 8)


def opened(spec, limit=None):
    return open_images(open_dataset(spec), "test", SHAPE, limit)


def save(path, value, time=10**18):
    """Writes an image whose size in bytes and date do not depend on its value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path.with_suffix(".bmp"))
    os.utime(path.with_suffix(".bmp"), ns=(time, time))


@pytest.fixture
def two(tmp_path):
    """Two folders whose files have equal names, sizes and dates."""
    for folder, value in (("x", 0), ("y", 200)):
        for number in range(4):
            save(tmp_path / folder / "test" / str(number), value + number)
    return tmp_path


@pytest.mark.parametrize("kind", ["", "inverted:", "rotated:", "interp:"])
@pytest.mark.parametrize("limit", [None, 2])
def test_folders_with_equal_names_sizes_and_dates_have_different_keys(two, kind, limit):
    x, y = (opened(f"{kind}folder:{two}/{name}/test", limit) for name in "xy")
    assert x.images_key != y.images_key
    assert x.key != y.key
    assert x.folder != y.folder
    assert not x.has_images_of(y)


def test_one_folder_has_one_key_by_every_way_to_it(two, monkeypatch):
    (two / "link").symlink_to(two / "x")
    monkeypatch.chdir(two / "x")
    specs = (f"folder:{two}/x/test", "folder:test", f"folder:{two}/link/test")
    keys = {opened(f"{role}{spec}").key for spec in specs for role in ("", "far=")}
    assert len(keys) == 1


def test_an_image_behind_a_link_is_the_one_that_the_link_leads_to(two):
    link = two / "z" / "a.bmp"
    link.parent.mkdir()
    keys = set()
    for name in "xy":
        link.unlink(missing_ok=True)
        link.symlink_to(two / name / "test" / "0.bmp")
        keys.add(opened(f"folder:{two}/z").key)
    assert len(keys) == 2


def test_the_date_of_a_file_is_in_the_key(two):
    before = opened(f"folder:{two}/x/test").key
    save(two / "x" / "test" / "0", 99, time=10**18 + 1)
    assert opened(f"folder:{two}/x/test").key != before


def test_another_image_with_the_old_name_size_and_date_has_another_key(two):
    before = opened(f"folder:{two}/x/test").key
    save(two / "x" / "test" / "0", 99)
    assert opened(f"folder:{two}/x/test").key != before
    (two / "x").rename(two / "old")
    (two / "y").rename(two / "x")
    assert opened(f"folder:{two}/x/test").key != before


def test_changes_and_choices_of_files_have_keys_of_their_own(two):
    kinds = ("", "inverted:", "rotated:", "interp:", "inverted:rotated:")
    keys = {
        opened(f"{kind}folder:{two}/x/test", limit).key
        for kind in kinds
        for limit in (None, 1, 2)
    }
    assert len(keys) == 14  # the two means are all of interp


def test_pixels_decide_the_key_of_what_is_in_memory(tmp_path):
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    for name in "xy":
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "test.npz", images=images)
    x, y = (opened(f"npz:{tmp_path}/{name}/test.npz") for name in "xy")
    assert x.key == y.key
    assert x.has_images_of(y)
    assert x.record()["key_of"] == "pixels"


def test_the_record_of_a_folder_says_what_the_key_is_of_and_gives_no_path(two):
    dataset = replace(open_dataset(f"folder:{two}/x/test"), spec="")
    record = open_images(dataset, "test", SHAPE).record()
    assert record["key_of"] == "files"
    assert str(two) not in str(record)
    assert record["adaptation"].startswith("upright by EXIF; transparency over white; ")


def test_a_longer_name_leaves_the_stored_results_where_they_are(two):
    alone = open_dataset(f"folder:{two}/x/test")
    longer, _ = distinct([alone, open_dataset(f"folder:{two}/y/test")])
    assert longer.name == "x/test"
    folders = {open_images(one, "test", SHAPE).folder for one in (alone, longer)}
    assert len(folders) == 1


def test_images_without_a_manifest_have_none_through_all_that_changes_them():
    split = open_dataset("inverted:rotated:digits").load("test", SHAPE)
    assert manifest_of(split.spread(3).images) is None


@pytest.mark.parametrize("spec", ["digits", "photos", "digits:0-7"])
def test_a_stated_shape_is_that_of_the_images(spec):
    dataset = open_dataset(spec)
    unknown = replace(dataset, shape=None)
    assert native_shape(dataset) == native_shape(unknown)


def test_a_set_that_knows_its_shape_is_not_loaded():
    def load(split, shape):
        raise AssertionError("it is read")

    for shape in (SHAPE, lambda: SHAPE):
        assert native_shape(Dataset("a", load, "far", shape=shape)) == SHAPE


def labelled(labels, names=()):
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    split = Split(images, np.array(labels), class_names=names)
    return open_images(Dataset("set", lambda *_: split, "far"), "test", SHAPE)


@pytest.mark.parametrize(
    ("labels", "fault"),
    [([0, 8], "labels up to 8"), ([-1, 3], "labels down to -1")],
)
def test_labels_are_only_held_to_the_classes_of_an_in_set(labels, fault):
    found = labelled(labels)
    assert found.split.labels.tolist() == labels
    with pytest.raises(InputError, match=f"set has {fault}, but net has 8 classes"):
        found.check_classes("net", 8)


def test_fewer_named_classes_than_classes_are_warned_of(caplog):
    found = labelled([0, 1], ("cat", "dog"))
    found.check_classes("net", 2)
    assert not caplog.messages
    found.check_classes("net", 10)
    (message,) = caplog.messages
    assert "set has 2 named classes (cat, dog)" in message
    assert "net has 10 classes" in message
    labelled([0, 1]).check_classes("net", 10)
    assert len(caplog.messages) == 1


def test_a_name_of_two_classes_of_a_network_numbers_no_class():
    names = ("crane", "cat", "crane")  # the bird, and the machine
    with pytest.raises(InputError, match="several classes of the network have this"):
        labelled([0, 1], ("cat", "crane")).numbered_by(names)
    whole = labelled([0, 1, 2], names)
    assert whole.numbered_by(names) is whole
    assert labelled([0], ("cat",)).numbered_by(names).split.labels.tolist() == [1]


def test_classes_are_numbered_by_their_names_in_a_network(caplog):
    found = labelled([0, 1, 0], ("cat", "frog")).numbered_by(("ant", "cat", "frog"))
    assert found.split.labels.tolist() == [1, 2, 1]
    assert found.key != labelled([0, 1, 0], ("cat", "frog")).key
    found.check_classes("net", 3)
    assert not caplog.messages


@pytest.mark.parametrize("names", [(), ("cat", "dog")])
def test_classes_whose_names_a_network_does_not_have_keep_their_numbers(names):
    found = labelled([0, 1], ("cat", "frog"))
    assert found.numbered_by(names) is found

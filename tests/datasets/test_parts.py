"""Some classes or images of a set, and mixtures."""

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 2, 2)
NAMES = ["tabby, tabby cat", "goose", "crane", "crane, lifting machine", "sports_car"]
IDS = ["n02123045", "n01855672", "n02012849", "n03126707", "n04285008"]


def load(spec, shape=SHAPE):
    return open_dataset(spec).load("test", shape)


def levels(split):
    return [int(image[0, 0, 0]) for image in split.images[:]]


def archive(path, labels, **texts):
    """Saves images whose grey levels are their numbers; returns what opens them."""
    levels = np.arange(len(labels), dtype=np.uint8)[:, None, None]
    np.savez(path, images=levels.repeat(2, 1).repeat(2, 2), labels=labels, **texts)
    return f"npz:{path}"


@pytest.fixture
def named(tmp_path):
    """Seven images of five classes with names and WordNet ids."""
    labels = [4, 0, 1, 2, 3, 0, 1]
    return archive(tmp_path / "a.npz", labels, class_names=NAMES, wnids=IDS)


@pytest.fixture
def pets(tmp_path):
    """A folder with the classes 1, 10 and 2, in this order."""
    for level, name in enumerate(["1", "10", "2", "2"]):
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        image = Image.new("L", (2, 2 + level), level)
        image.save(tmp_path / "pets" / name / f"{level}.png")
    return f"folder:{tmp_path / 'pets'}"


# --- names of classes in archives


def test_an_archive_has_names_and_ids_of_its_classes(named):
    split = load(named)
    assert split.class_names == tuple(NAMES)
    assert split.wnids == tuple(IDS)


@pytest.mark.parametrize(
    "names", [["a"], [["a", "b"]], [0, 1], [b"a", b"b"]], ids=["few", "2d", "int", "S"]
)
def test_names_that_are_no_text_per_class_are_refused(tmp_path, names):
    spec = archive(tmp_path / "a.npz", [0, 1], class_names=names)
    with pytest.raises(
        InputError, match=r"class_names of .* for each of the 2 classes"
    ):
        load(spec)


# --- classes


@pytest.mark.parametrize(
    ("text", "found", "classes"),
    [
        ("goose+tabby", [1, 2, 5, 6], (0, 1)),
        ("tabby cat", [1, 5], (0,)),
        ("Sports Car", [0], (4,)),
        ("n03126707", [4], (3,)),
        ("crane", [3], (2,)),  # its whole name, not one of two
        ("0-1+4", [0, 1, 2, 5, 6], (0, 1, 4)),
        ("cifar10", [0, 1, 2, 5, 6], (0, 1, 4)),
    ],
)
def test_classes_are_named_and_numbered_anew(named, text, found, classes):
    split = load(f"classes:{text}:{named}")
    assert levels(split) == found
    old = [4, 0, 1, 2, 3, 0, 1]
    assert [classes[new] for new in split.labels] == [old[level] for level in found]
    assert split.class_names == tuple(NAMES[number] for number in classes)
    assert split.wnids == tuple(IDS[number] for number in classes)


@pytest.mark.parametrize("text", ["goose", "0-2", "cifar10", "crane+n03126707"])
def test_classes_and_without_share_out_all_images(named, text):
    chosen, rest = load(f"classes:{text}:{named}"), load(f"without:{text}:{named}")
    assert sorted(levels(chosen) + levels(rest)) == list(range(7))
    assert {*chosen.class_names, *rest.class_names} == set(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goos", "no class 'goos'; did you mean 'goose'"),
        ("0-5", "within 0-4"),
        ("3-1", "must rise"),
        ("", "no class ''"),
        ("cifar100", "no class has a WordNet id of the list cifar100"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(named, text, message):
    with pytest.raises(InputError, match=message):
        load(f"classes:{text}:{named}")


def test_a_name_of_two_classes_is_refused(tmp_path):
    names = ["crane, bird", "crane, machine"]
    spec = archive(tmp_path / "a.npz", [0, 1], class_names=names)
    with pytest.raises(InputError, match="'crane' names classes 0 and 1; write a numb"):
        load(f"without:crane:{spec}")


def test_classes_need_a_labelled_set(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 2, 2), np.uint8))
    spec = f"npz:{tmp_path / 'a.npz'}"
    for kind in ("classes", "without"):
        with pytest.raises(InputError, match="needs a set whose images all have a cla"):
            load(f"{kind}:0:{spec}")


def test_names_that_are_numbers_are_names(pets):
    assert levels(load(f"classes:10:{pets}")) == [1]
    assert load(f"classes:10:{pets}").class_names == ("10",)
    # Class 2 is called 2, but class 1 is called 10.
    with pytest.raises(InputError, match="class 1 is called '10', and another '1'"):
        load(f"classes:1-2:{pets}")


def test_the_first_images_of_each_class_are_taken_in_order(tmp_path):
    images = np.arange(7, dtype=np.uint8)[:, None, None, None]
    labels = np.array([3, 0, 3, 0, 0, 3, 1])
    np.savez(tmp_path / "x.npz", images=images, labels=labels)
    found = load(f"first:2:npz:{tmp_path / 'x.npz'}")
    assert np.ravel(found.images[:]).tolist() == [0, 1, 2, 3, 6]
    assert found.labels.tolist() == [3, 0, 3, 0, 1]
    with pytest.raises(InputError, match="names no number; write first:1000:SET"):
        open_dataset("first:digits")
    with pytest.raises(InputError, match="counts images by class, and there are no"):
        load("first:3:photos")


def test_the_shape_of_a_part_is_that_of_its_first_image(pets):
    assert native_shape(open_dataset(f"classes:2:{pets}")) == (1, 4, 2)
    assert native_shape(open_dataset(f"rows:3:{pets}")) == (1, 5, 2)


def test_a_part_has_the_role_and_splits_of_the_whole():
    inside = open_dataset("digits:0-7")
    part = open_dataset("classes:8-9:digits")
    assert part.splits == ("train", "val", "test")
    assert part.relative_to(inside).role == "near"
    assert open_dataset("rows:0-9:inverted:digits:0-7").relative_to(inside).role == (
        "covariate"
    )
    assert open_dataset("rows:0-9:inverted:photos").relative_to(inside).role == (
        "unstated"
    )
    cifar = open_dataset("cifar10")
    assert open_dataset("rows:0-9:cifar10c:fog:1").relative_to(cifar).role == (
        "covariate"
    )
    # Other numbers are other classes.
    assert open_dataset("classes:0-3:inverted:digits:0-7").relative_to(inside).role == (
        "unstated"
    )
    assert open_dataset("classes:0-3:cifar10c:fog:1").relative_to(cifar).role == "near"
    same = load("classes:8-9:digits", Shape(1, 8, 8)), load("digits:8-9")
    assert np.array_equal(same[0].images, same[1].images)
    assert np.array_equal(same[0].labels, same[1].labels)


@pytest.mark.parametrize("kind", ["classes", "without", "rows"])
def test_a_part_needs_a_set(kind):
    with pytest.raises(InputError, match=f"'{kind}:0' names no set; write {kind}:WH"):
        open_dataset(f"{kind}:0")


# --- what two sets share


def test_classes_that_another_set_has_are_left_out(named, tmp_path):
    names = ["Goose", "tabby cat", "horse"]
    other = archive(tmp_path / "b.npz", [0, 1, 2], class_names=names)
    assert levels(load(f"without:{other}++{named}")) == [0, 3, 4]
    assert levels(load(f"without:{named}++{other}")) == [2]
    by_id = archive(tmp_path / "c.npz", [0], class_names=["n01855672"])
    assert levels(load(f"without:{by_id}++{named}")) == [0, 1, 3, 4, 5]
    assert open_dataset(f"without:{by_id}++{named}").name == "without:c:a"


def test_sets_that_share_no_class_are_refused(named, pets):
    with pytest.raises(InputError, match="share no name of a class"):
        load(f"without:{pets}++{named}")
    with pytest.raises(InputError, match="without takes two sets"):
        open_dataset(f"without:{named}++{named}++{named}")


# --- rows


def test_rows_are_taken_in_the_order_of_the_set(named, tmp_path):
    numbers = np.array([6, 0, 3])
    (tmp_path / "n.txt").write_text("6 0\n3\n")
    np.save(tmp_path / "n.npy", numbers)
    np.savez(tmp_path / "n.npz", test=numbers)
    for text in ("n.txt", "n.npy", "n.npz@test"):
        split = load(f"rows:{tmp_path / text}:{named}")
        assert levels(split) == [0, 3, 6]
        assert split.labels.tolist() == [4, 2, 1]
    assert open_dataset(f"rows:{tmp_path}/n.npz@test:{named}").name == "rows:test:a"
    assert levels(load(f"rows:0-1+5:{named}")) == [0, 1, 5]
    # The numbers are those of test images.
    assert open_dataset("rows:0-9:digits").splits == ("test",)


def test_rows_need_a_test_split(tmp_path):
    (tmp_path / "train").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "train" / "a.png")
    with pytest.raises(InputError, match="has no test split"):
        open_dataset(f"rows:0:folder:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5-7", "takes image 7, and there are 7, counted from 0"),
        ("5+5", "each once"),
        ("5-3", "each once, in rising ranges"),
        ("nowhere.txt", "no file 'nowhere.txt'; write rows:FILE:SET"),
        ("{0}/words.txt", "cannot be read as numbers .*'one'"),
        ("{0}/minus.txt", "counted from 0"),
        ("{0}/empty.txt", "must have numbers"),
        ("{0}/float.npy", "float64 of shape"),
        ("{0}/all.npz@x", "x is not a file"),
    ],
)
def test_rows_that_do_not_exist_are_refused(named, tmp_path, text, message):
    for name, words in {"words": "one", "minus": "-1", "empty": ""}.items():
        (tmp_path / f"{name}.txt").write_text(words)
    np.save(tmp_path / "float.npy", np.zeros(2))
    np.savez(tmp_path / "all.npz", y=np.zeros(2, int))
    with pytest.raises(InputError, match=message):
        load(f"rows:{text.format(tmp_path)}:{named}")


# --- mixtures


def test_a_mixture_has_one_set_after_another(named, pets):
    split = load(f"mix:{named}++{pets}++{named}")
    assert levels(split) == [*range(7), *range(4), *range(7)]
    assert [len(image) for image in split.images[6:10]] == [2, 2, 3, 4]
    assert len(split.images[18:]) == 0
    assert split.labels is None  # the names of the classes differ
    assert split.clusters is None


def test_a_mixture_of_equal_classes_has_labels(named):
    split = load(f"mix:{named}++inverted:{named}")
    assert split.labels.tolist() == 2 * [4, 0, 1, 2, 3, 0, 1]
    assert split.class_names == tuple(NAMES)


def test_the_clusters_of_a_mixture_belong_to_one_set():
    clusters = load("mix:photos++digits:0++photos", Shape(1, 8, 8)).clusters
    digits = len(load("digits:0").labels)
    assert len(np.unique(clusters)) == 2 + digits + 2
    assert clusters[0] == clusters[1] != clusters[-1]


def test_the_role_of_a_mixture_is_the_common_one():
    def role(text):
        return open_dataset(text).relative_to(open_dataset("digits:0-7")).role

    assert role("mix:photos++noise:gaussian") == "far"
    assert role("mix:digits:8++digits:9") == "near"
    assert role("mix:photos++noise:uniform") == "unstated"
    assert role("mix:inverted:digits:0-7++inverted:photos") == "unstated"
    assert open_dataset("mix:cifar10++cifar10c:fog:1").label_space == "cifar10"
    assert role("near=mix:photos++noise:uniform") == "near"


def test_mixed_splits_are_the_common_ones(named):
    assert open_dataset("mix:digits:0++inverted:digits:1").splits == (
        "train",
        "val",
        "test",
    )
    assert open_dataset(f"mix:digits++{named}").splits == ("test",)
    with pytest.raises(InputError, match=r"is not two sets; write mix:SET\+\+SET"):
        open_dataset("mix:digits:0-3+8")


def test_a_mixture_of_files_is_known_by_its_files(pets, named):
    assert open_images(open_dataset(f"mix:{pets}++{pets}"), "test", SHAPE).digests is (
        None
    )
    mixed = open_images(open_dataset(f"mix:{pets}++{named}"), "test", SHAPE)
    assert len(mixed.digests) == 11

"""OpenOOD's lists and preprocessing, on sets that stand for the official ones."""

import numpy as np
import pytest

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.spec import open_dataset

SHAPE = Shape(3, 32, 32)


@pytest.fixture
def opened(monkeypatch):
    """Opens a set of a benchmark over one of `count` images that are numbers."""

    def opened(spec, count, labels=None, names=()):
        def load(split, shape):
            numbers = np.arange(count, dtype=np.float32) / count
            images = np.broadcast_to(numbers[:, None, None, None], (count, 32, 32, 3))
            return Split(images, labels, np.arange(count), class_names=names)

        base = Dataset("base", load, "far", ("train", "val", "test"))
        monkeypatch.setattr("oodbench.datasets.openood.open_dataset", lambda name: base)
        return open_dataset(spec)

    return opened


def numbers(split, count):
    return [round(float(image[0, 0, 0]) * count) for image in split.images[0:count]]


@pytest.mark.parametrize(
    ("spec", "official", "count"),
    [
        ("cifar10/cifar10", 10_000, 9_000),
        ("cifar10/tin", 10_000, 7_793),
        ("cifar100/tin", 10_000, 6_526),
        ("cifar10/places365", 36_500, 35_195),
        ("cifar100/places365", 36_500, 33_773),
        ("cifar100/cifar10", 10_000, 10_000),
        ("cifar10/svhn", 26_032, 26_032),
        ("imagenet200/imagenet", 50_000, 9_000),
        ("imagenet1k/imagenet", 50_000, 45_000),
        ("imagenet1k/openimage_o", 17_632, 15_869),
        ("imagenet200/openimage_o", 17_632, 15_869),
        ("imagenet1k/imagenet_v2", 10_000, 10_000),
        ("imagenet1k/ninco", 5_879, 5_879),
        ("cifar10/mnist", 100, 300),  # train, val and test
    ],
)
def test_lists_have_the_sizes_of_openood(opened, spec, official, count):
    found = opened(f"openood:{spec}", official)
    assert found.name == f"openood:{spec}"
    assert len(found.load("test", SHAPE).images) == count


@pytest.mark.parametrize("name", ["imagenet_v2", "imagenet"])
def test_imagenet200_takes_its_classes_of_all(opened, name):
    labels, names = np.arange(10_000) % 1000, tuple(map(str, range(1000)))
    split = "train" if name == "imagenet" else "test"
    found = opened(f"openood:imagenet200/{name}", 10_000, labels, names)
    found = found.load(split, SHAPE)
    images = 10 * (1 + (split == "train"))  # train and val of the set together
    assert np.bincount(found.labels).tolist() == [images] * 200
    assert found.class_names[:5] == ("1", "2", "4", "6", "8")
    # Sets of few classes are whole.
    few = opened(f"openood:imagenet200/{name}", 10_000, labels % 200)
    assert len(few.load(split, SHAPE).images) == 1000 * images


def test_mnist_is_train_and_test_in_order(opened):
    found = opened("openood:cifar10/mnist", 100).load("test", SHAPE).images
    values = [float(image[0, 0, 0]) for image in found[95:205]]
    assert np.rint(np.multiply(values, 100)).tolist() == [
        *range(95, 100),
        *range(100),
        *range(5),
    ]


def test_validation_and_test_share_no_image(opened):
    found = opened("openood:cifar10/cifar10", 10_000)
    assert found.splits == ("train", "val", "test")
    test = numbers(found.load("test", SHAPE), 10_000)
    val = numbers(found.load("val", SHAPE), 10_000)
    assert sorted(test + val) == list(range(10_000))


def test_cifar100_is_listed_by_class_and_rank(opened):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 100))
    found = opened("openood:cifar100/cifar100", 10_000, labels).load("test", SHAPE)
    assert len(found.images) == 9_000
    assert np.bincount(found.labels).min() >= 80
    again = opened("openood:cifar100/cifar100", 10_000, np.sort(labels))
    in_order = again.load("test", SHAPE)
    # The same ranks of each class, wherever its images stand.
    assert np.array_equal(np.sort(found.labels), in_order.labels)


def test_imagenet200_numbers_its_own_classes(opened):
    found = opened("openood:imagenet200/imagenet", 50_000, np.zeros(50_000, np.int64))
    assert sorted(set(found.load("test", SHAPE).labels.tolist())) == list(range(200))


def test_classes_keep_their_names_with_other_numbers(opened):
    spec, names = "openood:imagenet200/imagenet", tuple(map(str, range(1000)))
    plain = opened(spec, 50_000).load("test", SHAPE)
    assert plain.class_names == ()
    labels = np.zeros(50_000, np.int64)
    labels[plain.clusters] = 900 - plain.labels
    found = opened(spec, 50_000, labels, names).load("test", SHAPE)
    assert np.array_equal(found.labels, plain.labels)
    assert found.class_names == tuple(str(900 - n) for n in range(200))


def test_the_list_of_a_set_holds_for_a_local_copy(tmp_path):
    images = np.zeros((10_000, 1, 1, 3), np.uint8)
    np.savez(tmp_path / "tin.npz", images=images)
    found = open_dataset(f"openood:cifar10/tin=npz:{tmp_path / 'tin.npz'}")
    assert found.name == "openood:cifar10/tin"
    assert len(found.load("test", SHAPE).images) == 7_793
    assert len(found.load("val", SHAPE).images) == 1_000


def test_tiny_imagenet_in_another_order_is_refused(tmp_path):
    def written(labels):
        numbers = np.arange(10_000)
        images = np.stack([numbers // 256, numbers % 256, 0 * numbers], 1)
        images = images.astype(np.uint8).reshape(-1, 1, 1, 3)
        path = tmp_path / f"{len([*tmp_path.iterdir()])}.npz"
        np.savez(path, images=images, **({} if labels is None else {"labels": labels}))
        return open_dataset(f"openood:cifar10/tin=npz:{path}")

    found = written(None)
    labels = np.zeros(10_000, np.int64)
    for split in ("val", "test"):
        for image in found.load(split, SHAPE).images[:]:
            labels[int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])] = 1
    assert len(written(labels).load("test", SHAPE).images) == 7_793
    with pytest.raises(InputError, match="not in the order of Tiny ImageNet's numbers"):
        written(np.arange(10_000) % 200).load("test", SHAPE)


def test_another_number_of_images_is_refused(opened):
    found = opened("openood:cifar10/tin", 500)
    with pytest.raises(InputError, match="give the whole official set"):
        found.load("test", SHAPE)


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        open_dataset("openood:cifar_10/tin")
    with pytest.raises(InputError, match="Name a set"):
        open_dataset("openood:cifar10")


def test_images_are_scaled_by_the_short_side_and_cropped_in_the_middle(tmp_path):
    # Rows are constant, so the crop takes rows 16 to 239 of 256 scaled from 512.
    rows = np.repeat(np.arange(256, dtype=np.uint8), 2)
    image = np.broadcast_to(rows[None, :, None, None], (1, 512, 600, 1))
    np.savez(tmp_path / "wide.npz", images=image)
    found = open_dataset(f"openood:imagenet1k/npz:{tmp_path / 'wide.npz'}")
    (scaled,) = found.load("test", Shape(3, 224, 224)).images[0:1]
    assert scaled.shape == (224, 224, 3)
    assert scaled.dtype == np.uint8
    assert np.abs(scaled[:, 0, 0] - np.arange(16.0, 240)).max() <= 1


def test_images_of_the_right_size_are_not_changed(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "small.npz", images=images)
    found = open_dataset(f"openood:cifar10/npz:{tmp_path / 'small.npz'}")
    assert np.array_equal(found.load("test", SHAPE).images[0:3], images)

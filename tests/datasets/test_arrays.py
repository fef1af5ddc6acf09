"""Labelled sets in arrays: small files in the layouts of the real ones."""

import bz2
import gzip
import io
import pickle
import struct
import sys

import numpy as np
import platformdirs
import pytest
import scipy.io

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset

SHAPE = Shape(3, 32, 32)
TRAIN, TEST = 100, 20


def images_of(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


TRAIN_IMAGES, TEST_IMAGES = images_of(TRAIN, 0), images_of(TEST, 1)
TRAIN_LABELS, TEST_LABELS = np.arange(TRAIN) % 10, np.arange(TEST) % 10


def batch(images, labels, key):
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    content = pickle.dumps({"data": rows, key: labels.tolist()}, protocol=3)
    return content.replace(b"numpy._core", b"numpy.core")  # its name at the time


def cifar10_files(packed):
    parts = np.array_split(np.arange(TRAIN), 5)
    files = {
        f"cifar-10-batches-py/data_batch_{n}": batch(
            TRAIN_IMAGES[part], TRAIN_LABELS[part], "labels"
        )
        for n, part in enumerate(parts, 1)
    }
    test = batch(TEST_IMAGES, TEST_LABELS, "labels")
    files["cifar-10-batches-py/test_batch"] = test
    return packed("cifar10/cifar-10-python.tar.gz", files)


def cifar100_files(packed):
    files = {
        "cifar-100-python/train": batch(TRAIN_IMAGES, TRAIN_LABELS, "fine_labels"),
        "cifar-100-python/test": batch(TEST_IMAGES, TEST_LABELS, "fine_labels"),
    }
    return packed("cifar100/cifar-100-python.tar.gz", files)


def svhn_files(packed):
    files = {}
    for part, images, labels in (
        ("train", TRAIN_IMAGES, TRAIN_LABELS),
        ("test", TEST_IMAGES, TEST_LABELS),
    ):
        tens = np.where(labels == 0, 10, labels)  # SVHN's own name for 0
        arrays = {"X": images.transpose(1, 2, 3, 0), "y": np.uint8(tens)[:, None]}
        scipy.io.savemat(file := io.BytesIO(), arrays)
        files[f"svhn/{part}_32x32.mat"] = file.getvalue()
    return files


FILES = {"cifar10": cifar10_files, "cifar100": cifar100_files, "svhn": svhn_files}


@pytest.fixture(params=FILES)
def name(request, put, packed):
    """A set whose files are there."""
    put(request.param, FILES[request.param](packed))
    return request.param


def load(spec, split="test"):
    return open_dataset(spec).load(split, SHAPE)


def test_the_last_tenth_of_the_training_images_is_val(name):
    expected = {
        "train": (TRAIN_IMAGES[:90], TRAIN_LABELS[:90]),
        "val": (TRAIN_IMAGES[90:], TRAIN_LABELS[90:]),
        "test": (TEST_IMAGES, TEST_LABELS),
    }
    for split, (images, labels) in expected.items():
        found = load(name, split)
        assert np.array_equal(found.images, images)
        assert found.images.dtype == np.uint8
        assert found.images.flags.c_contiguous
        assert np.array_equal(found.labels, labels)
        assert found.labels.dtype == np.int64


def test_classes_are_chosen_and_renumbered(name):
    found = load(f"{name}:8-9")
    assert open_dataset(f"{name}:8-9").name == f"{name}:8-9"
    assert np.array_equal(found.images, TEST_IMAGES[TEST_LABELS >= 8])
    assert found.labels.tolist() == [0, 1, 0, 1]


def test_a_split_needs_only_its_own_files(put, packed):
    files = svhn_files(packed)
    del files["svhn/train_32x32.mat"]
    put("svhn", files)
    assert len(load("svhn").images) == TEST
    with pytest.raises(InputError, match=r"train_32x32.mat is not there"):
        load("svhn", "train")


def test_code_in_a_batch_is_not_run(put, packed):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    files = {"cifar-10-batches-py/test_batch": pickle.dumps({"data": Evil()})}
    put("cifar10", packed("cifar10/cifar-10-python.tar.gz", files))
    with pytest.raises(InputError, match=r"it holds builtins.print"):
        load("cifar10")


def test_an_archive_without_its_files_is_refused(put, packed):
    put("cifar10", packed("cifar10/cifar-10-python.tar.gz", {"readme": b""}))
    with pytest.raises(InputError, match=r"cannot be read .*test_batch"):
        load("cifar10")


def test_files_are_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OODBENCH_OFFLINE", "1")
    monkeypatch.delenv("OODBENCH_DATA", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda app: str(tmp_path / app))
    place = tmp_path / "oodbench" / "data" / "cifar10"
    with pytest.raises(InputError, match=f"into {place} by hand"):
        load("cifar10")


def test_a_tilde_in_the_environment_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OODBENCH_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OODBENCH_DATA", "~/sets")
    with pytest.raises(InputError, match=f"into {tmp_path}/sets/cifar10 by hand"):
        load("cifar10")


def test_the_cifars_are_near_each_other_and_far_from_house_numbers():
    inside = open_dataset("cifar10")
    assert open_dataset("cifar100").relative_to(inside).role == "near"
    assert (
        open_dataset("cifar10:8-9").relative_to(open_dataset("cifar10:0-7")).role
        == "near"
    )
    assert open_dataset("svhn").relative_to(inside).role == "far"


@pytest.mark.parametrize("spec", ["cifar10:10", "cifar100:100", "svhn:10"])
def test_classes_that_do_not_exist_are_refused(spec):
    with pytest.raises(InputError, match="must rise and stay within"):
        open_dataset(spec)


def idx(array):
    """Returns a gzipped file of MNIST's format."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes())


GREY = np.random.default_rng(2).integers(0, 256, (30, 28, 28), dtype=np.uint8)
DIGITS = np.arange(30) % 10


@pytest.mark.parametrize("name", ["mnist", "fashionmnist", "kmnist"])
def test_files_of_the_format_of_mnist(name, put):
    files = {
        f"{name}/train-images-idx3-ubyte.gz": idx(GREY[:20]),
        f"{name}/train-labels-idx1-ubyte.gz": idx(DIGITS[:20]),
        f"{name}/t10k-images-idx3-ubyte.gz": idx(GREY[20:]),
        f"{name}/t10k-labels-idx1-ubyte.gz": idx(DIGITS[20:]),
    }
    put(name, files)
    found = load(name)
    assert np.array_equal(found.images[..., 0], GREY[20:])
    assert found.labels.tolist() == DIGITS[20:].tolist()
    assert np.array_equal(load(name, "val").images[..., 0], GREY[18:20])


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", idx(GREY)[:-20], gzip.compress(b"\0\0\x08\1\0\0\0\5abc")],
    ids=["empty", "text", "cut", "short"],
)
def test_broken_files_of_mnist_are_refused_by_name(content, put):
    put("mnist", {"mnist/t10k-images-idx3-ubyte.gz": content})
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte.gz cannot be read"):
        load("mnist")


def test_letters_of_emnist_stand_upright_and_count_from_0(put, packed):
    part = "gzip/emnist-letters-test"
    files = {
        f"{part}-images-idx3-ubyte.gz": idx(GREY.transpose(0, 2, 1)),
        f"{part}-labels-idx1-ubyte.gz": idx(np.arange(30) % 26 + 1),
    }
    put("emnist_letters", packed("emnist/gzip.zip", files))
    found = load("emnist_letters")
    assert np.array_equal(found.images[..., 0], GREY)
    assert found.labels.tolist() == [*range(26), *range(4)]


def test_usps_maps_minus_one_to_black_and_one_to_white(put):
    values = np.linspace(-1, 1, 256)
    cells = " ".join(f"{place}:{value:.6f}" for place, value in enumerate(values, 1))
    put("usps", {"usps/usps.t.bz2": bz2.compress(f"10 {cells}\n".encode())})
    found = load("usps")
    assert found.labels.tolist() == [9]
    level = np.arange(256).reshape(16, 16)
    assert np.abs(found.images[0, :, :, 0].astype(int) - level).max() <= 1
    assert (found.images[0, 0, 0, 0], found.images[0, -1, -1, 0]) == (0, 255)


def test_a_file_of_usps_with_other_lines_is_refused(put):
    put("usps", {"usps/usps.t.bz2": bz2.compress(b"1 1:0.5 2:0.5\n")})
    with pytest.raises(InputError, match=r"usps.t.bz2 cannot be read"):
        load("usps")


def test_stl10_is_stored_column_by_column(put, packed):
    image = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    files = {
        "stl10_binary/test_X.bin": image.transpose(0, 3, 2, 1).tobytes(),
        "stl10_binary/test_y.bin": bytes([1, 10]),
    }
    put("stl10", packed("stl10/stl10_binary.tar.gz", files))
    found = load("stl10")
    assert np.array_equal(found.images, image)
    assert found.labels.tolist() == [0, 9]


def npy(array):
    np.save(file := io.BytesIO(), array)
    return file.getvalue()


def corrupted(name):
    """Returns the files of an archive of corrupted images, two per severity."""
    base = np.repeat(np.arange(1, 6), 2).astype(np.uint8)[:, None, None, None]
    kinds = sys.modules["oodbench.datasets._cifar_c"].KINDS
    files = {
        f"{name}/{kind}.npy": npy(np.broadcast_to(base + 10 * i, (10, 32, 32, 3)))
        for i, kind in enumerate(kinds)
    }
    return files | {f"{name}/labels.npy": npy(np.tile([3, 7], 5))}


@pytest.mark.parametrize(("name", "number"), [("cifar10c", 10), ("cifar100c", 100)])
def test_corruptions_and_severities_are_chosen(name, number, put, packed):
    open_dataset(name)
    folder = f"CIFAR-{number}-C"
    put(name, packed(f"{name}/{folder}.tar", corrupted(folder)))
    fog = load(f"{name}:fog:3")
    assert fog.images[:][:, 0, 0, 0].tolist() == [43, 43]
    assert fog.labels.tolist() == [3, 7]
    five = load(f"{name}:fog").images
    assert five[:][:, 0, 0, 0].tolist() == [41, 41, 42, 42, 43, 43, 44, 44, 45, 45]
    every = load(name)
    assert len(every.images) == len(every.labels) == 190
    assert every.images[9:12][:, 0, 0, 0].tolist() == [5, 11, 11]
    assert every.images[188:300][:, 0, 0, 0].tolist() == [185, 185]
    assert open_dataset(f"{name}:fog:3").name == f"{name}:fog:3"


@pytest.mark.parametrize(
    "argument", ["mist", "fog:0", "fog:6", "fog:", ":3", "fog:3:1"]
)
def test_corruptions_that_do_not_exist_are_refused(argument):
    with pytest.raises(InputError, match=f"cifar10c:{argument} names no corruption"):
        open_dataset(f"cifar10c:{argument}")


def test_an_archive_without_a_corruption_is_refused(put, packed):
    put("cifar10c", packed("cifar10c/CIFAR-10-C.tar", {"CIFAR-10-C/readme": b""}))
    with pytest.raises(InputError, match=r"CIFAR-10-C.tar cannot be read at labels"):
        load("cifar10c:fog")


def test_two_versions_of_cifar10_1(put):
    for version, level in (("v6", 6), ("v4", 4)):
        put(
            "cifar10_1",
            {
                f"cifar10_1/cifar10.1_{version}_data.npy": npy(
                    np.full((2, 32, 32, 3), level, np.uint8)
                ),
                f"cifar10_1/cifar10.1_{version}_labels.npy": npy(np.int32([1, 2])),
            },
        )
    assert (load("cifar10_1").images == 6).all()
    assert (load("cifar10_1:v4").images == 4).all()
    assert load("cifar10_1").labels.tolist() == [1, 2]
    assert open_dataset("cifar10_1").name != open_dataset("cifar10_1:v4").name


def test_icons_are_read_without_running_code(put):
    images = TEST_IMAGES.transpose(0, 3, 1, 2)
    content = {"image": images, "class": TEST_LABELS, "style": ["apple"] * TEST}
    put("icons50", {"icons50/Icons-50.npy": npy(np.array(content, object))})
    found = load("icons50")
    assert np.array_equal(found.images, TEST_IMAGES)
    assert found.labels.tolist() == TEST_LABELS.tolist()


def test_code_among_icons_is_not_run(put):
    put("icons50", {"icons50/Icons-50.npy": npy(np.array({"image": print}, object))})
    with pytest.raises(InputError, match=r"Icons-50.npy .*it holds builtins.print"):
        load("icons50")

"""Labelled sets in arrays: small files in the layouts of the real ones."""

import io
import pickle

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

"""Sets that come without files: digits, photographs, noise."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 8, 8)


def load(spec, split="test"):
    return open_dataset(spec).load(split, SHAPE)


def test_digits_are_grey_in_sixteenths():
    split = load("digits")
    assert split.images.shape == (449, 8, 8, 1)
    assert split.images.dtype == np.float32
    assert split.images.flags.c_contiguous
    assert set(np.unique(split.images * 16)) == set(range(17))
    assert split.labels.dtype == np.int64
    assert split.clusters is None


def test_the_splits_of_digits_are_all_of_them_in_order():
    from sklearn.datasets import load_digits

    everything = load_digits()
    splits = [load("digits", name) for name in ("train", "val", "test")]
    images = np.concatenate([split.images for split in splits])
    assert [len(split.images) for split in splits] == [1078, 270, 449]
    assert np.array_equal(images[..., 0] * 16, everything.images)
    labels = np.concatenate([split.labels for split in splits])
    assert np.array_equal(labels, everything.target)


def test_no_digit_is_in_two_splits():
    seen = [
        {image.tobytes() for image in load("digits", name).images}
        for name in ("train", "val", "test")
    ]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


@pytest.mark.parametrize(
    ("split", "digest"),
    [
        ("train", "196096b8c5d04429"),
        ("val", "3b4ac9f7cea70481"),
        ("test", "dc49f381c5e369e1"),
    ],
)
def test_the_splits_of_digits_never_change(split, digest):
    found = load("digits", split)
    content = found.images.tobytes() + found.labels.tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_chosen_digits_are_renumbered():
    everything = load("digits")
    chosen = load("digits:8-9")
    assert np.array_equal(chosen.images, everything.images[everything.labels >= 8])
    assert set(chosen.labels) == {0, 1}
    assert chosen.images.flags.c_contiguous


def test_a_neighbour_in_the_training_digits_names_most_test_digits():
    from sklearn.neighbors import KNeighborsClassifier

    train, test = load("digits:0-7", "train"), load("digits:0-7")
    nearest = KNeighborsClassifier(1).fit(train.images.reshape(-1, 64), train.labels)
    accuracy = nearest.score(test.images.reshape(-1, 64), test.labels)
    assert accuracy == pytest.approx(353 / 363)


def test_other_digits_are_near():
    inside = open_dataset("digits:0-7")
    assert inside.splits == ("train", "val", "test")
    assert open_dataset("digits:8-9").relative_to(inside).role == "near"


def test_patches_tile_the_photographs():
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    split = load("photos")
    assert split.images.shape == (520, 32, 32, 1)
    assert split.images.dtype == np.uint8
    assert split.images.flags.c_contiguous
    assert split.labels is None
    luma = np.float64([0.299, 0.587, 0.114])
    for photo, patches in ((china, split.images[:260]), (flower, split.images[260:])):
        second_row = photo[32:64, 0:32] @ luma
        assert np.abs(patches[20, ..., 0] - second_row).max() <= 0.51
        last = photo[384:416, 608:640] @ luma
        assert np.abs(patches[-1, ..., 0] - last).max() <= 0.51


def test_both_photographs_give_as_many_patches():
    assert np.bincount(load("photos").clusters).tolist() == [260, 260]


def test_photos_take_no_argument():
    with pytest.raises(InputError, match="photos takes no argument, got 'china'"):
        open_dataset("photos:china")


@pytest.mark.parametrize("spec", ["noise:uniform", "noise:gaussian"])
@pytest.mark.parametrize("shape", [Shape(1, 8, 8), Shape(3, 5, 7)])
def test_a_noise_image_does_not_depend_on_the_slice(spec, shape):
    images = open_dataset(spec).load("test", shape).images
    assert len(images) == 1000
    some = images[3:9]
    assert some.shape == (6, shape.height, shape.width, shape.channels)
    assert some.dtype == np.uint8
    for index in range(3, 9):
        assert np.array_equal(images[index : index + 1][0], some[index - 3])
    assert len(images[998:2000]) == 2
    assert images[1000:].shape == (0, *some.shape[1:])


@pytest.mark.parametrize("spec", ["noise:uniform", "noise:gaussian"])
def test_no_two_noise_images_are_alike(spec):
    images = load(spec).images[:]
    assert len(np.unique(images.reshape(1000, -1), axis=0)) == 1000


def test_uniform_noise_takes_every_value_alike():
    values = load("noise:uniform").images[:]
    counts = np.bincount(values.ravel(), minlength=256)
    expected = values.size / 256
    # A chi-square of 255 degrees of freedom: mean 255, deviation 22.6.
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 4 * 22.6


def test_gaussian_noise_is_cut_at_black_and_white():
    values = load("noise:gaussian").images[:] / 255
    # P(Z < -1) = 0.159 on either side; values below half a step round to it as well.
    assert (values == 0).mean() == pytest.approx(0.160, abs=0.006)
    assert (values == 1).mean() == pytest.approx(0.160, abs=0.006)
    inner = values[(values > 0.25) & (values < 0.75)]
    assert inner.size / values.size == pytest.approx(0.383, abs=0.008)  # |Z| < 0.5
    assert values.mean() == pytest.approx(0.5, abs=0.005)


def test_uniform_noise_is_a_probe_and_gaussian_noise_far():
    assert open_dataset("noise:uniform").role == "probe"
    assert open_dataset("noise:gaussian").role == "far"


@pytest.mark.parametrize("spec", ["noise", "noise:", "noise:pink"])
def test_other_noise_is_refused(spec):
    with pytest.raises(InputError, match="known: uniform, gaussian"):
        open_dataset(spec)


def test_digits_and_photographs_do_not_import_scikit_learn():
    code = (
        "import sys; from oodbench import Shape; "
        "from oodbench.data.spec import open_dataset; "
        "[open_dataset(n).load('test', Shape(1, 8, 8)) for n in ('digits', 'photos')]; "
        "sys.exit('sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

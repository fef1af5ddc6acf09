"""Sets made from other sets."""

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 8, 8)


def load(spec, split="test"):
    return open_dataset(spec).load(split, SHAPE)


@pytest.fixture
def colours(tmp_path):
    """Seven images, 2x3 RGB, with labels."""
    images = np.random.default_rng(0).integers(0, 256, (7, 2, 3, 3), dtype=np.uint8)
    np.savez(tmp_path / "colours.npz", images=images, labels=np.arange(7))
    return f"npz:{tmp_path / 'colours.npz'}"


@pytest.fixture
def mixed(tmp_path):
    """A folder of three images of two sizes."""
    for number, size in enumerate([(4, 2), (4, 2), (3, 3)]):
        pixels = np.full(size[::-1], 60 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return f"folder:{tmp_path}"


@pytest.mark.parametrize("kind", ["interp", "rotated", "inverted"])
def test_a_made_set_has_the_splits_and_the_name_of_the_inner_one(kind):
    made = open_dataset(f"{kind}:digits:0-7")
    assert made.name == f"{kind}:digits:0-7"
    assert made.splits == ("train", "val", "test")
    assert made.family == ""
    assert made.relative_to(open_dataset("digits:0-7")).role == made.role
    assert open_dataset(f"{kind}:noise:uniform").splits == ("test",)


@pytest.mark.parametrize(
    ("kind", "role"),
    [("interp", "probe"), ("rotated", "probe"), ("inverted", "covariate")],
)
def test_roles_of_made_sets(kind, role):
    assert open_dataset(f"{kind}:digits").role == role


@pytest.mark.parametrize("kind", ["interp", "rotated", "inverted"])
def test_a_made_set_needs_an_inner_set(kind):
    with pytest.raises(InputError, match=f"{kind} needs a set to work on"):
        open_dataset(kind)
    with pytest.raises(InputError, match="no data set 'digit'"):
        open_dataset(f"{kind}:digit")


@pytest.mark.parametrize("spec", ["interp:{0}", "rotated:{0}", "inverted:{0}"])
def test_a_slice_of_a_made_set_is_that_slice_of_the_whole(spec, colours):
    images = load(spec.format(colours)).images
    whole = images[:]
    assert len(whole) == len(images)
    assert whole.flags.c_contiguous
    assert np.array_equal(images[1:3], whole[1:3])
    assert np.array_equal(images[1:99], whole[1:])


def test_interp_takes_the_mean_of_two_images(colours):
    inner = load(colours).images[:].astype(np.float64) / 255
    means = load(f"interp:{colours}").images
    assert len(means) == 3
    assert means[:].dtype == np.float32
    pairs = [
        {i, j}
        for mean in means[:]
        for i in range(7)
        for j in range(i)
        if np.allclose(mean, (inner[i] + inner[j]) / 2, atol=1e-6)
    ]
    assert len(pairs) == 3
    assert len(set.union(*pairs)) == 6  # no image twice


def test_the_means_of_all_pairs_have_the_mean_of_all_images():
    inner = load("digits:3").images
    means = load("interp:digits:3").images[:]
    assert len(inner) == 2 * len(means)
    assert np.array_equal(2 * means.sum(axis=0), inner.sum(axis=0))


def test_interp_pairs_the_same_images_every_time(colours):
    one, other = load(f"interp:{colours}"), load(f"interp:{colours}")
    assert np.array_equal(one.images[:], other.images[:])
    assert one.labels is None


def test_interp_refuses_images_of_two_sizes(tmp_path):
    for side in (2, 3):
        Image.new("L", (side, 2)).save(tmp_path / f"{side}.png")
    message = "needs images of one size, and some are 2x2x1 and 2x3x1"
    with pytest.raises(InputError, match=message):
        load(f"interp:folder:{tmp_path}").images[:]


def test_interp_refuses_images_that_share_origins():
    with pytest.raises(InputError, match="interp:photos would join"):
        load("interp:photos")


def test_interp_refuses_a_single_image(tmp_path):
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(InputError, match="interp:one needs two images"):
        load(f"interp:npz:{tmp_path / 'one.npz'}")


def test_rotation_is_counter_clockwise(tmp_path):
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    np.savez(tmp_path / "one.npz", images=image[None])
    turned = load(f"rotated:npz:{tmp_path / 'one.npz'}").images[:]
    assert turned[0, :, :, 0].tolist() == [[3, 6], [2, 5], [1, 4]]


def test_four_rotations_are_none(colours):
    turned = load(f"rotated:rotated:rotated:rotated:{colours}")
    assert np.array_equal(turned.images[:], load(colours).images[:])


def test_rotation_drops_labels_and_keeps_clusters(colours):
    assert load(f"rotated:{colours}").labels is None
    clusters = load("photos").clusters
    assert np.array_equal(load("rotated:photos").clusters, clusters)


def test_inversion_exchanges_black_and_white(colours):
    inner = load(colours).images[:]
    negative = load(f"inverted:{colours}").images[:]
    assert negative.dtype == np.uint8
    assert (inner.astype(int) + negative == 255).all()
    grey = load("digits").images
    assert load("inverted:digits").images[:].dtype == np.float32
    assert (load("inverted:digits").images[:] + grey == 1).all()


@pytest.mark.parametrize("spec", ["digits:0-7", "photos", "noise:gaussian"])
def test_inverting_twice_is_the_identity(spec):
    twice, once = load(f"inverted:inverted:{spec}"), load(spec)
    assert np.array_equal(twice.images[:], once.images[:])


def test_inversion_keeps_labels_and_clusters(colours):
    assert load(f"inverted:{colours}").labels.tolist() == list(range(7))
    assert np.array_equal(load("inverted:photos").clusters, load("photos").clusters)


def test_images_of_several_sizes_are_rotated_and_inverted(mixed):
    turned = load(f"rotated:{mixed}").images[:]
    assert [image.shape for image in turned] == [(4, 2, 1), (4, 2, 1), (3, 3, 1)]
    negative = load(f"inverted:{mixed}").images[:]
    assert [int(image[0, 0, 0]) for image in negative] == [255, 195, 135]


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = load(f"inverted:rotated:folder:{tmp_path}").images
    assert len(images) == 1
    with pytest.raises(InputError, match=r"broken\.png"):
        images[:]


def test_jem_interp_joins_each_image_with_one_of_the_next_batch():
    images = load("digits:0-7").images
    found = load("jem_interp:digits:0-7")
    assert len(found.images) == len(images) - 100
    assert found.labels is None
    pairs = found.images.pairs
    assert np.array_equal(pairs[100:, 0], pairs[:-100, 1])
    assert len(np.unique(pairs)) == len(images)
    one, other = (images[number] for number in pairs[7])
    assert np.array_equal(found.images[7:8][0], (one + other) / 2)
    with pytest.raises(InputError, match="needs more than 100 images, and there are 5"):
        load("jem_interp:rows:0-4:digits")

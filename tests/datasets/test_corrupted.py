"""Corruptions of the images of any set."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset
from oodbench.datasets._corruptions import CORRUPTIONS

SHAPE = Shape(3, 32, 32)
KINDS = list(CORRUPTIONS)
RANDOM = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
          "motion_blur", "fog", "elastic"]  # fmt: skip
BLURS = ["gaussian_blur", "defocus_blur", "motion_blur", "pixelate", "elastic"]


@pytest.fixture
def save(tmp_path):
    """Saves images and returns what opens them."""

    def save(images, name="a"):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(len(images)))
        return f"npz:{tmp_path / name}.npz"

    return save


@pytest.fixture
def scenes(save):
    """Three smooth colour images with edges, 24x32."""
    rows, columns = np.mgrid[:24, :32]
    waves = [np.sin(rows / (3 + i)) * np.cos(columns / (4 + i)) for i in range(9)]
    pixels = np.stack(waves, 2).reshape(24, 32, 3, 3).transpose(2, 0, 1, 3)
    return save(np.uint8(60 + 50 * (pixels + (pixels > 0))))


def load(spec):
    return open_dataset(spec).load("test", SHAPE)


def corrupt(pixels, kind, severity, seed=0):
    """Returns pixels `[H, W, C]` corrupted, as the function of a kind does it."""
    function, levels = CORRUPTIONS[kind]
    return function(pixels, levels[severity - 1], np.random.default_rng(seed))


def test_a_corrupted_set_is_the_set_shifted():
    made = open_dataset("corrupted:fog:3:digits:0-7")
    assert made.name == "corrupted:fog:3:digits:0-7"
    assert made.splits == ("train", "val", "test")
    inside = open_dataset("digits:0-7")
    assert made.relative_to(inside).role == "covariate"
    for other in ("photos", "digits:8-9"):
        made = open_dataset(f"corrupted:fog:3:{other}").relative_to(inside)
        assert made.role == "unstated"
    stated = open_dataset("near=corrupted:fog:3:digits:8-9").relative_to(inside)
    assert stated.role == "near"
    assert load("corrupted:fog:3:digits:0-7").labels.tolist() == (
        load("digits:0-7").labels.tolist()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_more_severe_is_further_from_the_image(scenes, kind):
    clean = load(scenes).images[:].astype(float)
    differences = [
        np.abs(load(f"corrupted:{kind}:{severity}:{scenes}").images[:] - clean).mean()
        for severity in range(1, 6)
    ]
    assert differences[0] > 0
    assert (np.diff(differences) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_its_number_alone(scenes, kind):
    images = load(f"corrupted:{kind}:3:{scenes}").images
    whole = images[:]
    assert whole.shape == (3, 24, 32, 3)
    assert whole.dtype == np.uint8
    assert np.array_equal(images[1:2][0], whole[1])
    assert np.array_equal(load(f"corrupted:{kind}:3:{scenes}").images[:], whole)


@pytest.mark.parametrize("kind", RANDOM)
def test_equal_images_are_corrupted_differently(save, kind):
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    one, other = load(f"corrupted:{kind}:5:{save(image.repeat(2, 0))}").images[:]
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "saturate"])
@pytest.mark.parametrize("side", [1, 8])
def test_grey_float_and_tiny_images_keep_type_and_range(kind, side):
    digits = load("digits").images[:2, :side, :side]
    for severity in (1, 5):
        for image in digits:
            changed = corrupt(image.astype(float), kind, severity)
            assert changed.shape == image.shape
            assert np.isfinite(changed).all()
    images = load(f"corrupted:{kind}:5:digits").images[:2]
    assert images.dtype == np.float32
    assert 0 <= images.min() <= images.max() <= 1


def test_grey_images_cannot_be_saturated():
    with pytest.raises(
        InputError, match="saturate changes colours, and the images are"
    ):
        load("corrupted:saturate:1:digits").images[:1]


# --- what each does


@pytest.mark.parametrize("kind", BLURS)
def test_a_blur_leaves_a_plain_image(kind):
    plain = np.full((12, 9, 3), 0.3)
    np.testing.assert_allclose(corrupt(plain, kind, 5), plain, atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian_blur", "defocus_blur", "motion_blur"])
def test_a_blur_shares_out_a_point_and_keeps_colours_apart(kind):
    point = np.zeros((41, 41, 3))
    point[20, 20, 1] = 1
    spread = corrupt(point, kind, 3)
    assert spread.sum((0, 1)) == pytest.approx([0, 1, 0])
    assert spread.max() < 0.5
    # As far to the left as to the right, as far up as down.
    np.testing.assert_allclose(spread, spread[::-1, ::-1], atol=1e-12)


def test_a_defocused_point_is_a_disc():
    point = np.zeros((101, 101, 1))
    point[50, 50] = 1
    disc = corrupt(point, "defocus_blur", 3)[..., 0]  # radius 6.06
    distances = np.hypot(*np.mgrid[-50:51, -50:51])
    assert (disc[distances > 6.6] == 0).all()
    inside = disc[distances < 5.5]
    assert (
        inside.min() == inside.max() == pytest.approx(1 / (np.pi * 6.06**2), rel=0.05)
    )


def test_a_moved_point_is_a_line():
    point = np.zeros((101, 101, 1))
    point[50, 50] = 1
    rows, columns = np.nonzero(corrupt(point, "motion_blur", 4)[..., 0] > 0.02)
    length = np.hypot(np.ptp(rows), np.ptp(columns))
    assert length == pytest.approx(0.2 * 101, abs=3)
    points = np.stack([rows, columns]) - 50
    spread = np.linalg.svd(points, compute_uv=False)
    assert spread[1] < 0.15 * spread[0]


def test_noise_has_its_deviation_and_mean():
    grey = np.full((200, 200, 1), 0.5)
    noise = corrupt(grey, "gaussian_noise", 3) - grey
    assert noise.std() == pytest.approx(0.12, rel=0.02)
    assert (corrupt(grey, "speckle_noise", 3) - grey).std() == pytest.approx(
        0.5 * 0.3, rel=0.02
    )
    shot = corrupt(grey, "shot_noise", 3)
    assert shot.mean() == pytest.approx(0.5, abs=0.003)
    assert shot.var() == pytest.approx(0.5 / 50, rel=0.04)  # mean / photons
    impulse = corrupt(grey, "impulse_noise", 5)
    assert (impulse == 0).mean() == pytest.approx(0.1, abs=0.008)
    assert (impulse == 1).mean() == pytest.approx(0.1, abs=0.008)


def test_noise_is_the_same_at_every_severity_but_for_its_size():
    grey = np.full((4, 4, 1), 0.5)
    weak, strong = (corrupt(grey, "gaussian_noise", s) - grey for s in (1, 5))
    np.testing.assert_allclose(weak / 0.04, strong / 0.26, atol=1e-12)


def test_pixels_become_the_means_of_squares():
    image = np.arange(16.0).reshape(4, 4, 1) / 16
    blocks = corrupt(image, "pixelate", 3)[..., 0] * 16  # 4 · 0.5 = 2 squares a side
    expected = np.array([[2.5, 4.5], [10.5, 12.5]]).repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(blocks, expected, atol=1e-5)


def test_jpeg_is_that_of_pillow(scenes):
    image = load(scenes).images[0:1][0]
    Image.fromarray(image).save(file := io.BytesIO(), "jpeg", quality=35)
    found = load(f"corrupted:jpeg:3:{scenes}").images[0:1][0]
    assert np.array_equal(found, np.asarray(Image.open(file)))


def test_contrast_brightness_and_colour_by_hand():
    image = np.array([[[0.0, 0.2, 1.0], [1.0, 0.4, 1.0]]])
    low = corrupt(image, "contrast", 2)  # half the distance to 0.5, 0.3 and 1
    np.testing.assert_allclose(low, [[[0.25, 0.25, 1.0], [0.75, 0.35, 1.0]]])
    np.testing.assert_allclose(corrupt(image, "brightness", 2), image + 0.2)
    red = np.array([[[1.0, 0.0, 0.0], [0.6, 0.6, 0.6]]])
    strong = corrupt(red, "saturate", 2)  # grey is 0.299; twice the distance
    np.testing.assert_allclose(strong, [[[1.701, -0.299, -0.299], [0.6, 0.6, 0.6]]])


def test_fog_is_white_and_of_its_density():
    white, black = np.ones((16, 16, 3)), np.zeros((16, 16, 3))
    np.testing.assert_allclose(corrupt(white, "fog", 5), white)
    clouds = corrupt(black, "fog", 3)
    assert clouds.min() == pytest.approx(0.25)
    assert clouds.max() == pytest.approx(0.5)
    assert (clouds[..., 0] == clouds[..., 1]).all()
    steps = np.abs(np.diff(clouds[..., 0], axis=0)).mean()
    assert steps < 0.5 * clouds[..., 0].std()  # neighbours are alike


# --- texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mist:3:digits", "no corruption 'mist'"),
        ("", "no corruption ''"),
        ("fog:6:digits", "severity of fog must be 1 to 5, not '6'"),
        ("fog:digits", "must be 1 to 5, not 'digits'"),
        ("fog:3", "corrupted:fog:3 needs a set to work on"),
    ],
)
def test_a_wrong_corruption_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        open_dataset(f"corrupted:{text}")


def test_the_key_of_files_depends_on_kind_and_severity(tmp_path):
    Image.new("L", (4, 4), 99).save(tmp_path / "a.png")
    keys = {
        open_images(
            open_dataset(f"corrupted:{text}:folder:{tmp_path}"), "test", SHAPE
        ).key
        for text in ("fog:1", "fog:2", "jpeg:1", "contrast:1")
    }
    assert len(keys) == 4


def test_the_page_lists_every_corruption_with_its_constants():
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| .+ \| ([\d., ]+) \|$", page, re.MULTILINE)
    listed = {name: tuple(map(float, text.split(", "))) for name, text in rows}
    assert listed == {name: each.levels for name, each in CORRUPTIONS.items()}


@pytest.mark.parametrize(
    ("spec", "grade"),
    [
        ("corrupted:fog:3:digits:0-7", ("corrupted:fog:digits:0-7", 3)),
        ("shifted=corrupted:fog:4:digits:0-7", ("corrupted:fog:digits:0-7", 4)),
        ("cifar10c:fog:2", ("cifar10c:fog", 2)),
        ("imagenet_c:snow:5", ("imagenet_c:snow", 5)),
        ("classes:3:cifar10c:fog:2", ("classes:3:cifar10c:fog", 2)),
    ],
)
def test_a_set_of_one_severity_has_a_place_in_a_series(spec, grade):
    assert open_dataset(spec).grade == (*grade, "severity")


@pytest.mark.parametrize("spec", ["cifar10c:fog", "imagenet_c", "inverted:digits:0-7"])
def test_a_set_of_several_severities_or_none_has_no_place(spec):
    assert open_dataset(spec).grade is None

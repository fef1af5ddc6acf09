"""Sets in files: NumPy archives and folders of images."""

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageOps

from oodbench import InputError, Shape
from oodbench.data.image_files import ImageFiles
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 8, 8)
GREY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
COLOUR = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def load(spec):
    return open_dataset(spec).load("test", SHAPE)


class Archive:
    """Saves arrays and opens them."""

    def __init__(self, folder):
        self.path = folder / "shots.npz"

    def __call__(self, **arrays):
        np.savez(self.path, **arrays)
        return self.load()

    def load(self):
        return load(f"npz:{self.path}")


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_an_archive_is_called_by_its_stem(archive):
    archive(images=GREY)
    dataset = open_dataset(f"npz:{archive.path}")
    assert dataset.name == "shots"
    assert dataset.role == "unstated"
    assert dataset.splits == ("test",)


def test_an_archive_gives_images_and_labels(archive):
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    split = archive(images=images, labels=np.array([4, 0], np.uint8))
    assert np.array_equal(split.images[:], images)
    assert split.labels.tolist() == [4, 0]
    assert split.labels.dtype == np.int64


def test_an_archive_without_labels_has_none(archive):
    assert archive(images=GREY, names=np.array(["a", "b"])).labels is None


def test_grey_images_get_a_channel(archive):
    images = archive(images=GREY).images[:]
    assert images.shape == (2, 3, 4, 1)
    assert np.array_equal(images[..., 0], GREY)


def test_images_in_fortran_order_are_put_into_c_order(archive):
    images = archive(images=np.asfortranarray(GREY)).images[:]
    assert images.flags.c_contiguous
    assert np.array_equal(images[..., 0], GREY)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": GREY}, "no array `images` but pictures"),
        ({"labels": np.arange(2)}, "no array `images` but labels"),
        ({}, "no array `images` but nothing"),
        ({"images": GREY.astype(np.float32)}, "are float32; save them as uint8"),
        ({"images": GREY[0]}, r"have shape \(3, 4\)"),
        ({"images": GREY[None, None]}, r"have shape \(1, 1, 2, 3, 4\)"),
        ({"images": GREY[None]}, r"have shape \(1, 2, 3, 4\); .* 1 or 3 channels"),
        ({"images": GREY[:0]}, "are empty"),
        ({"images": GREY[:, :0]}, "are empty"),
        ({"images": GREY, "labels": np.arange(3)}, r"shape \(3,\), and there are 2"),
        ({"images": GREY, "labels": np.zeros((2, 1), int)}, r"have shape \(2, 1\)"),
        ({"images": GREY, "labels": np.array(1)}, r"have shape \(\)"),
        ({"images": GREY, "labels": np.array([0.0, 1])}, "are float64"),
        ({"images": GREY, "labels": np.array([True, False])}, "are bool"),
        ({"images": GREY, "labels": np.array(["a", "b"])}, "are <U1"),
        ({"images": np.array([None])}, "cannot be read as a NumPy archive"),
        (
            {"images": GREY, "labels": np.array([0, None])},
            "cannot be read as a NumPy archive",
        ),
    ],
)
def test_arrays_of_another_kind_are_refused(archive, arrays, message):
    with pytest.raises(InputError, match=message):
        archive(**arrays)


@pytest.mark.parametrize("spec", ["npz", "npz:", "npz:/nowhere/shots.npz"])
def test_a_missing_archive_is_refused(spec):
    with pytest.raises(InputError, match=r"There is no file '.*'; write npz:PATH"):
        open_dataset(spec)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x80\x04K\x01."])
def test_a_file_that_is_no_archive_is_refused(archive, content):
    archive.path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        archive.load().images[:]


def test_a_single_array_is_refused(archive):
    with archive.path.open("wb") as file:
        np.save(file, GREY)
    with pytest.raises(InputError, match="it is a single array"):
        archive.load()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(archive, share):
    archive(images=GREY)
    content = archive.path.read_bytes()
    archive.path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        archive.load()


def test_an_archive_with_a_flipped_bit_is_refused(archive):
    np.savez_compressed(archive.path, images=np.zeros((50, 8, 8), np.uint8))
    with zipfile.ZipFile(archive.path) as found:
        middle = found.infolist()[0].compress_size // 2
    content = bytearray(archive.path.read_bytes())
    content[30 + len("images.npy") + middle] ^= 1
    archive.path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        archive.load().images[:]


def test_labels_of_an_archive_may_be_any_integers(archive):
    split = archive(images=GREY, labels=np.array([-1, 300]))
    assert split.labels.tolist() == [-1, 300]


def test_a_folder_or_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for place in (tmp_path, tmp_path / "pipe.npz"):
        with pytest.raises(InputError, match="is no regular file"):
            open_dataset(f"npz:{place}")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_of_an_archive_are_read_in_any_order(tmp_path, save):
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 6), dtype=np.uint8)
    save(tmp_path / "shots.npz", images=images)
    found = load(f"npz:{tmp_path / 'shots.npz'}").images
    for start, stop in [(0, 3), (35, 99), (3, 7), (7, 8), (0, 40), (9, 9)]:
        assert np.array_equal(found[start:stop][..., 0], images[start:stop])
    assert np.array_equal(pickle.loads(pickle.dumps(found))[4:6], found[4:6])


def test_a_few_images_of_a_large_archive_need_little_memory(tmp_path):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, images=np.zeros((2000, 256, 256), np.uint8))
    tracemalloc.start()
    images = load(f"npz:{path}").spread(4).images[0:4]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(images) == 4
    assert most < 4e7  # of 131 MB


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2**40, 8, 8), "|u1"),
        ((1, 2**31, 2**31), "|u1"),
        ((-1, -8, 8), "|u1"),
        ((3, 8, 8), "|u1"),
        ((2, 8, 8), "|O"),
        ((2**62, 2**62, 1), "|u1"),
    ],
)
@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_header_that_states_what_is_not_there_is_refused(
    tmp_path, shape, dtype, name
):
    path = tmp_path / "bad.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        for array in ("images", "labels"):
            good = io.BytesIO()
            np.save(good, np.zeros((2, 8, 8) if array == "images" else 2, np.uint8))
            bad = header.getvalue() + bytes(128)
            archive.writestr(f"{array}.npy", bad if array == name else good.getvalue())
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        load(f"npz:{path}").images[:]


@pytest.fixture
def altered(archive):
    """An archive whose checksum is wrong."""
    archive(images=np.zeros((9, 90, 120), np.uint8))
    content = bytearray(archive.path.read_bytes())
    content[5000] ^= 1
    archive.path.write_bytes(content)
    return archive


def test_the_shape_of_an_archive_needs_no_image(altered):
    assert native_shape(open_dataset(f"npz:{altered.path}")) == (1, 90, 120)


@pytest.mark.parametrize("places", ["", "8", "012345678", "218", "708"])
def test_an_altered_archive_is_found_with_its_last_image(altered, places):
    images = altered.load().images
    chunks = [slice(int(one), int(one) + 1) for one in places] or [slice(None)]
    for chunk in chunks[:-1]:
        images[chunk]
    with pytest.raises(InputError, match="Bad CRC"):
        images[chunks[-1]]


def save(path, pixels=COLOUR, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    image.convert(mode).save(path) if mode else image.save(path)


def test_a_folder_is_called_by_its_name(tmp_path, monkeypatch):
    save(tmp_path / "shots" / "a.png")
    dataset = open_dataset(f"folder:{tmp_path / 'shots'}")
    assert (dataset.name, dataset.role, dataset.splits) == (
        "shots",
        "unstated",
        ("test",),
    )
    monkeypatch.chdir(tmp_path / "shots")
    assert open_dataset("folder:.").name == "shots"


def test_images_alone_are_sorted_and_have_no_labels(tmp_path):
    for name, value in (("b.png", 2), ("a.PNG", 1), ("c.bmp", 3)):
        save(tmp_path / name, np.full((4, 5), value, np.uint8))
    split = load(f"folder:{tmp_path}")
    assert split.labels is None
    assert len(split.images) == 3
    assert split.images[:].shape == (3, 4, 5, 1)
    assert split.images[:].flags.c_contiguous
    assert split.images[:][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert split.images[1:9][:, 0, 0, 0].tolist() == [2, 3]


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    for name in ("2/z.png", "10/y.png", "10/x.png", "10/deep/er/w.png", "a/v.png"):
        save(tmp_path / name)
    split = load(f"folder:{tmp_path}")
    found = [path.relative_to(tmp_path).as_posix() for path in split.images.paths]
    assert found == ["10/deep/er/w.png", "10/x.png", "10/y.png", "2/z.png", "a/v.png"]
    assert split.labels.tolist() == [0, 0, 0, 1, 2]
    assert split.labels.dtype == np.int64


def test_hidden_and_other_files_are_left_out(tmp_path):
    for name in ("cat/a.png", "cat/.b.png", "cat/.old/c.png", ".git/d.png", ".e.png"):
        save(tmp_path / name)
    (tmp_path / "labels.csv").write_text("a,1")
    (tmp_path / "cat" / "notes.txt").write_text("a cat")
    split = load(f"folder:{tmp_path}")
    assert [path.name for path in split.images.paths] == ["a.png"]


def test_images_of_several_sizes_come_as_a_list(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", COLOUR[:2])
    save(tmp_path / "c.png", COLOUR[..., 0])
    images = load(f"folder:{tmp_path}").images
    assert [image.shape for image in images[:]] == [(4, 4, 3), (2, 4, 3), (4, 4, 1)]
    assert np.array_equal(images[:1], COLOUR[None])
    assert len(images[3:]) == 0


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("LA", 3), ("P", 3)],
)
def test_modes_become_grey_or_rgb(tmp_path, mode, channels):
    save(tmp_path / "a.png", mode=mode)
    images = load(f"folder:{tmp_path}").images[:]
    assert images.shape == (1, 4, 4, channels)
    assert images.dtype == np.uint8


def test_cmyk_becomes_rgb(tmp_path):
    save(tmp_path / "a.tif", mode="CMYK")
    assert np.array_equal(load(f"folder:{tmp_path}").images[0:1][0], COLOUR)


def test_bilevel_images_are_black_and_white(tmp_path):
    save(tmp_path / "a.png", np.array([[False, True]]))
    assert load(f"folder:{tmp_path}").images[:].ravel().tolist() == [0, 255]


def test_sixteen_bits_are_kept(tmp_path):
    save(tmp_path / "a.png", np.array([[0, 1, 32768, 65535]], np.uint16))
    images = load(f"folder:{tmp_path}").images[:]
    assert images.dtype == np.float32
    expected = np.float32([0, 1 / 65535, 32768 / 65535, 1])
    assert np.array_equal(images.ravel(), expected)


def test_transparent_images_are_composited_over_white(tmp_path):
    alpha = np.array([[0, 51], [102, 255]], np.uint8)
    colour = np.full((2, 2, 3), 100, np.uint8)
    save(tmp_path / "a.png", np.concatenate([colour, alpha[..., None]], axis=2))
    Image.merge("LA", [Image.fromarray(a) for a in (colour[..., 0], alpha)]).save(
        tmp_path / "b.png"
    )
    one, other = load(f"folder:{tmp_path}").images[:]
    # 255 - alpha/255 · 155
    assert one[..., 0].tolist() == [[255, 224], [193, 100]]
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("pixels", "white"),
    [
        (np.array([[0, 9]], np.uint8), 255),
        (np.array([[0, 9]], np.uint16), 1.0),
        (np.array([[False, True]]), 255),
        (np.array([[[0, 0, 0], [9, 9, 9]]], np.uint8), 255),
    ],
)
def test_one_transparent_value_becomes_white(tmp_path, pixels, white):
    clear = (0, 0, 0) if pixels.ndim == 3 else 0
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=clear)
    found = load(f"folder:{tmp_path}").images[:][0]
    assert (found[0, 0] == white).all()
    if pixels.dtype == np.uint8:
        assert (found[0, 1] == 9).all()


def test_transparent_palettes_are_composited_over_white(tmp_path):
    palette = Image.fromarray(np.zeros((2, 2), np.uint8), "P")
    palette.putpalette([9, 8, 7])
    palette.save(tmp_path / "a.png", transparency=0)
    palette.save(tmp_path / "b.gif")
    one, other = load(f"folder:{tmp_path}").images[:]
    assert (one == 255).all()
    assert (other == (9, 8, 7)).all()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_images_are_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOUR[:2]).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    dataset = open_dataset(f"folder:{tmp_path}")
    (found,) = dataset.load("test", SHAPE).images[:]
    assert np.array_equal(found, expected)
    assert native_shape(dataset) == (3, *expected.shape[:2])


def test_an_orientation_of_six_is_a_turn_to_the_right(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.array([[10, 20, 30]], np.uint8))
    image.save(tmp_path / "a.png", exif=exif)
    (found,) = load(f"folder:{tmp_path}").images[:]
    assert found[..., 0].tolist() == [[10], [20], [30]]


@pytest.mark.parametrize("array", [COLOUR, COLOUR[..., 0], np.uint16(COLOUR[..., 0])])
def test_the_shape_of_a_folder_is_that_of_its_first_image(tmp_path, array):
    save(tmp_path / "a" / "z.png", array[:3])
    save(tmp_path / "b" / "a.png")
    (tmp_path / "b" / "b.png").write_bytes(b"broken")
    dataset = open_dataset(f"folder:{tmp_path}")
    image = dataset.load("test", SHAPE).images[0:1][0]
    assert native_shape(dataset) == (image.shape[2], *image.shape[:2])


def test_pipes_and_folders_with_the_name_of_an_image_are_passed_over(tmp_path):
    save(tmp_path / "cat" / "a.png")
    os.mkfifo(tmp_path / "cat" / "b.png")
    (tmp_path / "cat" / "c.png").mkdir()
    (tmp_path / "cat" / "d.png").symlink_to("/dev/zero")
    (tmp_path / "cat" / "e.png").symlink_to("nowhere")
    assert len(load(f"folder:{tmp_path}").images) == 1
    with pytest.raises(InputError, match=r"b.png .*no regular file"):
        ImageFiles([tmp_path / "cat" / "b.png"])[0:1]


def test_linked_folders_are_followed_once(tmp_path):
    save(tmp_path / "set" / "cat" / "a.png")
    save(tmp_path / "store" / "b.png")
    save(tmp_path / "store" / "deep" / "c.png")
    links = {"set/cat/more": "store", "set/cat/again": "store", "set/cat/up": "set/cat"}
    for link, target in {
        **links,
        "store/deep/top": "store",
        "set/dog": "store",
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    split = load(f"folder:{tmp_path / 'set'}")
    assert [path.name for path in split.images.paths] == [
        *("a.png", "b.png", "c.png"),
        *("b.png", "c.png"),
    ]
    assert split.labels.tolist() == [0, 0, 0, 1, 1]
    assert split.class_names == ("cat", "dog")


def test_folders_called_train_and_test_are_splits(tmp_path):
    save(tmp_path / "set" / "train" / "cat" / "a.png")
    save(tmp_path / "set" / "test" / "cat" / "b.png")
    save(tmp_path / "set" / "test" / "dog" / "c.png", COLOUR[:1])
    (tmp_path / "set" / "readme.txt").touch()
    dataset = open_dataset(f"folder:{tmp_path / 'set'}")
    assert dataset.splits == ("train", "test")
    assert dataset.load("test", SHAPE).labels.tolist() == [0, 1]
    assert dataset.load("train", SHAPE).labels.tolist() == [0]
    assert native_shape(dataset) == (3, 4, 4)
    assert dataset.name == "set"


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bicycle", "train"):
        save(tmp_path / name / "a.png")
    dataset = open_dataset(f"folder:{tmp_path}")
    assert dataset.splits == ("test",)
    assert dataset.load("test", SHAPE).class_names == ("bicycle", "train")


def test_images_that_cannot_be_read_are_left_out_and_counted(tmp_path, caplog):
    for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        save(tmp_path / name)
    for name in ("cat/a.png", "dog/d.png"):
        (tmp_path / name).write_bytes(b"no image")
    spec = f"folder:{tmp_path}"
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        open_images(open_dataset(spec), "test", SHAPE).split.images[0:1]
    dataset = open_dataset(spec, skip_unreadable=True)
    assert native_shape(dataset) == (3, 4, 4)
    caplog.clear()
    found = open_images(dataset, "test", SHAPE)
    assert found.count == 2
    assert found.split.labels.tolist() == [0, 1]
    (message,) = caplog.messages
    assert "2 of 4 images" in message
    assert "a.png cannot be read" in message
    assert len(found.split.images[0:2]) == 2


def test_images_beside_folders_are_refused(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "cat" / "b.png")
    with pytest.raises(
        InputError, match=r"such as a.png, and also folders, such as cat"
    ):
        load(f"folder:{tmp_path}")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"has no images \(.bmp, "):
        load(f"folder:{tmp_path}")


def test_an_empty_class_is_refused(tmp_path):
    save(tmp_path / "cat" / "a.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="dog has no images"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("spec", ["folder", "folder:", "folder:/nowhere/shots"])
def test_a_missing_folder_is_refused(spec):
    with pytest.raises(InputError, match=r"There is no folder '.*'; write folder:PATH"):
        open_dataset(spec)


def test_a_folder_that_vanishes_is_refused(tmp_path):
    place = tmp_path / "shots"
    place.mkdir()
    dataset = open_dataset(f"folder:{place}")
    place.rmdir()
    with pytest.raises(InputError, match="cannot be read"):
        dataset.load("test", SHAPE)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"])
def test_a_truncated_image_is_refused_by_name(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    save(tmp_path / f"a.{suffix}", noise)
    save(tmp_path / f"b.{suffix}", noise)
    content = (tmp_path / f"b.{suffix}").read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(content[: len(content) // 2])
    images = load(f"folder:{tmp_path}").images
    assert len(images[:1]) == 1
    with pytest.raises(InputError, match=rf"b.{suffix} cannot be read as an image"):
        images[:]


def test_images_above_the_limit_of_pixels_are_refused_by_name(tmp_path, monkeypatch):
    save(tmp_path / "bomb.png")
    monkeypatch.setenv("OODBENCH_MAX_PIXELS", "15")
    message = "bomb.png .* 4 x 4 pixels, more than the limit of 15, .*OODBENCH_MAX_PIX"
    with pytest.raises(InputError, match=message):
        load(f"folder:{tmp_path}").images[:]
    np.savez(tmp_path / "bomb.npz", images=COLOUR[None])
    with pytest.raises(InputError, match="4 x 4 pixels, more than the limit of 15"):
        load(f"npz:{tmp_path / 'bomb.npz'}")
    monkeypatch.setenv("OODBENCH_MAX_PIXELS", "16")
    assert len(load(f"folder:{tmp_path}").images[:]) == 1
    monkeypatch.setenv("OODBENCH_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="OODBENCH_MAX_PIXELS must be a number"):
        load(f"folder:{tmp_path}").images[:]


def test_pillows_own_limit_is_left_as_it_was(tmp_path, monkeypatch):
    save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    assert len(load(f"folder:{tmp_path}").images[:]) == 1
    assert Image.MAX_IMAGE_PIXELS == 7


def test_pixels_without_a_range_are_refused(tmp_path):
    save(tmp_path / "a.tif", np.ones((2, 2), np.float32))
    with pytest.raises(InputError, match=r"a.tif .* 32-bit pixels"):
        load(f"folder:{tmp_path}").images[:]

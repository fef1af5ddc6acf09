"""Sets in files: NumPy archives and folders of images."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
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
    assert np.array_equal(split.images, images)
    assert split.labels.tolist() == [4, 0]
    assert split.labels.dtype == np.int64


def test_an_archive_without_labels_has_none(archive):
    assert archive(images=GREY, names=np.array(["a", "b"])).labels is None


def test_grey_images_get_a_channel(archive):
    images = archive(images=GREY).images
    assert images.shape == (2, 3, 4, 1)
    assert np.array_equal(images[..., 0], GREY)


def test_images_in_fortran_order_are_put_into_c_order(archive):
    images = archive(images=np.asfortranarray(GREY)).images
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
        ({"images": GREY, "labels": np.array([0, -1])}, "go down to -1"),
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


@pytest.mark.parametrize("spec", ["npz", "npz:", "npz:/nowhere/shots.npz", "npz:/"])
def test_a_missing_archive_is_refused(spec):
    with pytest.raises(InputError, match=r"There is no file '.*'; write npz:PATH"):
        open_dataset(spec)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x80\x04K\x01."])
def test_a_file_that_is_no_archive_is_refused(archive, content):
    archive.path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        archive.load()


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
        archive.load()


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


def test_transparency_is_dropped(tmp_path):
    opaque = np.full((4, 4, 1), 255, np.uint8)
    clear = np.zeros((4, 4, 1), np.uint8)
    save(tmp_path / "a.png", np.concatenate([COLOUR, opaque], axis=2))
    save(tmp_path / "b.png", np.concatenate([COLOUR, clear], axis=2))
    palette = Image.fromarray(COLOUR).convert("P")
    palette.save(tmp_path / "c.png", transparency=bytes(range(200)))
    one, other, third = load(f"folder:{tmp_path}").images[:]
    assert np.array_equal(one, COLOUR)
    assert np.array_equal(other, COLOUR)
    assert np.array_equal(third, np.asarray(palette.convert("RGB")))


def test_the_orientation_in_exif_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(COLOUR[:2]).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(load(f"folder:{tmp_path}").images[:], COLOUR[None, :2])


def test_images_beside_folders_are_refused(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "cat" / "b.png")
    with pytest.raises(InputError, match=r"such as a.png, beside folders, such as cat"):
        load(f"folder:{tmp_path}")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"holds no images \(.bmp, "):
        load(f"folder:{tmp_path}")


def test_an_empty_class_is_refused(tmp_path):
    save(tmp_path / "cat" / "a.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="dog holds no images"):
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


def test_a_decompression_bomb_is_refused_by_name(tmp_path, monkeypatch):
    save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with pytest.raises(InputError, match=r"bomb.png .* decompression bomb"):
        load(f"folder:{tmp_path}").images[:]


def test_pixels_without_a_range_are_refused(tmp_path):
    save(tmp_path / "a.tif", np.ones((2, 2), np.float32))
    with pytest.raises(InputError, match=r"a.tif .* 32-bit pixels"):
        load(f"folder:{tmp_path}").images[:]

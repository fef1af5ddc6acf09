"""Shards of WebDataset."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset

SHAPE = Shape(1, 2, 2)


def png(level):
    Image.new("L", (2, 2), level).save(file := io.BytesIO(), "png")
    return file.getvalue()


def shard(path, mode="w", **members):
    """Writes a tar file; `__` in a member's name stands for its dot."""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            member = tarfile.TarInfo(f"x.y/{name.replace('__', '.')}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def load(spec):
    return open_dataset(spec).load("test", SHAPE)


def levels(split):
    return [int(image[0, 0, 0]) for image in split.images[:]]


def test_samples_have_an_image_and_a_class(tmp_path):
    path = shard(
        tmp_path / "a.tar",
        a__cls=b"3\n", a__png=png(10), a__seg__png=png(99),
        b__PNG=png(20), b__json=b'{"label": 0, "text": "b"}',
        c__png=png(30), c__json=b'{"cls": 1}',
        notes__txt=b"no image",
    )  # fmt: skip
    split = load(f"webdataset:{path}")
    assert levels(split) == [10, 20, 30]
    assert split.labels.tolist() == [3, 0, 1]
    assert levels(split.pick(np.array([2, 0]))) == [30, 10]


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path):
    for number in (8, 9, 10):
        shard(tmp_path / f"s-{number:02}.tar", a__png=png(number))
    dataset = open_dataset(f"webdataset:{tmp_path}/s-{{08..10}}.tar")
    assert dataset.name == "s-{08..10}"
    assert native_shape(dataset) == (1, 2, 2)
    split = dataset.load("test", SHAPE)
    assert levels(split) == [8, 9, 10]
    assert split.labels is None
    found = open_images(dataset, "test", SHAPE)
    assert found.digests is None
    assert (
        found.key
        != open_images(
            open_dataset(f"webdataset:{tmp_path}/s-{{08..09}}.tar"), "test", SHAPE
        ).key
    )


def test_only_the_image_that_is_asked_for_is_decoded(tmp_path):
    path = shard(tmp_path / "a.tar", a__png=png(1), b__png=b"broken")
    images = load(f"webdataset:{path}").images
    assert len(images[0:1]) == 1
    with pytest.raises(InputError, match=r"x\.y/b in .*a\.tar cannot be read as an im"):
        images[1:2]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a__png": png(0), "a__cls": b"cat"}, r"a\.cls in .* must hold a class numb"),
        ({"a__png": png(0), "a__json": b'{"label": 1.5}'}, r"a\.json in .* must hold"),
        ({"a__png": png(0), "a__json": b"[1"}, r"a\.json in .* must hold"),
        ({"a__png": png(0), "a__jpg": png(0)}, r"has 2 images \(png, jpg\)"),
        ({"a__png": png(0), "a__cls": b"1", "b__png": png(0)}, "b in .* no class num"),
        ({"a__txt": b""}, "holds no images"),
    ],
)
def test_a_shard_that_cannot_be_understood_is_one_sentence(tmp_path, members, message):
    path = shard(tmp_path / "a.tar", **members)
    with pytest.raises(InputError, match=message):
        load(f"webdataset:{path}")


def test_a_shard_that_is_compressed_cut_or_missing_is_one_sentence(tmp_path):
    path = shard(tmp_path / "a.tar", "w:gz", a__png=png(0))
    with pytest.raises(InputError, match="as an uncompressed tar file"):
        load(f"webdataset:{path}")
    shard(path, a__png=png(0) + bytes(5000))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="as an uncompressed tar file"):
        load(f"webdataset:{path}")
    with pytest.raises(InputError, match=r"no file '.*s-1\.tar'; write webdataset:"):
        open_dataset(f"webdataset:{tmp_path}/s-{{1..2}}.tar")
    with pytest.raises(InputError, match="must rise"):
        open_dataset("webdataset:s-{2..1}.tar")

"""Sets in image files: small archives in the layouts of the real ones."""

import gzip
import io
import json
import shutil
import sys

import numpy as np
import pytest
import scipy.io
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import open_images
from oodbench.data.sources.presence import origins
from oodbench.data.spec import open_dataset
from oodbench.testing import DATASET_CHECKS

SHAPE = Shape(3, 8, 8)


def image(level, mode="RGB", size=(3, 2)):
    """Returns an image file of one colour, by whose level it is recognised."""
    colour = (level,) * 3 if mode == "RGB" else level
    Image.new(mode, size, colour).save(file := io.BytesIO(), "png")
    return file.getvalue()


def mat(**arrays):
    scipy.io.savemat(file := io.BytesIO(), arrays)
    return file.getvalue()


def seen(split):
    """Returns the levels of a split's images."""
    return [int(split.images[i : i + 1][0].flat[0]) for i in range(len(split.images))]


LOOSE = {
    "places365": ("places365/val_256.tar", "val_256/Places365_val_0000000{0}.jpg"),
    "sun397": ("sun397/SUN397.tar.gz", "SUN397/a/abbey/sun_{0}.jpg"),
    "imagenet_o": ("imagenet_o/imagenet-o.tar", "imagenet-o/n0{0}/x.JPEG"),
    "ssb_hard": ("ssb_hard/ssb_hard.zip", "n0{0}/x.JPEG"),
    "openimage_o": ("openimage_o/OpenImage-O.zip", "images/{0}.jpg"),
    "inaturalist": ("inaturalist/iNaturalist.tar.gz", "iNaturalist/images/{0}.jpg"),
    "mos_sun": ("mos_sun/SUN.tar.gz", "SUN/images/{0}.jpg"),
    "mos_places": ("mos_places/Places.tar.gz", "Places/images/{0}.jpg"),
    "tin_crop": ("tin_crop/Imagenet.tar.gz", "Imagenet/test/{0}.png"),
    "tin_resize": (
        "tin_resize/Imagenet_resize.tar.gz",
        "Imagenet_resize/Imagenet_resize/{0}.png",
    ),
    "lsun_crop": ("lsun_crop/LSUN.tar.gz", "LSUN/test/{0}.png"),
    "lsun_resize": ("lsun_resize/LSUN_resize.tar.gz", "LSUN_resize/{0}.png"),
    "isun": ("isun/iSUN.tar.gz", "iSUN/iSUN_patches/{0}.jpeg"),
}


@pytest.mark.parametrize("name", LOOSE)
def test_images_without_labels_are_in_the_order_of_their_names(name, put, packed):
    archive, place = LOOSE[name]
    files = {place.format(i): image(10 * i) for i in (3, 1, 2)}
    files[f"{place.format(1).rpartition('/')[0]}/._1.jpg"] = b"of a Mac"
    put(name, packed(archive, {**files, "readme.txt": b""}))
    dataset = open_dataset(name)
    found = dataset.load("test", SHAPE)
    assert seen(found) == [10, 20, 30]
    assert found.labels is None
    assert dataset.splits == ("test",)


CLASSES = {
    "eurosat": ("eurosat/EuroSAT.zip", "2750/{0}/{0}_{1}.jpg"),
    "texture": ("dtd/dtd-r1.0.1.tar.gz", "dtd/images/{0}/{0}_000{1}.jpg"),
    "textures": ("dtd/dtd-r1.0.1.tar.gz", "dtd/images/{0}/{0}_000{1}.jpg"),
    "imagenet_a": ("imagenet_a/imagenet-a.tar", "imagenet-a/{0}/{1}.jpg"),
    "imagenet_r": ("imagenet_r/imagenet-r.tar", "imagenet-r/{0}/art_{1}.jpg"),
    "imagenet_es": ("imagenet_es/imagenet_es.zip", "es-test/auto/l1/p1/{0}/{1}.JPEG"),
    "ninco": ("ninco/NINCO_all.tar.gz", "NINCO/NINCO_OOD_classes/{0}/{1}.jpg"),
    "chars74k": ("chars74k/EnglishImg.tgz", "English/Img/GoodImg/Bmp/{0}/{1}.png"),
    "notmnist": ("notmnist/notMNIST_small.zip", "notMNIST_small/{0}/{1}.png"),
    "notmnist:large": ("notmnist/notMNIST_large.zip", "notMNIST_large/{0}/{1}.png"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_folders_in_the_order_of_their_names(name, put, packed):
    archive, place = CLASSES[name]
    files = {
        place.format("bb", 1): image(30),
        place.format("aa", 2): image(20),
        place.format("aa", 1): image(10),
    }
    put(name.partition(":")[0], packed(archive, files))
    if name == "textures":
        put("_dtd", {})
    found = open_dataset(name).load("test", SHAPE)
    assert seen(found) == [10, 20, 30]
    assert found.labels.tolist() == [0, 0, 1]
    assert found.class_names == ("aa", "bb")


def test_textures_leave_out_the_classes_that_overlap_imagenet(put, packed):
    names = ["banded", "bubbly", "cobwebbed", "honeycombed", "spiralled", "veined"]
    files = {f"dtd/images/{n}/{n}_0001.jpg": image(i) for i, n in enumerate(names)}
    for module in ("texture", "textures"):
        put(module, packed("dtd/dtd-r1.0.1.tar.gz", files))
    assert seen(open_dataset("texture").load("test", SHAPE)) == [0, 1, 2, 3, 4, 5]
    assert seen(open_dataset("textures").load("test", SHAPE)) == [0, 5]


def test_the_other_sets_in_an_archive_are_left_out(put, packed):
    files = {
        "NINCO/NINCO_OOD_classes/a/1.jpg": image(1),
        "NINCO/NINCO_popular_datasets_subsamples/b/1.jpg": image(2),
    }
    put("ninco", packed("ninco/NINCO_all.tar.gz", files))
    assert seen(open_dataset("ninco").load("test", SHAPE)) == [1]
    files = {
        "es-test/auto/l1/p1/n01/1.JPEG": image(1),
        "es-test/sampled_tin_no_resize2/n01/1.JPEG": image(2),
    }
    put("imagenet_es", packed("imagenet_es/imagenet_es.zip", files))
    assert seen(open_dataset("imagenet_es").load("test", SHAPE)) == [1]


def test_imagenet_v2_has_the_numbers_of_its_folders(put, packed):
    files = {f"imagenet_v2/{n}/x.jpeg": image(n % 256) for n in (7, 10, 999)}
    put("imagenet_v2", packed("imagenet_v2/imagenet_v2.zip", files))
    found = open_dataset("imagenet_v2").load("test", SHAPE)
    assert found.labels.tolist() == [10, 7, 999]
    assert seen(found) == [10, 7, 999 % 256]


def test_characters_of_omniglot_are_classes(put, packed):
    path = "images_{0}/Greek/character0{1}/0{1}_1.png"
    put(
        "omniglot",
        {
            **packed(
                "omniglot/images_background.zip",
                {path.format("background", i): image(i, "L") for i in (1, 2)},
            ),
            **packed(
                "omniglot/images_evaluation.zip",
                {path.format("evaluation", 3): image(3, "L")},
            ),
        },
    )
    assert seen(open_dataset("omniglot").load("test", SHAPE)) == [1, 2, 3]
    part = open_dataset("omniglot:background")
    assert (part.name, seen(part.load("test", SHAPE))) == (
        "omniglot:background",
        [1, 2],
    )
    assert part.load("test", SHAPE).labels.tolist() == [0, 1]
    with pytest.raises(InputError, match="omniglot:small is no part of omniglot"):
        open_dataset("omniglot:small")


def test_images_of_notmnist_that_cannot_be_read_are_left_out(put, packed, caplog):
    place = "notMNIST_small/A/{0}.png"
    files = {place.format(1): b"", place.format(2): image(2, "L", (28, 28))}
    put("notmnist", packed("notmnist/notMNIST_small.zip", files))
    found = open_images(open_dataset("notmnist"), "test", Shape(1, 28, 28))
    assert seen(found.split) == [2]
    assert "1 of 2 images of notmnist are left out" in caplog.text


def test_the_official_splits_of_gtsrb(put, packed):
    rows = "Filename;Width;ClassId\n00001.ppm;3;1\n00000.ppm;3;0\n"
    test = {f"GTSRB/Final_Test/Images/0000{i}.ppm": image(i) for i in (0, 1)}
    train = {f"GTSRB/Training/0000{i}/x.ppm": image(i + 5) for i in (0, 1)}
    put(
        "gtsrb",
        {
            **packed("gtsrb/GTSRB-Training_fixed.zip", train),
            **packed("gtsrb/GTSRB_Final_Test_Images.zip", test),
            **packed("gtsrb/GTSRB_Final_Test_GT.zip", {"GT-final_test.csv": rows}),
        },
    )
    dataset = open_dataset("gtsrb")
    assert dataset.splits == ("train", "test")
    assert seen(dataset.load("train", SHAPE)) == [5, 6]
    found = dataset.load("test", SHAPE)
    assert seen(found) == [1, 0]
    assert found.labels.tolist() == [1, 0]
    assert found.class_names == dataset.load("train", SHAPE).class_names


def test_the_official_splits_of_food101(put, packed):
    files = {
        "food-101/images/a/1.jpg": image(1),
        "food-101/images/b/2.jpg": image(2),
        "food-101/images/b/3.jpg": image(3),
        "food-101/meta/train.json": json.dumps({"a": ["a/1"], "b": ["b/2"]}),
        "food-101/meta/test.json": json.dumps({"a": [], "b": ["b/3"]}),
    }
    put("food101", packed("food101/food-101.tar.gz", files))
    dataset = open_dataset("food101")
    assert seen(dataset.load("train", SHAPE)) == [1, 2]
    assert dataset.load("train", SHAPE).labels.tolist() == [0, 1]
    assert seen(dataset.load("test", SHAPE)) == [3]


def test_the_official_splits_of_flowers102(put, packed):
    files = {f"jpg/image_0000{i}.jpg": image(i) for i in (1, 2, 3)}
    put(
        "flowers102",
        {
            **packed("flowers102/102flowers.tgz", files),
            "flowers102/imagelabels.mat": mat(labels=np.uint8([[5, 6, 7]])),
            "flowers102/setid.mat": mat(trnid=[[3]], valid=[[1]], tstid=[[2]]),
        },
    )
    dataset = open_dataset("flowers102")
    for split, level, label in (("train", 3, 6), ("val", 1, 4), ("test", 2, 5)):
        found = dataset.load(split, SHAPE)
        assert (seen(found), found.labels.tolist()) == ([level], [label])


def test_the_official_splits_of_celeba(put, packed):
    files = {f"img_align_celeba/00000{i}.jpg": image(i) for i in (1, 2, 3)}
    lines = "000001.jpg 2\n000002.jpg 0\n000003.jpg 1\n"
    listed = {"celeba/list_eval_partition.txt": lines.encode()}
    put("celeba", packed("celeba/img_align_celeba.zip", files) | listed)
    dataset = open_dataset("celeba")
    for split, level in (("train", 2), ("val", 3), ("test", 1)):
        assert seen(dataset.load(split, SHAPE)) == [level]


def test_cinic10_can_leave_out_the_images_of_cifar10(put, packed):
    files = {
        f"{part}/{kind}/{name}_{level}.png": image(level)
        for part, first in (("train", 1), ("valid", 5), ("test", 9))
        for level, (kind, name) in enumerate(
            [("bird", "n01"), ("bird", "cifar10-test"), ("cat", "n02"), ("cat", "n03")],
            first,
        )
    }
    put("cinic10", packed("cinic10/CINIC-10.tar.gz", files))
    whole, part = open_dataset("cinic10"), open_dataset("cinic10:imagenet")
    assert whole.splits == ("train", "val", "test")
    assert sorted(seen(whole.load("val", SHAPE))) == [5, 6, 7, 8]
    assert seen(part.load("test", SHAPE)) == [9, 11, 12]
    assert part.load("test", SHAPE).labels.tolist() == [0, 1, 1]
    assert part.relative_to(open_dataset("cifar10")).role == "covariate"
    with pytest.raises(InputError, match="write cinic10:imagenet"):
        open_dataset("cinic10:cifar")


def test_tin597_has_a_folder_per_class(put, packed):
    files = {f"tin597/test/n0{i}/images/n0{i}_1.JPEG": image(i) for i in (1, 2)}
    put("tin597", packed("tin597/tin597.zip", files))
    split = open_dataset("tin597").load("test", SHAPE)
    assert (seen(split), split.class_names) == ([1, 2], ("n01", "n02"))


def test_the_official_splits_of_country211(put, packed):
    parts = {"train": 1, "valid": 2, "test": 3}
    files = {f"country211/{p}/CH/{i}.jpg": image(i) for p, i in parts.items()}
    put("country211", packed("country211/country211.tgz", files))
    dataset = open_dataset("country211")
    assert [seen(dataset.load(s, SHAPE)) for s in dataset.splits] == [[1], [2], [3]]


def test_the_validation_images_of_tiny_imagenet_are_in_the_order_of_numbers(
    put, packed
):
    root = "tiny-imagenet-200"
    files = {f"{root}/val/images/val_{i}.JPEG": image(i) for i in (2, 10, 0)}
    lines = "val_10.JPEG n02 0 0 1 1\nval_2.JPEG n01 0 0 1 1\nval_0.JPEG n02 0 0 1 1\n"
    files[f"{root}/val/val_annotations.txt"] = lines
    files[f"{root}/train/n01/images/n01_0.JPEG"] = image(7)
    files[f"{root}/test/images/test_0.JPEG"] = image(8)
    put("tin", packed("tin/tiny-imagenet-200.zip", files))
    dataset = open_dataset("tin")
    found = dataset.load("test", SHAPE)
    assert seen(found) == [0, 2, 10]
    assert found.labels.tolist() == [1, 0, 1]
    assert seen(dataset.load("train", SHAPE)) == [7]


def test_imagenet_is_a_folder_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["oodbench.datasets.imagenet"], "CLASSES", 3)
    for number, label in enumerate([2, 0, 1, 0]):
        place = tmp_path / "val" / f"n0{label}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(image(number))
    found = open_dataset(f"imagenet:{tmp_path}").load("test", SHAPE)
    assert seen(found) == [0, 1, 2, 3]  # the order of their numbers
    assert found.labels.tolist() == [2, 0, 1, 0]
    monkeypatch.setenv("OODBENCH_IMAGENET", str(tmp_path))
    assert seen(open_dataset("imagenet").load("test", SHAPE)) == [0, 1, 2, 3]
    with pytest.raises(
        InputError, match=r"There is no folder .*/train; write imagenet:"
    ):
        open_dataset("imagenet").load("train", SHAPE)
    shutil.rmtree(tmp_path / "val" / "n02")
    with pytest.raises(InputError, match=r"has 2 folders of classes, and ImageNet-1k"):
        open_dataset("imagenet").load("test", SHAPE)


def test_imagenet_c_takes_corruptions_and_severities(put, packed):
    files = {
        f"{top}{kind}/{level}/n01/x.JPEG": image(10 * level + number)
        for top, number, kind in (("", 0, "fog"), ("", 1, "snow"))
        for level in range(1, 6)
    }
    put("imagenet_c", packed("imagenet_c/weather.tar", files))
    assert seen(open_dataset("imagenet_c:fog:3").load("test", SHAPE)) == [30]
    assert seen(open_dataset("imagenet_c:snow").load("test", SHAPE)) == [
        *(11, 21, 31, 41, 51)
    ]
    assert len(open_dataset("imagenet_c:fog").origin.sources) == 1
    with pytest.raises(InputError, match="imagenet_c:mist names no corruption"):
        open_dataset("imagenet_c:mist")


def test_the_lists_of_openood_name_corrupted_images(put, packed):
    first = {f"brightness/1/n{number:03}/x.JPEG": b"" for number in range(1000)}
    others = {name: {"x/y": b""} for name in ("digital", "blur", "noise")}
    for name, files in {"weather": first, **others}.items():
        put("imagenet_c", packed(f"imagenet_c/{name}.tar", files))
    for benchmark, classes in (("imagenet1k", 1000), ("imagenet200", 200)):
        dataset = open_dataset(f"openood:{benchmark}/imagenet_c")
        assert len(dataset.origin.sources) == 4
        split = dataset.load("test", SHAPE)
        assert np.bincount(split.labels).tolist() == [10] * classes
        assert len(set(split.class_names)) == classes
        paths = [path.parts[-4:] for path in split.images.images.paths]
        assert len({path[-1] for path in paths}) == 10 * classes
        assert len({path[0] for path in paths}) == 15
        assert {path[1] for path in paths} == set("12345")
        assert [path[2] for path in paths] == [
            split.class_names[label] for label in split.labels
        ]
        # The first line of the list for all classes, read there.
        first_line = ("jpeg_compression", "1", "n000", "ILSVRC2012_val_00028158.JPEG")
        assert (first_line in paths) == (classes == 1000)


def test_other_folders_of_corrupted_images_are_refused(put, packed):
    for name in ("weather", "digital", "blur", "noise"):
        files = {"brightness/1/n1/x.JPEG": b""}
        put("imagenet_c", packed(f"imagenet_c/{name}.tar", files))
    with pytest.raises(InputError, match="has 1 folders of classes, and ImageNet-C"):
        open_dataset("openood:imagenet1k/imagenet_c").load("test", SHAPE)


def test_patches_of_pcam_are_read_from_tables(put, monkeypatch):
    h5py = pytest.importorskip("h5py")

    def table(key, values):
        with h5py.File(file := io.BytesIO(), "w") as opened:
            opened[key] = values
        return gzip.compress(file.getvalue())

    pixels = np.arange(3, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    name = "pcam/camelyonpatch_level_2_split_{0}_{1}.h5.gz".format
    labels = np.uint8([1, 0, 1]).reshape(3, 1, 1, 1)
    put(
        "pcam",
        {
            name("valid", "x"): table("x", pixels),
            name("valid", "y"): table("y", labels),
        },
    )
    found = open_images(open_dataset("pcam"), "val", SHAPE).split
    assert seen(found) == [0, 1, 2]
    assert found.labels.tolist() == [1, 0, 1]
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"pcam needs the package h5py: pip install"):
        open_dataset("pcam").load("val", SHAPE)


def test_lists_of_openmibood_name_images_of_the_users(put, home):
    lists = "openmibood/lists/midog"
    files = {
        f"{lists}/test_midog.txt": b"1a/1/1_1.tiff 2\n1a/1/1_0.tiff 0\n",
        f"{lists}/test_midog_2.txt": b"near/2/1.tiff 1\n",
        f"{lists}/test_midog_1b.txt": b"csid/1b/1.tiff 1\n",
        f"{lists}/valid_midog_far.txt": b"far/1.tiff -1\n",
    }
    put("midog", files)
    with pytest.raises(
        InputError, match=r"midog needs its images in .*/midog; prepare"
    ):
        open_dataset("midog").load("test", SHAPE)
    images = {"1a/1/1_0.tiff": 10, "1a/1/1_1.tiff": 11, "near/2/1.tiff": 12}
    images |= {"csid/1b/1.tiff": 13, "far/1.tiff": 14}
    put("midog", {f"openmibood/midog/{p}": image(i) for p, i in images.items()})
    inside, near = open_dataset("midog"), open_dataset("midog:2")
    found = inside.load("test", SHAPE)
    assert seen(found) == [11, 10]
    assert found.labels.tolist() == [2, 0]
    assert seen(near.load("test", SHAPE)) == [12]
    assert near.load("test", SHAPE).labels is None
    assert open_dataset("midog:1b").load("test", SHAPE).labels.tolist() == [1]
    assert open_dataset("midog:far").splits == ("val",)
    assert seen(open_dataset("midog:far").load("val", SHAPE)) == [14]
    roles = {"1b": "covariate", "2": "near", "ccagt": "far"}
    for part, role in roles.items():
        assert open_dataset(f"midog:{part}").relative_to(inside).role == role
    with pytest.raises(InputError, match=r"midog:8 is no part of midog; write midog:"):
        open_dataset("midog:8")


def test_an_archive_without_the_set_is_refused(put, packed):
    put("eurosat", packed("eurosat/EuroSAT.zip", {"readme": b""}))
    with pytest.raises(InputError, match=r"2750 has no images; remove it and fetch"):
        open_dataset("eurosat").load("test", SHAPE)
    put("food101", packed("food101/food-101.tar.gz", {"readme": b""}))
    with pytest.raises(InputError, match=r"The files of food101 cannot be read"):
        open_dataset("food101").load("test", SHAPE)


@pytest.mark.parametrize("name", ["tin", "texture", "imagenet_r"])
def test_a_set_without_parts_takes_no_argument(name):
    with pytest.raises(InputError, match=f"{name} takes no argument, got '0-7'"):
        open_dataset(f"{name}:0-7")


WITH_FILES = [name for name, _ in origins()]


@pytest.mark.parametrize("name", WITH_FILES)
def test_absent_files_are_one_error(name, home):
    dataset = open_dataset(name)
    for split in dataset.splits:
        message = "is not there, and (downloads are|it cannot)|There is no folder"
        with pytest.raises(InputError, match=message):
            dataset.load(split, SHAPE)


def test_no_two_sets_share_a_name_or_a_file_that_differs():
    sets = [open_dataset(name) for name in WITH_FILES]
    assert len({one.name for one in sets}) == len(sets)
    known = {}
    for one in sets:
        for source in one.origin.sources:
            assert known.setdefault(source.file, source) == source


def test_every_fact_is_well_formed():
    for name in WITH_FILES:
        origin = open_dataset(name).origin
        assert all((origin.images, origin.citation, origin.licence)), name
        for source in origin.sources:
            assert source.urls or source.page, source
            assert bool(source.checksum) == bool(source.stated_by), source
            algorithm, _, digest = source.checksum.partition(":")
            assert (algorithm, len(digest)) in (("md5", 32), ("", 0)), source


ROLES = {
    ("cifar10", "cifar10c"): "covariate",
    ("cifar10", "cifar10_1"): "covariate",
    ("cifar10", "cifar100c"): "near",
    ("cifar100", "cifar10c"): "near",
    ("cifar10", "tin"): "near",
    ("cifar10", "texture"): "far",
    ("cifar10", "mnist"): "far",
    ("svhn", "cifar10c"): "far",
    ("cifar10", "stl10"): "unstated",
    ("mnist", "usps"): "covariate",
    ("mnist", "kmnist"): "near",
    ("mnist", "fashionmnist"): "far",
    ("imagenet", "imagenet_r"): "covariate",
    ("imagenet", "imagenet_c:fog:1"): "covariate",
    ("imagenet", "imagenet_v2"): "covariate",
    ("imagenet", "ssb_hard"): "near",
    ("imagenet", "ninco"): "near",
    ("imagenet", "inaturalist"): "far",
    ("imagenet", "textures"): "far",
    ("imagenet", "openimage_o"): "far",
}


@pytest.mark.parametrize(("inside", "outside"), ROLES)
def test_roles_are_relative_to_the_in_distribution_set(inside, outside):
    found = open_dataset(outside).relative_to(open_dataset(inside))
    assert found.role == ROLES[inside, outside]


def test_a_stated_role_is_kept():
    dataset = open_dataset("far=cifar10c")
    assert dataset.relative_to(open_dataset("cifar10")).role == "far"


def test_equal_archives_have_equal_manifests_on_every_machine(
    put, packed, home, tmp_path, monkeypatch
):
    files = packed("tin_crop/Imagenet.tar.gz", {"Imagenet/test/1.png": image(1)})
    put("tin_crop", files)
    here = open_dataset("tin_crop").load("test", SHAPE).images
    before = here.manifest()
    shutil.copytree(home, tmp_path / "elsewhere")
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "elsewhere"))
    there = open_dataset("tin_crop").load("test", SHAPE).images
    assert there.paths != here.paths
    assert there.manifest() == before
    there.paths[0].write_bytes(image(2))
    assert there.manifest() != before


def test_other_archives_have_other_manifests(put, packed, home, tmp_path, monkeypatch):
    found = set()
    for level in (1, 2):
        monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / str(level)))
        files = packed(
            "tin_crop/Imagenet.tar.gz", {"Imagenet/test/1.png": image(level)}
        )
        put("tin_crop", {f"../{level}/{name}": part for name, part in files.items()})
        found.add(open_dataset("tin_crop").load("test", SHAPE).images.manifest())
    assert len(found) == 2


@pytest.mark.parametrize("check", DATASET_CHECKS)
def test_a_set_in_files_passes_the_checks(check, put, packed):
    files = {f"2750/{c}/{i}.jpg": image(i) for c in "ab" for i in (1, 2)}
    put("eurosat", packed("eurosat/EuroSAT.zip", files))
    check("eurosat")

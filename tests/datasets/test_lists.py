"""Image files that a list or a table names."""

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import distinct, open_dataset

SHAPE = Shape(1, 2, 2)
FILES = ["cat/1.png", "cat/no 2.png", "dog/3.png"]


@pytest.fixture
def place(tmp_path):
    """A folder whose images have their number as the grey level."""
    for level, name in enumerate(FILES):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), level).save(path)
    return tmp_path


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def load(spec):
    return open_dataset(spec).load("test", SHAPE)


def levels(split):
    return [int(image[0, 0, 0]) for image in split.images[:]]


LIST = "dog/3.png 7\ncat/no 2.png -1\n\ncat/1.png {'label': 2, 'scene': 'indoor'}\n"


def test_a_list_names_images_and_labels_in_its_order(place):
    file = write(place / "test_cats.txt", LIST)
    dataset = open_dataset(f"imglist:{file}@{place / 'images'}")
    assert (dataset.name, dataset.role) == ("test_cats", "unstated")
    assert native_shape(dataset) == (1, 2, 2)
    split = dataset.load("test", SHAPE)
    assert levels(split) == [2, 1, 0]
    assert split.labels.tolist() == [7, -1, 2]


def test_paths_of_a_list_start_from_its_folder_where_no_root_is_named(place):
    write(place / "images" / "here.txt", LIST)
    assert levels(load(f"imglist:{place}/images/here.txt")) == [2, 1, 0]


def test_an_at_sign_in_a_file_name_names_no_root(place):
    write(place / "images" / "a@b.txt", LIST)
    assert levels(load(f"imglist:{place}/images/a@b.txt")) == [2, 1, 0]
    file = write(place / "c@d.txt", LIST)
    assert levels(load(f"imglist:{file}@{place}/images")) == [2, 1, 0]


def test_a_list_without_classes_has_no_labels(place):
    file = write(place / "ood.txt", "cat/1.png -1\ndog/3.png {'label': -1}\n")
    assert load(f"imglist:{file}@{place}/images").labels is None


@pytest.mark.parametrize(
    "line",
    ["dog/3.png", "dog/3.png cat", "dog/3.png 1.5", " 3", "dog/3.png {'scene': 1}",
     "dog/3.png {'label': 1", "dog/3.png {'label': None}", "dog/3.png {1}"],
)  # fmt: skip
def test_a_line_without_a_label_is_refused_by_its_number(place, line):
    file = write(place / "bad.txt", f"cat/1.png 0\n{line}\n")
    with pytest.raises(InputError, match=r"Line 2 of .*bad\.txt is "):
        load(f"imglist:{file}@{place}/images")


@pytest.mark.parametrize("kind", ["imglist", "csv"])
def test_a_list_of_missing_files_or_of_none_is_refused(place, kind):
    text = {"imglist": "x.png 0\ncat/1.png 0", "csv": "path\nx.png\ncat/1.png"}[kind]
    file = write(place / "images" / "some", text)
    with pytest.raises(InputError, match=r"x\.png, .* \(1 of 2 are missing\)"):
        load(f"{kind}:{file}")
    write(file, "" if kind == "imglist" else "path\n")
    with pytest.raises(InputError, match="lists no images"):
        load(f"{kind}:{file}")
    with pytest.raises(InputError, match="There is no file"):
        open_dataset(f"{kind}:{file}s")
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="cannot be read as a list"):
        load(f"{kind}:{file}")


def test_a_root_that_is_no_folder_is_refused(place):
    file = write(place / "a.txt", LIST)
    with pytest.raises(InputError, match="no folder 'nowhere'; write imglist:FILE@"):
        open_dataset(f"imglist:{file}@nowhere")


def test_lists_of_one_name_show_their_folders(place):
    for folder in ("a", "b"):
        (place / folder).mkdir()
        write(place / folder / "test.txt", LIST)
    specs = [f"imglist:{place}/{folder}/test.txt" for folder in "ab"]
    named = distinct([open_dataset(spec) for spec in specs])
    assert [each.name for each in named] == ["a/test", "b/test"]


# --- tables


def table(place, text, suffix="csv"):
    return load(f"csv:{write(place / 'images' / f'table.{suffix}', text)}")


def test_a_table_of_paths_has_no_labels(place):
    split = table(place, "size,path\n4,dog/3.png\n4,cat/1.png\n")
    assert levels(split) == [2, 0]
    assert split.labels is None


def test_a_table_has_class_numbers(place):
    split = table(place, "path,label\ncat/1.png,5\ndog/3.png,0\n")
    assert split.labels.tolist() == [5, 0]
    assert split.class_names == ()


def test_named_classes_are_numbered_in_the_order_of_their_names(place):
    text = 'path\tclass\ndog/3.png\t2\ncat/1.png\t10\n"cat/no 2.png"\t2\n'
    split = table(place, text, "tsv")
    assert split.class_names == ("10", "2")
    assert split.labels.tolist() == [1, 0, 1]


def test_names_beside_numbers_are_those_of_the_numbers(place):
    rows = 'cat/1.png,1,"cat, tabby"\ndog/3.png,0,dog\ncat/no 2.png,1,"cat, tabby"\n'
    split = table(place, "\ufeffpath,label,class\n" + rows)
    assert split.labels.tolist() == [1, 0, 1]
    assert split.class_names == ("dog", "cat, tabby")
    # Class 1 has no image, hence no name.
    split = table(place, "path,label,class\ncat/1.png,2,cat\ndog/3.png,0,dog\n")
    assert split.class_names == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\ncat/1.png,0\n", "no column 'path' but file, label; .* commas"),
        ("", "no column 'path'"),
        ("path,label\ncat/1.png,0\ncat/1.png\n", "Row 2 of .* has no label"),
        ("path,label\n,0\n", "Row 1 of .* has no path"),
        ("path,label\ncat/1.png,cat\n", "must be whole numbers .*column 'class'"),
        ('path\n"cat/1.png', "cannot be read after line"),
        (
            "path,label,class\ncat/1.png,0,cat\ndog/3.png,0,dog\n",
            "calls class 0 'cat' and 'dog'",
        ),
    ],
)
def test_a_table_that_cannot_be_understood_is_one_sentence(place, text, message):
    with pytest.raises(InputError, match=message):
        table(place, text)


@pytest.mark.parametrize("spec", ["imglist:{0}/l.txt", "csv:{0}/t.csv"])
def test_listed_images_are_known_by_their_files(place, spec):
    write(place / "images" / "l.txt", "cat/1.png 0\n")
    write(place / "images" / "t.csv", "path,label\ncat/1.png,0\n")
    found = open_images(open_dataset(spec.format(place / "images")), "test", SHAPE)
    assert found.digests is None
    assert found.split.labels.dtype == np.int64

"""Stored results of unknown origin are passed over or refused, never believed."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from oodbench import InputError
from oodbench.base.files import folder_name
from oodbench.results import stale
from oodbench.results.opened import of_sets
from oodbench.results.schema import CELL, COMPARED, SET, fits
from oodbench.results.store import Store

MODEL = {"name": "net", "key": "m", "classes": 2, "density_head": False, "source": {}}
RUN = {"finished": "2026-01-01"}
DETECTOR = {"label": "a", "key": "a", "name": "a", "source": "s", "control": False}


@pytest.fixture
def store(tmp_path):
    """A model beside one in-distribution set and one OOD set, ten images each."""
    store = Store(tmp_path)
    for name, role in (("in", "in"), ("far", "far")):
        about = {"name": name, "key": name, "role": role, "images": 10}
        about |= {"limit": None, "shared_images": 0}
        record = {"model": MODEL, "inside": {"name": "in", "key": "in"}, "set": about}
        file = store.set("net-m", "in-in", folder_name(name, name))
        file.write({"digests": np.arange(10)}, {**record, "run": RUN})
        cell = {**record, "run": RUN, "detector": DETECTOR}
        file.cell("a", "a").write(np.arange(10.0), cell)
    return store


def far(store):
    return store.set("net-m", "in-in", "far-far")


def rows(store):
    return [row for one in of_sets(store.sets()).measured for row in one.rows]


def notes(store):
    assert rows(store) == []
    return " ".join(of_sets(store.sets()).notes)


def rewrite(path, change):
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record))


def replace_array(path, write):
    """Puts another array in place, with a record that vouches for it."""
    with path.open("wb") as file:
        write(file)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite(path.with_suffix(".json"), lambda r: r["arrays"].update(sha256=digest))


def test_a_sound_record_fits_and_is_counted(store):
    assert len(rows(store)) == 1
    record = far(store).cell("a", "a").read()
    assert all(fits(record, form) for form in (SET, CELL, COMPARED))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("model", "name", 3),
        ("model", "classes", 0),
        ("model", "classes", 10**400),
        ("model", "classes", True),
        ("set", "images", -1),
        ("set", "images", 2.5),
        ("set", "limit", "all"),
        ("set", "key", []),
        ("detector", "label", None),
        ("detector", "control", "yes"),
        ("run", "finished", {}),
    ],
)
def test_a_cell_of_another_form_is_passed_over(store, part, name, value):
    cell = far(store).cell("a", "a")
    rewrite(cell.path, lambda record: record[part].update({name: value}))
    assert not fits(cell.read(), CELL)
    assert "a-a.json is damaged" in notes(store) or "something else" in notes(store)


@pytest.mark.parametrize("part", ["model", "set", "detector", "run"])
def test_a_cell_that_lacks_a_part_is_passed_over_everywhere(store, part):
    cell = far(store).cell("a", "a")
    rewrite(cell.path, lambda record: record.pop(part))
    assert rows(store) == []
    assert stale.stale_cells(store.sets()) == []


@pytest.mark.parametrize(
    "file", ["/dev/zero", "../in-in.npz", "in-in.npz", "a\0b", "", None, 7]
)
def test_an_array_elsewhere_is_not_read(store, file):
    rewrite(far(store).path, lambda record: record["arrays"].update(file=file))
    assert far(store).read() is None


@pytest.mark.parametrize("name", ["file", "sha256"])
def test_a_record_that_says_too_little_of_its_array_is_not_believed(store, name):
    rewrite(far(store).path, lambda record: record["arrays"].pop(name))
    assert far(store).read() is None
    assert "far-far.json is damaged" in notes(store)


def test_a_reason_that_is_no_text_is_not_believed(store):
    cell = far(store).cell("a", "a")
    rewrite(cell.path, lambda record: record.update(failure={"a": 1}))
    assert cell.read() is None


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((10, 2)), r"float64 \(10, 2\)"),
        (np.zeros(10, np.float32), "float32"),
        (np.full(10, np.nan), "not all of its scores are finite"),
        (np.zeros(9), "9 scores for 10 images"),
        (np.array(["x"] * 10), "<U1"),
    ],
)
def test_scores_of_another_kind_are_left_out_by_name(store, array, words):
    path = far(store).cell("a", "a").path.with_suffix(".npy")
    replace_array(path, lambda file: np.save(file, array))
    assert re.search(rf"a-a\..* is damaged.*{words}.*run again", notes(store))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"digests": np.zeros((10, 2))}, "shapes"),
        ({"digests": np.zeros(10), "labels": np.zeros(9)}, "shapes"),
        ({"digests": np.array(["x"] * 10)}, "other things than numbers"),
        ({"digests": np.zeros(9)}, "not of 10 images"),
    ],
)
def test_arrays_of_another_kind_are_left_out_by_name(store, arrays, words):
    path = far(store).path.with_suffix(".npz")
    replace_array(path, lambda file: np.savez(file, **arrays))
    assert re.search(rf"far-far\..* is damaged.*{words}", notes(store))


def test_arrays_that_unpack_to_more_than_they_are_are_not_unpacked(store):
    path = far(store).path.with_suffix(".npz")
    replace_array(path, lambda file: np.savez_compressed(file, digests=np.zeros(10**6)))
    with pytest.raises(InputError, match="unpacks to more than it holds"):
        far(store).arrays()


def test_a_pickle_is_not_read(store):
    path = far(store).cell("a", "a").path.with_suffix(".npy")
    objects = np.array([{}] * 10, object)
    replace_array(path, lambda file: np.save(file, objects, allow_pickle=True))
    assert "it holds object" in notes(store)


def test_a_shape_that_is_larger_than_the_file_is_not_believed(store):
    path = far(store).cell("a", "a").path.with_suffix(".npy")
    content = path.read_bytes().replace(b"(10,), ", b"(999,),", 1)
    assert content != path.read_bytes()
    replace_array(path, lambda file: file.write(content))
    assert "it holds 10 scores, not 999" in notes(store)


@pytest.mark.parametrize("part", ["model", "inside", "set", "detector"])
def test_a_record_in_the_folder_of_something_else_is_not_believed(store, part):
    cell = far(store).cell("a", "a")
    rewrite(cell.path, lambda record: record[part].update(key="other"))
    assert cell.read() is None
    assert "a-a.json is the record of something else" in notes(store)
    assert not cell.has_scores()
    assert cell.path.with_name("a-a.json.damaged").is_file()


def test_a_set_that_was_copied_beside_another_in_set_is_not_believed(store):
    folder = store.root / "net-m" / "in-in"
    shutil.copytree(folder, store.root / "net-m" / "else-abcd")
    found = of_sets(store.sets())
    assert len(found.groups) == 1
    assert sum("something else" in note for note in found.notes) == 2


def test_a_role_of_no_kind_is_left_out(store):
    rewrite(far(store).path, lambda record: record["set"].update(role="friend"))
    assert "far-far.json is damaged" in notes(store)

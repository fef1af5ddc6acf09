import json
import os

import numpy as np
import pytest

from oodbench import InputError
from oodbench.base.files import folder_name, key_of, write_atomically
from oodbench.results import store as results
from oodbench.results.store import Store

SCORES = np.array([0.1, -2.5, 1e300])
RECORD = {"detector": {"label": "energy", "key": "k"}}


@pytest.fixture
def place(tmp_path):
    return Store(tmp_path).set("model-1", "in-1", "set-1")


@pytest.fixture
def cell(place):
    return place.cell("energy", "0123456789")


def test_what_is_written_is_read_back(cell):
    cell.write(SCORES, RECORD)
    assert np.array_equal(cell.scores(), SCORES)
    assert cell.read()["detector"] == RECORD["detector"]


def test_a_cell_that_was_never_written_is_not_there(cell):
    assert cell.read() is None


def test_a_failure_is_read_back(cell):
    cell.write_failure("ValueError: no", RECORD)
    assert cell.read()["failure"] == "ValueError: no"


def test_the_same_scores_give_the_same_bytes(cell):
    cell.write(SCORES, RECORD)
    before = cell.path.with_suffix(".npy").read_bytes()
    cell.write(SCORES, {**RECORD, "run": "another"})
    assert cell.path.with_suffix(".npy").read_bytes() == before


def test_the_same_arrays_give_the_same_bytes(place):
    contents = set()
    for _ in range(2):
        place.write({"labels": np.arange(5), "digests": np.arange(5)}, {})
        contents.add(place.path.with_suffix(".npz").read_bytes())
    assert len(contents) == 1
    assert place.arrays()["labels"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "damage",
    [
        lambda cell: cell.path.write_bytes(b""),
        lambda cell: cell.path.write_bytes(b"\xff\xfe{"),
        lambda cell: cell.path.write_text("[" * 100_000),
        lambda cell: cell.path.write_text("[]"),
        lambda cell: cell.path.write_text('{"schema": 999}'),
        lambda cell: cell.path.with_suffix(".npy").unlink(),
        lambda cell: cell.path.with_suffix(".npy").write_bytes(b"torn"),
    ],
)
def test_a_damaged_cell_counts_as_not_there(cell, damage):
    cell.write(SCORES, RECORD)
    damage(cell)
    assert cell.read() is None


def test_writing_leaves_no_temporary_file(cell):
    cell.write(SCORES, RECORD)
    names = {path.name for path in cell.path.parent.iterdir()}
    assert names == {"energy-01234567.json", "energy-01234567.npy"}


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_in_the_way_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write .*File exists"):
        write_atomically(tmp_path / "file" / "inner", b"")


def test_store_finds_sets_and_cells_by_looking(place, cell):
    place.write({"labels": np.arange(2)}, {})
    cell.write(SCORES, RECORD)
    store = Store(place.path.parents[2])
    assert list(store.sets()) == [place]
    assert list(place.cells()) == [cell]


def test_no_results_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no results in"):
        list(Store(tmp_path / "nowhere").sets())


@pytest.mark.parametrize(
    "label",
    ["../../etc/passwd", ".hidden", "a/b", "a\nb", "C:\\x", "x" * 500, "", "é|<b>"],
)
def test_no_label_leaves_its_folder(label):
    name = folder_name(label, "0123456789abcdef")
    assert name.endswith("-01234567")
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith(".")
    assert len(name) <= 69


def test_keys_depend_on_every_part_and_not_on_the_order_of_names():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert len({key_of("a", 1), key_of("a", 2), key_of("a"), key_of("a1")}) == 4


def test_records_are_json_with_numbers_as_numbers(cell):
    cell.write(SCORES, {**RECORD, "seconds": 1.5})
    stored = json.loads(cell.path.read_text())
    assert (stored["seconds"], stored["schema"]) == (1.5, results.SCHEMA)

import json
import os
from pathlib import Path

import numpy as np
import pytest

from oodbench import InputError
from oodbench.base.files import folder_name, key_of, write_atomically
from oodbench.results.pair import SCHEMA, DistrustedError, NewerError
from oodbench.results.store import Store

SCORES = np.array([0.1, -2.5, 1e300])
KEYS = {"model": "1", "inside": "1", "set": "1", "detector": "0123456789"}
RECORD = {part: {"name": part, "key": key} for part, key in KEYS.items()}


def be_pipe(path):
    path.unlink()
    os.mkfifo(path)


def be_folder(path):
    path.unlink()
    path.mkdir()


def be_link(path, target):
    path.unlink()
    path.symlink_to(target)


@pytest.fixture
def place(tmp_path):
    return Store(tmp_path).set("model-1", "in-1", "set-1")


@pytest.fixture
def cell(place):
    return place.cell("energy", "0123456789")


def test_what_is_written_is_read_back(cell):
    cell.write(SCORES, RECORD)
    assert np.array_equal(cell.load().scores, SCORES)
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
        place.write({"labels": np.arange(5), "digests": np.arange(5)}, RECORD)
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
        lambda cell: cell.path.write_text('{"schema": 0}'),
        lambda cell: cell.path.write_text('{"schema": true}'),
        lambda cell: be_pipe(cell.path),
        lambda cell: be_pipe(cell.path.with_suffix(".npy")),
        lambda cell: be_folder(cell.path),
        lambda cell: be_link(cell.path, cell.path.name),
        lambda cell: be_link(cell.path.with_suffix(".npy"), "/dev/zero"),
        lambda cell: cell.path.with_suffix(".npy").unlink(),
        lambda cell: cell.path.with_suffix(".npy").write_bytes(b"torn"),
    ],
)
def test_a_damaged_cell_counts_as_not_there_and_is_set_aside(cell, damage):
    cell.write(SCORES, RECORD)
    damage(cell)
    assert cell.read() is None
    with pytest.raises(DistrustedError):
        cell.load()
    assert not cell.has_scores()
    cell.write(SCORES, RECORD)
    assert cell.has_scores()


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
    place.write({"labels": np.arange(2)}, RECORD)
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
    assert (stored["seconds"], stored["schema"]) == (1.5, SCHEMA)


def newer(path):
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "schema": SCHEMA + 1, "arrays": "elsewhere"}))
    return path.read_bytes()


def test_what_a_newer_version_wrote_stays_as_it_is(place, cell):
    place.write({"labels": np.arange(2)}, RECORD)
    cell.write(SCORES, RECORD)
    before = [newer(file.path) for file in (place, cell)]
    sentence = r"was written by a newer oodbench \(schema 2; .* update oodbench"
    for deed in (
        cell.has_scores,
        cell.load,
        place.is_whole,
        lambda: cell.write(SCORES, RECORD),
        lambda: cell.write_failure("why", RECORD),
        lambda: place.write({"labels": np.arange(2)}, RECORD),
    ):
        with pytest.raises(NewerError, match=sentence):
            deed()
    place.remove_if_empty()
    assert cell.read() is None
    assert [file.path.read_bytes() for file in (place, cell)] == before
    assert len(list(place.path.parent.rglob("*"))) == 5  # nothing was set aside


def after(monkeypatch, path, deed):
    """Does something as another process would, right after a file was read."""
    read = Path.read_bytes

    def spy(self):
        content = read(self)
        if self == path:
            monkeypatch.setattr(Path, "read_bytes", read)
            deed()
        return content

    monkeypatch.setattr(Path, "read_bytes", spy)


OTHER = SCORES * 2


def test_a_cell_that_is_replaced_between_two_reads_is_read_from_one_write(
    cell, monkeypatch
):
    cell.write(SCORES, RECORD)
    after(monkeypatch, cell.path, lambda: cell.write(OTHER, {**RECORD, "run": 2}))
    found = cell.load()
    assert found.record["run"] == 2
    assert np.array_equal(found.scores, OTHER)


def test_a_cell_that_is_replaced_between_two_reads_is_not_set_aside(cell, monkeypatch):
    cell.write(SCORES, RECORD)
    after(monkeypatch, cell.path, lambda: cell.write(OTHER, RECORD))
    assert cell.has_scores()
    assert not list(cell.path.parent.glob("*.damaged"))


def test_a_cell_that_is_removed_between_two_reads_is_not_there(cell, monkeypatch):
    cell.write(SCORES, RECORD)
    after(monkeypatch, cell.path, cell.remove)
    assert cell.load() is None


def test_a_damaged_cell_that_is_mended_before_it_is_moved_stays(cell, monkeypatch):
    cell.write(SCORES, RECORD)
    cell.path.write_text("torn")
    replace, moves = Path.replace, []

    def mend(self, target):
        if self == cell.path and not moves:
            moves.append(target)
            cell.write(OTHER, RECORD)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", mend)
    assert cell.has_scores()
    assert moves
    assert np.array_equal(cell.load().scores, OTHER)
    assert not list(cell.path.parent.glob("*.damaged"))


def test_two_writers_of_one_cell_leave_scores_that_fit_their_record(cell, monkeypatch):
    replace, others = Path.replace, [OTHER]

    def interleave(self, target):
        done = replace(self, target)
        if target == cell.path.with_suffix(".npy") and others:
            cell.write(others.pop(), {**RECORD, "run": "other"})
        return done

    monkeypatch.setattr(Path, "replace", interleave)
    cell.write(SCORES, RECORD)
    assert np.array_equal(cell.load().scores, SCORES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text(""), "is no folder of results .Not a directory"),
        (lambda path: path.symlink_to(path), "is no folder of results .Too many"),
        (lambda path: os.mkfifo(path), "is no folder of results .Not a directory"),
        (lambda path: path.symlink_to("nowhere"), "There are no results in"),
    ],
)
def test_a_place_that_is_no_folder_is_one_sentence(tmp_path, make, words):
    make(tmp_path / "runs")
    store = Store(tmp_path / "runs")
    with pytest.raises(InputError, match=words):
        list(store.sets())
    if "no folder" in words:
        with pytest.raises(InputError, match=words):
            store.sweep()
    with pytest.raises(InputError, match="Cannot write"):
        store.set("m-1", "i-1", "s-1").write({}, RECORD)


def test_a_loop_of_links_below_ends(tmp_path, place):
    place.write({"labels": np.arange(2)}, RECORD)
    loop = place.path.parent / "loop"
    loop.symlink_to(place.path.parents[2])
    (place.path.parent / "self").symlink_to("self")
    assert len(list(Store(tmp_path).sets())) == 1
    Store(tmp_path).sweep()

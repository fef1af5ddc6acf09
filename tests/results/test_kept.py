"""Numbers kept beside the scores are those that would be computed, or are not used."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from oodbench.results.opened import open_results
from oodbench.results.rows import contrasts
from oodbench.results.store import Store
from tests.results.test_rows import FAR, INSIDE, NEAR, write_set


@pytest.fixture
def folder(tmp_path):
    store = Store(tmp_path / "runs")
    write_set(store, "in", "in", {"a": INSIDE, "b": -INSIDE, "c": INSIDE.round()})
    write_set(store, "near", "near", {"a": NEAR, "b": -NEAR, "c": NEAR.round()})
    write_set(store, "far", "far", {"a": FAR, "b": "out of memory", "c": FAR.round()})
    return store.root


def rows(folder):
    return [row for one in open_results(folder).measured for row in one.rows]


def kept(folder):
    (file,) = folder.glob("*/*/.numbers")
    return file


def change(file, function):
    """Changes each kept number, so that the file is sound."""
    known = json.loads(file.read_bytes().partition(b"\n")[2])
    text = json.dumps(
        {
            key: {name: function(number) for name, number in numbers.items()}
            for key, numbers in known.items()
        }
    ).encode()
    file.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def test_the_second_reading_returns_the_numbers_of_the_first(folder):
    first = rows(folder)
    assert rows(folder) == first
    assert any("even" in row.flags for row in first)


def test_kept_numbers_are_read_and_not_computed_again(folder):
    first = rows(folder)
    change(kept(folder), lambda number: number / 2)
    second = rows(folder)
    assert [row.values for row in second] == [
        {name: value / 2 for name, value in row.values.items()} for row in first
    ]


def test_other_scores_have_other_numbers(folder):
    before = {(row.detector, row.outside): row for row in rows(folder)}
    write_set(Store(folder), "near", "near", {"a": NEAR + 0.5})
    after = {(row.detector, row.outside): row for row in rows(folder)}
    assert after["a", "near"].values["auroc"] < before["a", "near"].values["auroc"]
    assert after["a", "far"] == before["a", "far"]
    kept(folder).unlink()
    assert {(row.detector, row.outside): row for row in rows(folder)} == after


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes().replace(b"0.9", b"0.8")),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: change(file, str),
        lambda file: (file.unlink(), file.mkdir()),
    ],
    ids=["other digits", "cut", "texts", "a folder"],
)
def test_a_damaged_file_counts_as_missing(folder, damage):
    first = rows(folder)
    damage(kept(folder))
    assert rows(folder) == first


def test_numbers_are_computed_where_the_folder_is_gone(folder):
    found = open_results(folder)
    shutil.rmtree(folder)
    (one,) = found.measured
    assert all(row.values for row in one.rows if not row.failure)
    assert not folder.exists()


def test_a_pair_alone_has_the_bits_that_it_has_among_others(folder):
    rng = np.random.default_rng(1)
    labels = [f"d{index}" for index in range(6)]
    for name, role, size in (("in", "in", 4001), ("near", "near", 5003)):
        scores = {label: rng.normal(size=size) for label in labels}
        write_set(Store(folder), name, role, scores, model="wide")
    (found,) = (o for o in open_results(folder).measured if o.group.model == "wide")
    for one in contrasts(found.scores, "d0"):
        pair = [each for each in found.scores if each.row.detector in ("d0", one.label)]
        (alone,) = contrasts(pair, "d0")
        assert alone.difference == one.difference


def test_results_of_others_are_computed_from_their_scores_alone(folder):
    first = rows(folder)
    change(kept(folder), lambda number: number / 2)
    before = kept(folder).read_bytes()
    computed = [row for one in open_results(folder).recomputed() for row in one.rows]
    assert computed == first
    assert kept(folder).read_bytes() == before

"""Stored scores become rows; the groups, flags and failures that they carry."""

import numpy as np
import pytest

from oodbench.metrics import ranking
from oodbench.metrics.intervals import Clusters, delong_interval
from oodbench.metrics.selective import augrc, aurc
from oodbench.results import rows as measures
from oodbench.results.store import Store

RNG = np.random.default_rng(0)
INSIDE = RNG.normal(1, 1, 50)
NEAR, FAR = RNG.normal(0, 1, 40), RNG.normal(-2, 1, 30)


def write_set(store, name, role, scores, *, model="net", **changes):
    """Stores a set with scores `{label: array or failure}`; returns its file."""
    count = len(next(iter(scores.values()), INSIDE))
    folders = (f"{model}-k", "in-k", f"{name}-k")
    file = store.set(*folders)
    record = {
        "model": {
            "name": model, "key": f"{model}-key", "classes": 2, "density_head": False,
        },
        "inside": {"name": "in"},
        "set": {
            "name": name, "key": f"{name}-key", "role": role, "images": count,
            "limit": None, "shared_images": 0, **changes,
        },
        "run": {"finished": "2026-01-01"},
    }  # fmt: skip
    file.write({"predictions": np.zeros(count)}, record)
    for label, values in scores.items():
        detector = {"label": label, "key": f"{label}-key", "control": label == "pixels"}
        cell = file.cell(label, f"{label}-key")
        whole = {**record, "detector": detector}
        if isinstance(values, str):
            cell.write_failure(values, whole)
        else:
            cell.write(values, whole)
    return file


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def group(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": -INSIDE})
    write_set(store, "near", "near", {"a": NEAR, "b": -NEAR})
    write_set(store, "far", "far", {"a": FAR, "b": -FAR})
    return measures.groups(store.sets())[0]


def test_every_detector_and_set_has_a_row_with_its_metrics(group):
    rows = {(row.detector, row.outside): row for row in measures.measure(group)}
    assert set(rows) == {(d, s) for d in "ab" for s in ("near", "far")}
    row = rows["a", "near"]
    assert row.values["auroc"] == ranking.auroc(INSIDE, NEAR)
    assert row.values["auroc_low"] < row.values["auroc"] < row.values["auroc_high"]
    assert (row.role, row.images_in, row.images_out) == ("near", 50, 40)
    mirrored = 1 - rows["a", "far"].values["auroc"]
    assert rows["b", "far"].values["auroc"] == pytest.approx(mirrored)


def test_models_stand_in_groups_of_their_own(store):
    for model in ("one", "two"):
        write_set(store, "in", "in", {"a": INSIDE}, model=model)
        write_set(store, "far", "far", {"a": FAR}, model=model)
    assert [group.model for group in measures.groups(store.sets())] == ["one", "two"]


def test_a_failed_cell_has_its_reason_and_no_numbers(store):
    write_set(store, "in", "in", {"a": INSIDE})
    write_set(store, "far", "far", {"a": "all NaN"})
    (row,) = measures.measure(measures.groups(store.sets())[0])
    assert row.failure == "all NaN"
    assert row.values == {}


def test_a_set_without_scores_of_a_detector_has_no_row(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "far", "far", {"a": FAR})
    (row,) = measures.measure(measures.groups(store.sets())[0])
    assert row.detector == "a"


def test_results_without_their_in_set_give_no_group(store):
    write_set(store, "far", "far", {"a": FAR})
    assert measures.groups(store.sets()) == []


def test_flags_of_limit_overlap_ties_and_a_control_that_separates(store):
    tied = np.repeat([0.0, 1.0], 25)
    scores = {"a": INSIDE, "tied": tied, "pixels": INSIDE + 100}
    write_set(store, "in", "in", scores)
    out = {"a": NEAR, "tied": tied[:40], "pixels": NEAR}
    write_set(store, "near", "near", out, limit=40, shared_images=3)
    rows = {r.detector: r for r in measures.measure(measures.groups(store.sets())[0])}
    assert rows["a"].flags == ("limit", "overlap", "control")
    assert rows["tied"].flags == ("limit", "overlap", "ties", "control")


def test_only_the_methods_asked_for_are_grouped(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "far", "far", {"a": FAR, "b": FAR})
    (group,) = measures.groups(store.sets(), {"a-key"})
    assert [row.detector for row in measures.measure(group)] == ["a"]


def test_a_damaged_file_is_passed_over(store, group):
    damaged = group.cells["a"].path.with_suffix(".npy")
    damaged.write_bytes(b"torn")
    (again,) = measures.groups(store.sets())
    assert {row.detector for row in measures.measure(again)} == {"b"}


def add_arrays(file, **arrays):
    file.write({**file.arrays(), **arrays}, file.read())


def test_labels_of_the_in_set_give_the_areas_of_selective_prediction(store):
    inside = write_set(store, "in", "in", {"a": INSIDE})
    write_set(store, "near", "near", {"a": NEAR})
    (row,) = measures.measure(measures.groups(store.sets())[0])
    assert "aurc" not in row.values
    labels = np.arange(50) % 2  # all predictions are 0
    add_arrays(inside, labels=labels, nll=np.ones(50))
    (row,) = measures.measure(measures.groups(store.sets())[0])
    assert row.values["aurc"] == aurc(INSIDE, NEAR, labels == 0)
    assert row.values["augrc"] == augrc(INSIDE, NEAR, labels == 0)


def test_clusters_decide_the_interval_where_there_are_enough(store):
    write_set(store, "in", "in", {"a": INSIDE})
    near = write_set(store, "near", "near", {"a": NEAR})
    for clusters, used in ((np.arange(40) % 3, False), (np.arange(40) % 20, True)):
        add_arrays(near, clusters=clusters)
        (row,) = measures.measure(measures.groups(store.sets())[0])
        assert row.clusters_out == len(np.unique(clusters))
        labels = Clusters(None, clusters if used else None)
        expected = delong_interval(INSIDE, NEAR, labels)
        assert (row.values["auroc_low"], row.values["auroc_high"]) == expected


def test_what_is_not_told_apart_from_the_best_is_flagged(store):
    rng = np.random.default_rng(0)
    for name, role, values in (("in", "in", INSIDE), ("far", "far", FAR)):
        noise = rng.normal(0, 0.1, values.size)
        scores = {"a": values, "b": values + noise, "c": -values, "pixels": values}
        write_set(store, name, role, scores)
    flags = {
        row.detector: row.flags
        for row in measures.measure(measures.groups(store.sets())[0])
    }
    assert sorted(["even" in flags["a"], "even" in flags["b"]]) == [False, True]
    assert "even" not in flags["c"]
    assert "even" not in flags["pixels"]

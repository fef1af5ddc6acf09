"""Stored scores become rows; the groups, flags and failures that they carry."""

import re
from pathlib import Path

import numpy as np
import pytest

from oodbench import rows
from oodbench.base.files import folder_name
from oodbench.metrics import ranking
from oodbench.metrics.intervals import delong_interval
from oodbench.metrics.selective import augrc, aurc
from oodbench.metrics.spreads import Clusters
from oodbench.results.fitness import lack
from oodbench.results.groups import find
from oodbench.results.opened import of_sets
from oodbench.results.rows import contrasts, measure
from oodbench.results.store import Store

RNG = np.random.default_rng(0)
INSIDE = RNG.normal(1, 1, 50)
NEAR, FAR = RNG.normal(0, 1, 40), RNG.normal(-2, 1, 30)


def write_set(
    store, name, role, scores, *, model="net", inside_key="in-key", key="", **changes
):
    """Stores a set with scores `{label: array or failure}`; returns its file."""
    count = len(next(iter(scores.values()), INSIDE))
    key = inside_key if role == "in" else key or f"{name}-key"
    keys = {model: f"{model}-key", "in": inside_key, name: key}
    file = store.set(*(folder_name(each, keys[each]) for each in (model, "in", name)))
    record = {
        "model": {
            "name": model, "key": f"{model}-key", "classes": 2, "density_head": False,
        },
        "inside": {"name": "in", "key": inside_key},
        "set": {
            "name": name, "key": key, "role": role, "images": count,
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


def groups(store, methods=None):
    return find(store.sets(), methods)[0]


def rows_of(store):
    return [row for group in groups(store) for row in measure(group).rows]


@pytest.fixture
def group(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": -INSIDE})
    write_set(store, "near", "near", {"a": NEAR, "b": -NEAR})
    write_set(store, "far", "far", {"a": FAR, "b": -FAR})
    return groups(store)[0]


def test_every_detector_and_set_has_a_row_with_its_metrics(group):
    rows = {(row.detector, row.outside): row for row in measure(group).rows}
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
    assert [group.model for group in groups(store)] == ["one", "two"]


def test_a_failed_cell_has_its_reason_and_no_numbers(store):
    write_set(store, "in", "in", {"a": INSIDE})
    write_set(store, "far", "far", {"a": "all NaN"})
    (row,) = rows_of(store)
    assert row.failure == "all NaN"
    assert row.values == {}


def test_a_set_without_scores_of_a_detector_has_no_row(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "far", "far", {"a": FAR})
    (row,) = rows_of(store)
    assert row.detector == "a"


def test_results_without_their_in_set_give_no_group(store):
    write_set(store, "far", "far", {"a": FAR})
    found, notes = find(store.sets())
    assert found == []
    assert "in-distribution set is missing or damaged" in notes[0]
    assert "far" in notes[0]


def test_flags_of_limit_overlap_ties_and_a_control_that_separates(store):
    tied = np.repeat([0.0, 1.0], 25)
    scores = {"a": INSIDE, "tied": tied, "pixels": INSIDE + 100}
    write_set(store, "in", "in", scores)
    out = {"a": NEAR, "tied": tied[:40], "pixels": NEAR}
    write_set(store, "near", "near", out, limit=40, shared_images=3)
    rows = {r.detector: r for r in rows_of(store)}
    assert rows["a"].flags == ("limit", "overlap", "few", "control")
    assert rows["tied"].flags == ("limit", "overlap", "ties", "few", "control")


def test_only_the_methods_asked_for_are_grouped(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "far", "far", {"a": FAR, "b": FAR})
    (group,) = groups(store, {"a-key"})
    assert [row.detector for row in measure(group).rows] == ["a"]
    assert group.notes == []


def test_a_damaged_file_is_passed_over(store, group):
    damaged = group.inside.file.cell("a", "a-key").path.with_suffix(".npy")
    damaged.write_bytes(b"torn")
    (again,) = groups(store)
    assert {row.detector for row in measure(again).rows} == {"b"}
    (note,) = again.notes
    assert re.match(
        r"Left out: .*a-a-key.json is damaged: .* not what was stored", note
    )


def test_scores_without_their_counterpart_on_the_in_set_are_noted(store, group):
    group.inside.file.cell("a", "a-key").remove()
    (again,) = groups(store)
    assert len(again.notes) == 2
    assert all("a-a-key.json has no counterpart" in note for note in again.notes)


def add_arrays(file, **arrays):
    file.write({**file.arrays(), **arrays}, file.read())


def test_labels_of_the_in_set_give_the_areas_of_selective_prediction(store):
    inside = write_set(store, "in", "in", {"a": INSIDE})
    write_set(store, "near", "near", {"a": NEAR})
    (row,) = rows_of(store)
    assert "aurc" not in row.values
    labels = np.arange(50) % 2  # all predictions are 0
    add_arrays(inside, labels=labels, nll=np.ones(50))
    (row,) = rows_of(store)
    assert row.values["aurc"] == aurc(INSIDE, NEAR, labels == 0)
    assert row.values["augrc"] == augrc(INSIDE, NEAR, labels == 0)


def test_clusters_decide_the_interval_where_there_are_enough(store):
    write_set(store, "in", "in", {"a": INSIDE})
    near = write_set(store, "near", "near", {"a": NEAR})
    for clusters, used in ((np.arange(40) % 3, False), (np.arange(40) % 20, True)):
        add_arrays(near, clusters=clusters)
        (row,) = rows_of(store)
        assert row.clusters_out == len(np.unique(clusters))
        labels = Clusters(None, clusters if used else None)
        expected = delong_interval(INSIDE, NEAR, labels)
        assert (row.values["auroc_low"], row.values["auroc_high"]) == expected


def test_detectors_that_do_not_differ_from_the_best_are_flagged(store):
    rng = np.random.default_rng(0)
    for name, role, values in (("in", "in", INSIDE), ("far", "far", FAR)):
        noise = rng.normal(0, 0.1, values.size)
        scores = {"a": values, "b": values + noise, "c": -values, "pixels": values}
        write_set(store, name, role, scores)
    flags = {row.detector: row.flags for row in rows_of(store)}
    assert sorted(["even" in flags["a"], "even" in flags["b"]]) == [False, True]
    assert "even" not in flags["c"]
    assert "even" not in flags["pixels"]


def test_an_oracle_is_compared_with_no_detector(store):
    best, middle = np.linspace(9, 10, 50), INSIDE
    write_set(store, "in", "in", {"a@oracle": best, "b@ood-validation": middle})
    write_set(store, "far", "far", {"a@oracle": FAR, "b@ood-validation": FAR})
    scores = groups(store)[0]
    rows = {row.detector: row for row in rows_of(store)}
    assert rows["a@oracle"].tuned == "oracle"
    assert rows["b@ood-validation"].tuned == "ood-validation"
    assert (rows["a@oracle"].apart, rows["b@ood-validation"].apart) == (True, False)
    assert rows["a@oracle"].values["auroc"] > rows["b@ood-validation"].values["auroc"]
    found = measure(scores).scores
    assert contrasts(found) == []
    (named,) = contrasts(found, against="a@oracle")
    assert named.label == "b@ood-validation"


def test_an_auroc_that_few_images_decide_is_flagged(store):
    many = np.linspace(0, 1, 200)
    few = np.where(np.arange(200) < 190, 9, 0.5)
    write_set(store, "in", "in", {"many": many, "few": few, "none": many + 9})
    write_set(store, "far", "far", {"many": many, "few": many, "none": many})
    flagged = {row.detector for row in rows_of(store) if "few" in row.flags}
    # Where the scores are separated no image decides.
    assert flagged == {"few"}


def test_the_role_of_a_set_is_that_of_its_record(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "s", "far", {"a": FAR})
    write_set(store, "s", "near", {"b": FAR})
    assert {row.role for row in rows_of(store)} == {"near"}


def test_two_in_sets_of_one_name_have_names_and_groups_of_their_own(store):
    for key in ("k1", "k2"):
        for model in ("x", "y"):
            for name, role in (("in", "in"), ("far", "far")):
                write_set(store, name, role, {"a": INSIDE}, model=model, inside_key=key)
    found = [(one.inside.name, one.model) for one in groups(store)]
    assert found == [
        ("in (k1)", "x"), ("in (k1)", "y"), ("in (k2)", "x"), ("in (k2)", "y"),
    ]  # fmt: skip


def test_two_sets_of_one_name_have_columns_of_their_own_across_models(store):
    for model, key in (("one", "whole"), ("two", "cut")):
        write_set(store, "in", "in", {"a": INSIDE}, model=model)
        write_set(store, "near", "near", {"a": NEAR}, model=model, key=key)
        write_set(store, "far", "far", {"a": FAR}, model=model)
    names = {(row.model, row.outside) for row in rows_of(store)}
    assert names == {
        ("one", "near (whole)"), ("two", "near (cut)"), ("one", "far"), ("two", "far"),
    }  # fmt: skip


def test_a_model_without_accuracy_has_a_reason(store):
    inside = write_set(store, "in", "in", {"a": INSIDE})
    assert lack(groups(store)[0]) == "in has no labels"
    add_arrays(inside, labels=np.zeros(50))
    assert "not the classes of the model" in lack(groups(store)[0])
    ones = np.ones(50)
    add_arrays(inside, confidences=ones, nll=ones, brier=ones)
    assert lack(groups(store)[0]) == ""
    assert measure(groups(store)[0]).fitness.values["accuracy"] == 1
    add_arrays(inside, nll=np.full(50, np.nan))
    assert "not numbers" in lack(groups(store)[0])
    assert measure(groups(store)[0]).fitness is None
    add_arrays(inside, nll=ones, confidences=ones * 9)
    assert "damaged: confidence lies outside [0, 1]" in lack(groups(store)[0])


def test_every_file_is_read_once(store, group, monkeypatch):
    write_set(store, "in", "in", {"a": INSIDE, "b": -INSIDE})
    read, seen = Path.read_bytes, []
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: seen.append(path) or read(path)
    )
    results = of_sets(store.sets())
    assert results.measured is results.measured
    assert len(seen) == len(set(seen)) == 18


def test_a_data_frame_begins_with_the_names_and_the_auroc(store):
    write_set(store, "in", "in", {"a": INSIDE, "b": INSIDE})
    write_set(store, "near", "near", {"b": NEAR, "a": "no memory"})
    frame = rows(store.root)
    assert frame.detector.tolist() == ["a", "b"]
    names = ["model", "inside", "outside", "detector"]
    metrics = ["auroc", "auroc_low", "auroc_high", "fpr95"]
    assert frame.columns[:8].tolist() == names + metrics
    assert frame.columns[-1] == "accuracy_out"
    assert frame.failure.tolist() == ["no memory", ""]
    assert frame.auroc.isna().tolist() == [True, False]


def test_a_data_frame_without_results_has_no_rows(store):
    frame = rows(store.root)
    assert len(frame) == 0
    assert {"model", "detector", "failure"} <= set(frame)

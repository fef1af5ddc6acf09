"""Runs from names to stored cells: what is computed, reused, skipped and refused."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import oodbench
from oodbench import Dataset, Detector, Grade, InputError, Network, Split
from oodbench.base import registry
from oodbench.results.opened import open_results
from oodbench.results.store import Store
from oodbench.runs import run as benchmark


@pytest.fixture
def sets(tmp_path):
    """Writes three .npz sets of 4x4 images and returns their specs by name."""
    rng = np.random.default_rng(0)

    def write(name, count, labels=None, low=0):
        images = rng.integers(low, 256, (count, 4, 4, 1), dtype=np.uint8)
        known = {} if labels is None else {"labels": labels}
        np.savez(tmp_path / f"{name}.npz", images=images, **known)
        return f"npz:{tmp_path / name}.npz"

    return {
        "in": write("in", 30, rng.integers(0, 6, 30)),
        "out": write("out", 20, low=100),
        "train": write("train", 25, rng.integers(0, 6, 25)),
        "strange": write("strange", 10, np.full(10, 6)),
    }


@pytest.fixture
def run(tiny, sets, tmp_path):
    def run(inside="in", out=("out",), **options):
        return benchmark.run(
            models=options.pop("models", [tiny]),
            inside=sets.get(inside, inside),
            out=[sets.get(name, name) for name in out],
            device="cpu",
            results=options.pop("results", tmp_path / "runs"),
            **options,
        )

    return run


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.np[yz]")}


def contents(folder):
    files = sorted(folder.rglob("*.np[yz]"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_every_detector_and_set_gets_a_cell(run, tmp_path):
    finished = run(detectors=["msp", "energy"])
    assert (finished.computed, finished.reused) == (4, 0)
    (measured,) = open_results(tmp_path / "runs").measured
    rows = measured.rows
    assert {(r.detector, r.outside, r.role) for r in rows} == {
        ("msp", "out", "unstated"),
        ("energy", "out", "unstated"),
    }
    assert measured.fitness.images == 30


def test_the_same_run_again_computes_nothing(run, tmp_path):
    run(detectors=["msp", "energy"])
    before = stamps(tmp_path)
    finished = run(detectors=["msp", "energy"])
    assert (finished.computed, finished.reused) == (0, 4)
    assert stamps(tmp_path) == before


def test_a_new_detector_adds_its_cells_and_touches_no_scores(run, tmp_path):
    run(detectors=["msp"])
    scores = {p: s for p, s in stamps(tmp_path).items() if p.suffix == ".npy"}
    finished = run(detectors=["msp", "energy"])
    assert (finished.computed, finished.reused) == (2, 2)
    assert scores.items() <= stamps(tmp_path).items()


def test_a_run_in_pieces_leaves_the_bytes_of_a_run_at_once(run, tmp_path):
    run(detectors=["msp"], results=tmp_path / "pieces")
    run(detectors=["energy", "jem_grad_norm"], results=tmp_path / "pieces")
    run(detectors=["jem_grad_norm", "energy", "msp"], results=tmp_path / "once")
    assert contents(tmp_path / "pieces") == contents(tmp_path / "once")


def test_a_lost_cell_is_computed_again(run, tmp_path):
    run(detectors=["msp", "energy"])
    before = contents(tmp_path)
    next((tmp_path / "runs").rglob("msp-*.npy")).write_bytes(b"torn")
    assert run(detectors=["msp", "energy"]).computed == 1
    assert contents(tmp_path) == before


def test_changed_weights_are_another_model(run, tiny, tmp_path):
    run(detectors=["msp"])
    tiny.module.head.bias += 1
    assert run(detectors=["msp"]).computed == 2
    names = [group.model for group in open_results(tmp_path / "runs").groups]
    assert len(set(names)) == 2
    assert all(name.startswith("tiny (") for name in names)


def test_other_parameters_are_another_cell(run):
    run(detectors=["energy"])
    assert run(detectors=["energy:temperature=2"]).computed == 2
    assert run(detectors=["energy:temperature=1"]).computed == 0


def test_a_detector_to_fit_is_skipped_without_a_train_split_and_others_go_on(run):
    finished = run(detectors=["msp", "pixel_knn"])
    assert finished.computed == 2
    reason = "in has no train split, only test; name another set to fit on."
    assert finished.skipped == {"pixel_knn": reason}


def test_fit_names_where_detectors_are_fitted(run, sets):
    finished = run(detectors=["pixel_knn", "pixel_stats"], fit=sets["train"])
    assert (finished.computed, finished.skipped) == (4, {})


def test_limit_takes_the_first_images_and_is_flagged(run, tmp_path):
    run(detectors=["msp"], limit=8)
    (measured,) = open_results(tmp_path / "runs").measured
    (row,) = measured.rows
    assert (row.images_in, row.images_out) == (8, 8)
    assert "limit" in row.flags


def test_a_limit_flags_what_it_cuts(run, tmp_path):
    run(detectors=["msp"], limit=20)  # of 30 and 20 images
    run(detectors=["msp"], limit=30)
    flags = {
        (row.images_in, row.images_out): "limit" in row.flags
        for one in open_results(tmp_path / "runs").measured
        for row in one.rows
    }
    assert flags == {(20, 20): True, (30, 20): False}


def test_roles_can_be_stated(run, sets, tmp_path):
    run(out=[f"near={sets['out']}"], detectors=["msp"])
    (measured,) = open_results(tmp_path / "runs").measured
    assert measured.rows[0].role == "near"


def test_a_role_that_is_stated_later_replaces_the_stored_one(run, sets, tmp_path):
    for role, computed in (("near", 2), ("far", 0)):
        found = run(out=[f"{role}=x={sets['out']}"], detectors=["msp"])
        assert found.computed == computed
        assert set(found.rows()["role"]) == {role}


@pytest.mark.parametrize("known_first", [True, False])
def test_accuracy_is_shown_while_classes_are_known_to_be_the_same(
    run, tmp_path, known_first
):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 30, 4, 4, 1), dtype=np.uint8)
    labels, names = np.arange(30) % 6, tuple("abcdef")
    inside = Split(pixels[0], labels, class_names=names)
    for own in [(), tuple("uvwxyz")][:: 1 if known_first else -1]:
        other = Split(pixels[1], labels, class_names=own)
        shift = Dataset("shift", lambda *_, split=other: split, "covariate")
        known = Dataset("known", lambda *_: inside, "far")
        found = run(known, [shift], detectors=["msp"])
        (measured,) = open_results(tmp_path / "runs").measured
        assert set(measured.shifted) == (set() if own else {"shift"})
        assert bool(found.warnings) == bool(own)


def test_made_sets_take_the_shape_of_the_network(run, sets):
    out = [f"{name}:{sets['in']}" for name in ("interp", "rotated", "inverted")]
    finished = run(out=[*out, "noise:uniform", "noise:gaussian"], detectors=["msp"])
    assert finished.computed == 6


@dataclass
class Broken(Detector):
    """Gives NaN on every image."""

    def score(self, batch):
        return batch.logits[:, 0] * torch.nan


def test_nan_scores_fail_their_cells_and_are_tried_again(run, monkeypatch, tmp_path):
    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda k, n: Broken if n == "broken" else load(k, n)
    )
    for _ in range(2):
        finished = run(detectors=["broken", "msp"])
        assert len(finished.failed) == 2
        reason = finished.failed["broken of tiny on in"]
        assert "30 of 30 scores are not finite" in reason
    (measured,) = open_results(tmp_path / "runs").measured
    failures = {row.detector: row.failure for row in measured.rows}
    assert "not finite" in failures["broken"]
    assert failures["msp"] == ""


def test_the_same_set_in_and_out_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="holds the same images as"):
        run(out=["in"])
    assert not list(tmp_path.rglob("*.npy"))


def test_shared_images_are_counted(run, sets, tmp_path):
    with np.load(sets["in"].removeprefix("npz:")) as inside:
        mixed = np.concatenate([inside["images"][:3], 255 - inside["images"][3:9]])
    np.savez(tmp_path / "mixed.npz", images=mixed)
    for _ in range(2):  # the second run computes nothing
        result = run(out=[f"npz:{tmp_path}/mixed.npz"], detectors=["msp"])
        assert any(
            "3 of 9 images of mixed are in in, too" in w for w in result.warnings
        )
    (measured,) = open_results(tmp_path / "runs").measured
    assert "overlap" in measured.rows[0].flags


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inside": "strange"}, "labels up to 6, but tiny has 6 classes"),
        ({"detectors": ["mps"]}, "did you mean 'msp'"),
        ({"out": ["digts"]}, "did you mean 'digits'"),
        ({"out": ["npz:nowhere.npz"]}, "nowhere.npz"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"batch_size": 0}, "batch size must be at least 1, got 0"),
    ],
)
def test_bad_input_is_one_sentence_and_stores_nothing(run, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(**options)
    assert not (tmp_path / "runs").exists()


def test_a_network_that_does_not_fit_the_images_is_given_them_adapted(run, tmp_path):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 6))
    run(models=[Network(module, (3, 8, 8), "rgb")], detectors=["msp"])
    (group,) = open_results(tmp_path / "runs").groups
    rule = group.inside.record["set"]["adaptation"]
    assert rule == "bilinear antialias, centre crop to 8x8; grey to RGB"


def test_the_record_says_what_decides_the_numbers(run, tmp_path, tiny):
    run(detectors=["energy:temperature=2"])
    file = next(Store(tmp_path / "runs").sets())
    record = next(file.cells()).read()
    assert record["model"]["key"] == tiny.fingerprint()
    assert record["model"]["mean"] == [0.5]
    assert record["detector"]["parameters"] == {"temperature": 2.0}
    assert len(record["detector"]["source"]) == 64
    assert record["set"]["adaptation"] == "none"
    assert record["run"]["device"] == "cpu"
    assert record["model"]["precision"] == "fp32"


def test_a_network_without_stages_is_not_compiled_and_a_warning_says_so(run, tmp_path):
    result = run(detectors=["energy"], compiled=True)
    assert "no part of tiny can be compiled" in result.warnings
    record = next(next(Store(tmp_path / "runs").sets()).cells()).read()
    assert record["run"]["compiled"] is False


def test_a_network_that_returns_probabilities_is_noted_in_every_table(tmp_path):
    layers = torch.nn.Linear(64, 8), torch.nn.Softmax(1)
    module = torch.nn.Sequential(torch.nn.Flatten(), *layers)
    network = Network(module, (1, 8, 8), "soft")
    options = {"out": "digits:8-9", "detectors": "energy", "device": "cpu"}
    for _ in range(2):  # the second run computes nothing
        oodbench.run(network, **options, results=tmp_path, quiet=True)
        assert "probabilities" in oodbench.table(tmp_path)


def test_one_network_under_two_names_keeps_both(tmp_path):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
    networks = [Network(module, (1, 8, 8), name) for name in ("first", "second")]
    options = {"out": "digits:8-9", "detectors": "energy", "device": "cpu"}
    result = oodbench.run(networks, **options, results=tmp_path, quiet=True)
    assert result.rows().model.tolist() == ["first", "second"]


def changed(name, change):
    """Returns 60 images, and what is known of them beside their pixels."""
    images = np.random.default_rng(3).integers(0, 256, (60, 4, 4, 1), np.uint8)
    clusters = change.pop("clusters", None)
    return Dataset(name, lambda *_: Split(images, clusters=clusters), "near", **change)


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        ({"clusters": np.arange(60) // 3}, "clusters_out", 20),
        ({"grade": Grade("fog", 2)}, "level", 2),
    ],
)
def test_what_is_known_of_a_set_later_is_stored_without_scoring_again(
    run, change, column, value
):
    before = run(out=[changed("x", {})], detectors=["msp"])
    assert before.rows()[column].tolist() != [value]
    found = run(out=[changed("x", change)], detectors=["msp"])
    assert (found.computed, found.reused) == (0, 2)
    assert found.rows()[column].tolist() == [value]

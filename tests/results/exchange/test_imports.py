"""Scores made elsewhere become cells with the metrics of our own."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from oodbench import InputError, import_scores, rows, table
from oodbench.metrics.table import METRICS, Sample

SHARED = Path(
    os.environ.get("OODBENCH_SHARED", Path(__file__).resolve().parents[4] / "shared")
)
PUBLISHED = SHARED / "data" / "published"
RNG = np.random.default_rng(0)
INSIDE, NEAR, FAR = RNG.normal(2, 1, 50), RNG.normal(1, 1, 40), RNG.normal(0, 1, 30)
LABELS = RNG.integers(0, 3, 50)
PREDICTIONS = np.where(RNG.random(50) < 0.8, LABELS, 0)
ARRAYS = {
    "in.scores": INSIDE, "in.labels": LABELS, "in.predictions": PREDICTIONS,
    "near.a.scores": NEAR, "far.b.scores": FAR,
}  # fmt: skip


def write(path, **changes):
    kept = {key: value for key, value in {**ARRAYS, **changes}.items() if len(value)}
    np.savez(path, **kept)
    return path


@pytest.fixture
def npz(tmp_path):
    return write(tmp_path / "net.npz")


@pytest.fixture
def results(tmp_path):
    return tmp_path / "runs"


def values(results):
    """Returns the metrics by OOD set."""
    return {row["outside"]: row for _, row in rows(results).iterrows()}


def test_metrics_are_those_of_the_same_scores(npz, results):
    import_scores(npz, results=results, detector="energy")
    found = values(results)
    for name, scores in {"a": NEAR, "b": FAR}.items():
        sample = Sample(INSIDE, scores, correct=LABELS == PREDICTIONS)
        for metric in METRICS.values():
            expected = metric.value(sample)
            assert found[name][metric.name] == pytest.approx(expected, abs=1e-12)
    assert found["a"]["role"] == "near"
    assert "imported" in found["a"]["flags"]


def test_the_table_names_the_file_and_the_accuracy(npz, results):
    import_scores(npz, results=results, detector="energy", inside="cifar10", seed="3")
    text = table(results)
    assert "net@3" in text
    assert f"{100 * np.mean(LABELS == PREDICTIONS):.2f}" in text
    assert "imported from net.npz; which images they are of is not checked" in text


def test_the_record_holds_the_hash_of_the_file(npz, results):
    import hashlib

    import_scores(npz, results=results, detector="energy")
    (record,) = results.glob("*/*/a-*/energy-*.json")
    stored = json.loads(record.read_text())["imported"]
    digest = hashlib.sha256(npz.read_bytes()).hexdigest()
    assert stored == {"file": "net.npz", "sha256": digest}


def csv_rows(detector):
    for name, role, scores in (("in", "in", INSIDE), ("a", "near", NEAR)):
        for place, score in enumerate(scores.tolist()):
            label = LABELS[place] if role == "in" else ""
            yield f"{name},{role},{score!r},{label},{detector}"


def test_csv_and_npz_give_the_same(npz, results, tmp_path):
    path = tmp_path / "net.csv"
    lines = ["set,role,score,label,detector", *csv_rows("one"), *csv_rows("two")]
    path.write_text("\n".join(lines))
    import_scores(path, results=results)
    import_scores(npz, results=tmp_path / "other", detector="one")
    found = rows(results)
    assert sorted(found["detector"]) == ["one", "two"]
    assert set(found["auroc"]) == {values(tmp_path / "other")["a"]["auroc"]}


def test_folders_of_openood_get_their_roles_by_option(results, tmp_path):
    folder = tmp_path / "scores"
    folder.mkdir()
    for name, scores in {"in": INSIDE, "a": NEAR, "b": FAR}.items():
        count = len(scores)
        np.savez(
            folder / name, conf=scores, pred=PREDICTIONS[:count], label=LABELS[:count]
        )
    import_scores(
        folder, results=results, detector="energy", inside="in", near=["a"], far=["b"]
    )
    found = values(results)
    assert {name: row["role"] for name, row in found.items()} == {
        "a": "near", "b": "far",
    }  # fmt: skip
    assert found["a"]["auroc"] == METRICS["auroc"].value(Sample(INSIDE, NEAR))
    with pytest.raises(InputError, match=r"name the in-distribution set with --in"):
        import_scores(folder, results=results, detector="energy")


def test_scores_of_the_other_sign_are_noticed_and_turned(npz, results, tmp_path):
    turned = {key: -ARRAYS[key] for key in ARRAYS if key.endswith("scores")}
    wrong = write(tmp_path / "wrong.npz", **turned)
    cells, (warning,) = import_scores(wrong, results=results, detector="energy")
    assert cells == 3
    assert "--higher-is-ood" in warning
    done = import_scores(
        wrong, results=tmp_path / "right", detector="energy", higher_is_ood=True
    )
    assert done.warnings == []
    import_scores(npz, results=tmp_path / "own", detector="energy")
    assert (
        values(tmp_path / "right")["a"]["auroc"]
        == values(tmp_path / "own")["a"]["auroc"]
    )


def test_detectors_of_several_files_are_one_model(npz, results, tmp_path):
    import_scores(npz, results=results, detector="energy", model="net")
    other = write(tmp_path / "other.npz", **{"in.predictions": []})
    import_scores(other, results=results, detector="msp", model="net")
    found = rows(results)
    assert set(found["detector"]) == {"energy", "msp"}
    assert found["aurc"].notna().all()
    wrong = write(tmp_path / "wrong.npz", **{"in.predictions": 1 - PREDICTIONS % 2})
    with pytest.raises(InputError, match=r"Other predictions .* with --model"):
        import_scores(wrong, results=results, detector="knn", model="net")


def test_the_accuracy_outlives_a_later_file_without_labels(npz, results, tmp_path):
    import_scores(npz, results=results, model="net", detector="energy")
    rest = {name: [] for name in ("in.labels", "in.predictions")}
    other = write(tmp_path / "other.npz", **rest)
    import_scores(other, results=results, model="net", detector="msp")
    assert "near chance" not in table(results)


def test_files_with_the_same_inside_scores_are_one_detector(results, tmp_path):
    for name in ("near.a", "far.b"):
        other = {"near.a": "far.b", "far.b": "near.a"}[name]
        path = write(tmp_path / f"{name}.npz", **{f"{other}.scores": []})
        import_scores(path, results=results, model="net", detector="energy")
    assert set(values(results)) == {"a", "b"}
    assert "imported from far.b.npz, near.a.npz;" in table(results)


def test_a_file_imported_twice_is_stored_once(npz, results):
    import_scores(npz, results=results, detector="energy")
    import_scores(npz, results=results, detector="energy")
    assert len(rows(results)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"near.a.scores": np.array([np.nan, 1])}, "a: scores are not finite in 1"),
        ({"near.a.scores": np.array([["x"]])}, "must be numbers, one per image"),
        ({"in.labels": LABELS[:3]}, "50 scores, 3 labels"),
        ({"in.labels": LABELS + 0.5}, "labels must be class numbers"),
        ({"in.scores": []}, "has no scores"),
        ({"in.scores": [], "in.labels": [], "in.predictions": []}, "0 in-distribution"),
        ({"near.a.scores": [], "far.b.scores": []}, "1 in-distribution and 0 OOD sets"),
        ({"far.a.scores": FAR}, "two sets are called a"),
        ({"odd.c.scores": FAR}, "c has the role 'odd'"),
        ({"far.c.scores": np.array([{}, 1], object)}, "holds no scores: ValueError"),
    ],
)
def test_faults_are_one_sentence(tmp_path, results, changes, message):
    with pytest.raises(InputError, match=message):
        import_scores(
            write(tmp_path / "net.npz", **changes), results=results, detector="a"
        )
    assert not results.exists()


def test_pickles_are_refused_and_not_run(tmp_path):
    path = tmp_path / "scores.pkl"
    path.write_bytes(pickle.dumps({"id": INSIDE}))
    with pytest.raises(InputError, match=r"pickle, which is code and was not run"):
        import_scores(path, results=tmp_path, detector="a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set,score\nin,1", "no column role"),
        ("set,role,score\nin,in,much\na,far,1", "a score is no number"),
        ("", "holds no scores"),
    ],
)
def test_faults_of_csv_are_one_sentence(tmp_path, text, message):
    path = tmp_path / "net.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        import_scores(path, results=tmp_path / "runs", detector="a")


def test_options_that_match_nothing_are_refused(npz, results):
    with pytest.raises(InputError, match="has no set svhn; it has a, b"):
        import_scores(npz, results=results, detector="a", far=["svhn"])
    with pytest.raises(InputError, match="add --detector NAME"):
        import_scores(npz, results=results)


def test_imported_cells_are_never_stale_nor_a_networks(npz, oodbench):
    oodbench("import", str(npz), "--detector", "energy")
    assert "stale" not in oodbench("list", "runs")[1]
    threshold = ["threshold", "--model", "net", "--detector", "energy"]
    assert oodbench(*threshold)[0] == 0
    code, _, errors = oodbench(*threshold, "--to", "t.json")
    assert (code, "are imported" in errors) == (3, True)


def test_the_command_stores_files(npz, oodbench):
    code, _, errors = oodbench("import", str(npz), "--detector", "energy")
    assert (code, "3 score files" in errors) == (0, True)
    code, out, _ = oodbench("table", "--format", "csv")
    assert code == 0
    assert "imported" in out


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published scores are not here")
def test_published_scores_give_the_published_figures(tmp_path):
    for seed in range(3):
        file = PUBLISHED / "openood-scale-scores" / f"cifar10_seed{seed}.npz"
        import_scores(
            file,
            results=tmp_path,
            model="resnet18",
            seed=str(seed),
            detector="scale",
            inside="cifar10",
        )
    auroc = rows(tmp_path).pivot_table(index="model", columns="outside", values="auroc")
    published = json.loads((PUBLISHED / "openood-scale-per-set.json").read_text())
    figures = [
        row
        for row in published["rows"]
        if row["in_set"] == "cifar10"
        and row["metric"] == "auroc"
        and row["ood_set"] in auroc
        and row["detector"] == "scale"
    ]
    assert len(figures) == 6
    for row in figures:
        own = 100 * auroc[row["ood_set"]]
        # The figures have two decimals, and their deviation is that of a population.
        assert own.mean() == pytest.approx(row["value"], abs=0.0051)
        assert own.std(ddof=0) == pytest.approx(row["std"], abs=0.0051)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published scores are not here")
def test_published_scores_fill_the_table_of_their_benchmark(oodbench):
    for seed in range(3):
        file = PUBLISHED / "openood-scale-scores" / f"cifar10_seed{seed}.npz"
        options = ["--model", "resnet18", "--seed", str(seed), "--in", "cifar10"]
        oodbench("import", str(file), "--detector", "scale", *options)
    code, out, _ = oodbench("table", "--benchmark", "openood-cifar10")
    assert code == 0
    published = json.loads((PUBLISHED / "openood-scale-per-set.json").read_text())
    means = [
        f"{row['value']:.2f} ± {row['std']:.2f}"
        for row in published["rows"]
        if (row["in_set"], row["detector"]) == ("cifar10", "scale")
        and row["metric"] in ("auroc", "fpr95", "aupr_in", "aupr_out")
    ]
    assert len(means) >= 24
    assert [mean for mean in means if mean not in out] == []

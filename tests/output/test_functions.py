"""The functions behind the commands, as Python calls them."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from oodbench import InputError, rows
from oodbench.base.files import folder_name
from oodbench.output.comparison import compare
from oodbench.output.plots.plot import plot
from oodbench.output.report.page import report
from oodbench.output.tables import table
from oodbench.results.store import Store


@pytest.fixture
def runs(tmp_path):
    """Two detectors on 30 images of two sets without labels."""
    rng, root = np.random.default_rng(0), tmp_path / "runs"
    model = {"name": "net", "key": "m" * 64, "classes": 10, "density_head": False}
    model |= {"source": {}, "shape": [1, 2, 2], "mean": [0.5], "std": [0.5]}
    for name, role in {"in": "in", "out": "far"}.items():
        about = {"name": name, "key": name * 9, "role": role, "images": 30}
        about |= {"limit": None, "shared_images": 0, "split": "test", "adaptation": ""}
        record = {
            "model": model, "inside": {"name": "in", "key": "in" * 9}, "set": about,
            "run": {"finished": "2026-01-01"},
        }  # fmt: skip
        parts = model, record["inside"], about
        file = Store(root).set(*(folder_name(one["name"], one["key"]) for one in parts))
        file.write({"digests": np.zeros(30, np.uint64)}, record)
        for label in ("a", "b"):
            detector = {"label": label, "key": label, "name": label, "control": False}
            detector |= {"parameters": {}, "fitted_on": None, "source": "s"}
            scores = rng.normal(role == "in", 1, 30)
            file.cell(label, label).write(scores, {**record, "detector": detector})
    return root


@pytest.mark.parametrize("wrap", [str, lambda path: SimpleNamespace(results=path)])
def test_a_folder_and_what_a_run_returned_give_the_same(runs, wrap):
    source, values = wrap(runs), rows(runs)
    assert rows(source).equals(values)
    found = list(csv.DictReader(io.StringIO(table(source, format="csv"))))
    assert [float(one["auroc"]) for one in found] == values.auroc.tolist()
    for value in values.auroc:
        assert f"{100 * value:.2f}" in table(source)
    best, other = compare(source).to_dict("records")
    assert other["difference"] == pytest.approx(other["auroc"] - best["auroc"])
    pictures = plot(source)
    found = (runs.parent / "plots").iterdir()
    assert {*pictures} == {path for path in found if path.suffix}
    assert report(source) == runs.parent / "report.html"


def test_tables_say_why_accuracies_are_missing_and_what_is_damaged(runs):
    assert "net has no accuracy: in has no labels" in table(runs)
    next(runs.rglob("out-*/b-b.npy")).write_bytes(b"torn")
    for format in ("markdown", "terminal", "html", "latex"):
        assert "b-b.json is damaged" in table(runs, format=format).replace("{}", "")
    assert "b-b.json is damaged" in rows(runs).attrs["notes"][0]
    assert any("b-b.json is damaged" in note for note in compare(runs).attrs["notes"])


def test_convention_and_places_are_those_that_are_given(runs, tmp_path):
    text = table(runs, metrics=["fpr95"], convention="openood", intervals=False)
    assert "OpenOOD convention" in text
    assert "[" not in text
    (tmp_path / "else").mkdir()
    assert report(runs, tmp_path / "else" / "a.html", images="none").is_file()
    assert plot(runs, tmp_path / "pictures")[0].parent == tmp_path / "pictures"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs: table(runs, metrics=["aurok"]), "did you mean 'auroc'"),
        (lambda runs: table(runs, format="cvs"), "did you mean 'csv'"),
        (lambda runs: compare(runs, against="c"), "no detector in these results 'c'"),
        (
            lambda runs: compare(runs, kinds={"k": ["net", "no"]}),
            "no model in these results",
        ),
        (lambda runs: table(runs.parent / "none"), "no results in"),
        (lambda runs: plot(next(runs.rglob("*.json"))), "is no folder of results"),
    ],
)
def test_bad_input_is_one_sentence(runs, call, message):
    with pytest.raises(InputError, match=message):
        call(runs)

"""`oodbench compare` on stored scores, in this process."""

import csv
import io
import sys

import numpy as np
import pytest

from oodbench import cli
from oodbench.base.files import folder_name
from oodbench.metrics.ranking import auroc
from oodbench.metrics.significance import seed_difference
from oodbench.results.opened import of_sets
from oodbench.results.store import Store

RNG = np.random.default_rng(0)
SHARED = RNG.normal(0, 1, (2, 300))
SHIFTS = {"good": 3.0, "as good": 3.0, "bad": 0.5, "pixels": 4.0}


def write(store, model, seed=1, *, shift=0.0, clusters=None):
    """Stores scores of four detectors, alike but for how far the classes lie apart."""
    rng = np.random.default_rng(seed)
    for name, role, row in (("in", "in", 0), ("far", "far", 1)):
        places = (model, "in", name)
        file = store.set(*(folder_name(one, f"{one}-key") for one in places))
        record = {
            "model": {
                "name": model, "key": f"{model}-key", "classes": 2,
                "density_head": False,
            },
            "inside": {"name": "in", "key": "in-key"},
            "set": {
                "name": name, "key": f"{name}-key", "role": role, "images": 300,
                "limit": None, "shared_images": 0,
            },
            "run": {"finished": "2026-01-01"},
        }  # fmt: skip
        arrays = {"predictions": np.zeros(300)}
        if clusters is not None and role == "far":
            arrays["clusters"] = clusters
        file.write(arrays, record)
        for label, apart in SHIFTS.items():
            scores = SHARED[row] + rng.normal(0, 0.1, 300)
            scores += (apart + shift) * (role == "in")
            detector = {
                "label": label, "key": label, "name": label,
                "control": label == "pixels",
            }  # fmt: skip
            file.cell(label, label).write(scores, {**record, "detector": detector})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def compare(monkeypatch, capsys, store):
    """Runs the command; returns exit code, lines of the CSV or output, and errors."""

    def run(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["oodbench", "compare", str(store.root), *arguments]
        )
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, errors = capsys.readouterr()
        if "csv" in arguments:
            out = list(csv.DictReader(io.StringIO(out)))
        return exit_.value.code or 0, out, errors

    return run


def areas(store, model):
    """Returns the AUROC of each detector by the stored scores."""
    found = {one.group.model: one for one in of_sets(store.sets()).measured}
    return {
        one.row.detector: auroc(one.inside, one.outside) for one in found[model].scores
    }


def test_a_clearly_worse_detector_differs_and_a_similar_one_does_not(store, compare):
    write(store, "net")
    code, lines, errors = compare("--format", "csv")
    assert code == 0, errors
    found = areas(store, "net")
    best, *others = lines
    assert found[best["detector"]] == max(v for k, v in found.items() if k != "pixels")
    assert {one["detector"] for one in lines} == {"good", "as good", "bad"}
    assert best["difference"] == ""
    for one in others:
        expected = found[one["detector"]] - found[best["detector"]]
        assert float(one["difference"]) == pytest.approx(expected)
        assert float(one["low"]) < expected < float(one["high"])
    p = {one["detector"]: float(one["holm"]) for one in others}
    assert p.pop("bad") < 0.001
    assert all(value > 0.05 for value in p.values())


def test_the_table_marks_what_does_not_differ_from_the_best(store):
    write(store, "net")
    (measured,) = of_sets(store.sets()).measured
    marked = [row.detector for row in measured.rows if "even" in row.flags]
    assert len(marked) == 1
    assert marked[0] in ("good", "as good")


def test_what_cannot_be_compared_is_left_out_with_the_reason(store, compare):
    write(store, "net")
    for file in store.sets():
        for label in ("as good", "bad"):
            file.cell(label, label).remove()
    code, text, errors = compare()
    assert code == 0, errors
    assert "far is left out: it takes scores of at least two detectors" in text
    write(store, "net")
    cell = store.set("net-net-key", "in-in-key", "far-far-key").cell("bad", "bad")
    cell.write_failure("all NaN", cell.read())
    assert "bad of net on far failed: all NaN" in compare()[1]
    _, lines, errors = compare("--format", "csv")
    assert {one["detector"] for one in lines} == {"good", "as good"}
    assert "bad of net on far failed: all NaN" in errors


def test_a_named_detector_is_what_others_are_compared_with(store, compare):
    write(store, "net")
    _, lines, _ = compare("--against", "pixels", "--format", "csv")
    assert lines[0]["detector"] == "pixels"
    assert {one["against"] for one in lines[1:]} == {"pixels"}
    assert all(float(one["difference"]) < 0 for one in lines[1:])


def test_markdown_and_terminal_show_points_and_say_how(store, compare):
    write(store, "net")
    _, text, _ = compare()
    assert "| far " in text
    assert "\\<0.001" in text
    assert "paired DeLong" in text
    assert "all pairs of detectors" in text
    _, text, _ = compare("--format", "terminal")
    assert "<0.001" in text
    assert "paired DeLong" in text


def test_enough_clusters_widen_the_interval_and_few_are_noted(store, compare):
    def width():
        _, lines, _ = compare("--format", "csv", "--against", "good")
        return {o["detector"]: float(o["high"]) - float(o["low"]) for o in lines[1:]}

    write(store, "net")
    plain = width()
    # Neighbours in rank share an origin, so that they are wrong together.
    write(store, "net", clusters=np.argsort(np.argsort(SHARED[1])) // 20)
    clustered = width()
    assert clustered["bad"] > 1.3 * plain["bad"]
    assert "over the 15 origins" in compare()[1]
    write(store, "net", clusters=np.arange(300) % 3)
    assert width() == plain
    assert "only 3 origins" in compare()[1]


def test_two_kinds_are_compared_by_their_seeds(store, compare):
    for seed in range(3):
        write(store, f"jem-{seed}", seed, shift=0.2 * seed)
        write(store, f"ce-{seed}", seed + 9, shift=0.2 * seed - 0.1)
    _, lines, errors = compare(
        "--group", "jem=jem-0,jem-1,jem-2", "--group", "ce=ce-0,ce-1,ce-2",
        "--format", "csv",
    )  # fmt: skip
    assert len(lines) == 3, errors
    values = [
        [areas(store, f"{kind}-{seed}")["bad"] for seed in range(3)]
        for kind in ("jem", "ce")
    ]
    (line,) = (one for one in lines if one["detector"] == "bad")
    expected = seed_difference(*values)
    assert float(line["difference"]) == pytest.approx(expected.value)
    assert float(line["p"]) == pytest.approx(expected.p)
    assert float(line["auroc"]) == pytest.approx(np.mean(values[0]))
    assert float(line["other_deviation"]) == pytest.approx(np.std(values[1], ddof=1))


def test_a_star_stands_for_all_models(store, compare):
    for seed in range(3):
        write(store, f"net-{seed}", seed)
    _, text, _ = compare("--group", "all=*")
    assert "all: net-0, net-1, net-2" in text
    assert "±" in text
    assert "Student's t" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "godo"], "did you mean 'good'"),
        (["--group", "all=*"], "at least two models"),
        (["--group", "a"], "must be KIND=MODEL"),
        (["--group", "a=net", "--group", "a=net"], "a kind of its own"),
        (["--group", "a=net", "--group", "b=othr"], "no model in these results 'othr'"),
        (["--group", "a=net,net"], "has a model twice"),
        (["--group", "a=net,net-*", "--group", "b=net-*"], "same number of each"),
        (["--group", "a=net", "--group", "b=net", "--group", "c=net"], "not 3"),
    ],
)
def test_bad_input_is_a_sentence(store, compare, arguments, message):
    for model in ("net", "net-1", "net-2")[: 3 if "net-" in str(arguments) else 1]:
        write(store, model)
    code, _, errors = compare(*arguments)
    assert code == 3
    assert message in errors


def test_an_empty_folder_has_nothing_to_compare(store, compare):
    store.root.mkdir()
    code, _, errors = compare()
    assert code == 3
    assert "no finished results" in errors


def test_examples_in_the_help_stand_on_lines_of_their_own(compare):
    _, text, _ = compare("--help")
    assert "\n  oodbench compare --against msp --format csv\n" in text

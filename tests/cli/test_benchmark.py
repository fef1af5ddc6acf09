"""Benchmarks on the command line: run, table, list."""

import csv
import io
import json
from functools import partial
from pathlib import Path

import pytest

import oodbench as face
from oodbench import InputError
from oodbench.benchmarks.benchmark import names

OWN = """
in = "digits=digits:0-7"
detectors = ["msp"]
limit = 40

[out]
near = ["rest=digits:8-9"]
far = ["noise=noise:gaussian", "street=streets"]

[protocol]
title = "Digits"
source = "nobody"
positive = "in"
threshold = "first"
area = "trapezoid"
figures = ["auroc", "fpr95"]
means = ["near", "far"]
draws = 3
images-per-draw = 10

[protocol.images]
digits = 40
rest = 41
"""


@pytest.fixture
def own():
    Path("own.toml").write_text(OWN)
    return "own.toml"


def test_every_missing_set_is_a_sentence(oodbench, own):
    code, _, errors = oodbench("run", "--benchmark", own, "--set", "rest=nowhere")
    assert code == 3
    assert "There is no data set 'nowhere'" in errors
    assert "There is no data set 'streets'" in errors


def test_a_run_without_missing_sets_prints_the_table_of_the_benchmark(oodbench, own):
    words = ("--benchmark", own, "--skip-missing", "--no-plots")
    code, printed, errors = oodbench("run", *words, "--model", "a@0=ce-digits")
    printed = " ".join(printed.split())  # lines break at the width of the terminal
    assert code == 0
    assert "Skipped: far=street=streets" in errors
    assert "Benchmark own: Digits" in printed
    assert "in-distribution images positive" in printed
    assert "missing: street; no mean over their groups" in printed
    assert "rest: 40 images, and 41 in the benchmark" in printed
    assert "3 draws of 10 OOD images" in printed
    code, table, _ = oodbench("table", "--benchmark", own, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["set"] for row in rows} == {"in", "rest", "near", "noise"}
    assert {row["model"] for row in rows} == {"a"}
    assert {row["runs"] for row in rows if row["set"] == "rest"} == {"3"}


def test_python_stores_the_bytes_of_the_command(oodbench, own):
    words = ("--benchmark", own, "--set", "street=photos", "--model", "ce-digits")
    assert oodbench("run", *words, "--no-plots", "--results", "typed")[0] == 0
    call = partial(face.run, "ce-digits", quiet=True)
    replaced = {"street": "photos"}
    call(benchmark=own, replaced=replaced, results="called")

    def arrays(folder):
        files = sorted(Path(folder).rglob("*.np[yz]"))
        return {path.relative_to(folder): path.read_bytes() for path in files}

    assert arrays("called") == arrays("typed")
    shown = ("table", "typed", "--benchmark", own, "--format", "json")
    frame = face.benchmark_figures("called", benchmark=own, replaced=replaced)
    shown = json.loads(oodbench(*shown)[1])
    assert list(shown[0]) == list(frame)
    assert [row["value"] for row in shown] == frame.value.tolist()
    assert "street: photos in its place" in frame.attrs["notes"]
    assert len(arrays("typed")) == 8
    Path("more.toml").write_text(f"workers = 0{OWN}")
    Path("size.toml").write_text(f'size = "8xa"{OWN}')
    for wrong, words in (
        ({"benchmark": own, "out": "photos"}, "has its own sets"),
        ({"benchmark": "more.toml"}, "more sets workers, which the command line alone"),
        ({"benchmark": "size.toml"}, "size: size cannot be '8xa'"),
        ({"replaced": replaced}, "for a benchmark, and there is none"),
    ):
        with pytest.raises(InputError, match=words):
            call(**wrong)


def test_settings_are_chosen_on_the_validation_sets_of_a_benchmark(oodbench):
    validation = 'validation = ["oe_noise:uniform"]\n\n[protocol.images]'
    text = OWN.replace("[protocol.images]", validation)
    Path("val.toml").write_text(text.replace('"street=streets"', '"photos"'))
    words = ("--benchmark", "val.toml", "--detectors", "energy:temperature=1|10")
    words = (*words, "--model", "ce-digits", "--protocol", "ood-validation")
    code, printed, errors = oodbench("tune", *words)
    assert code == 0, errors
    assert "Benchmark val: Digits" in printed
    assert "energy@ood-validation" in printed.replace(":temperature=10.0", "")
    (file,) = Path("results/runs").glob("*/*/rest*/energy*.json")
    sets = json.loads(file.read_text())["detector"]["tuned"]["sets"]
    assert [one["name"] for one in sets] == ["digits (val)", "oe_noise:uniform (test)"]
    code, _, errors = oodbench("tune", *words, "--out", "photos")
    assert code == 3
    assert "leave --out out" in errors


def test_the_full_spectrum_has_its_accuracy_below_its_table(oodbench):
    shifted = '[out]\ncovariate = ["fog=corrupted:fog:5:{in}"]'
    text = OWN.replace("[out]", shifted).replace('"street=streets"', '"photos"')
    Path("fs.toml").write_text(text)
    words = ("--benchmark", "fs.toml", "--model", "ce-digits", "--no-plots")
    code, printed, _ = oodbench("run", *words)
    assert code == 0
    plain, full = printed.split("In-distribution: digits (full spectrum)")[:2]
    _, table, _ = oodbench("table", "--benchmark", "fs.toml", "--format", "json")
    found = {(row["set"], row["metric"]): row["value"] for row in json.loads(table)}
    own, both = (found[name, "accuracy"] for name in ("in", "in (full spectrum)"))
    (out,) = set(face.rows("results/runs").accuracy_out.dropna())
    assert own != out
    assert both == pytest.approx((own + out) / 2)  # 40 images each
    assert f"accuracy of ce-digits: {100 * own:.2f} %" in plain
    assert f"accuracy of ce-digits (full spectrum): {100 * both:.2f} %" in full
    assert "rest (full" not in full


def test_seeds_of_one_model_are_averaged(oodbench, own):
    models = "net@0=ce-digits,net@1=jem-digits"
    words = ("--benchmark", own, "--set", "street=photos", "--no-plots")
    code, printed, _ = oodbench("run", *words, "--model", models)
    printed = " ".join(printed.split())
    assert code == 0
    assert "street: photos in its place" in printed
    _, table, _ = oodbench("table", "--benchmark", own, "--format", "json")
    rows = [row for row in json.loads(table) if row["metric"] == "auroc"]
    assert {row["runs"] for row in rows} == {2}
    far = {row["set"]: row["value"] for row in rows}
    assert far["far"] == pytest.approx((far["noise"] + far["street"]) / 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--benchmark", "own.toml", "--in", "digits"), "leave --in out"),
        (("run", "--benchmark", "own.toml", "--out", "photos"), "leave --out out"),
        (
            ("table", "--benchmark", "own.toml", "--metric", "aurc"),
            "leave --metric out",
        ),
        (("run", "--set", "a=photos"), "there is none"),
        (("run", "--benchmark", "own.toml", "--set", "a=photos"), "no set 'a'"),
        (("run", "--benchmark", "oe-mnst"), "did you mean 'oe-mnist'"),
    ],
)
def test_what_contradicts_is_refused(oodbench, own, words, message):
    code, _, errors = oodbench(*words)
    assert code == 3
    assert message in errors


def test_a_study_may_name_a_benchmark_and_its_sets(oodbench, own):
    text = 'benchmark = "own.toml"\nlimit = 9\n[set]\nstreet = "photos"\n'
    Path("study.toml").write_text(text)
    code, printed, _ = oodbench("run", "--config", "study.toml", "--print-config")
    assert code == 0
    assert 'benchmark = "own.toml"' in printed
    assert "limit = 9" in printed
    assert '"street=photos"' in printed
    assert "in = " not in printed


def test_list_names_every_benchmark(oodbench):
    _, printed, _ = oodbench("list", "benchmarks")
    assert [line.split()[0] for line in printed.splitlines()] == names()

"""A study in a file means the same as its options on the command line."""

import tomllib
from pathlib import Path

import pytest

OPTIONS = {
    "--model": "ce=ce-digits,jem-digits",
    "--out": "near=digits:8-9,far=noise:gaussian",
    "--detectors": "msp,knn:k=1|5",
    "--limit": "12",
}
STUDY = """
model = { ce = "ce-digits", jem-digits = "jem-digits" }
out = { near = ["digits:8-9"], far = "noise:gaussian" }
detectors = ["msp", "knn:k=1|5"]
limit = 12
plots = false
"""


def words(options):
    return [word for pair in options.items() for word in pair]


def stored(folder):
    files = sorted(Path(folder).rglob("*.np[yz]"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_study_stores_the_bytes_of_the_same_options(oodbench):
    Path("study.toml").write_text(STUDY.replace("jem-digits = ", '"jem" = '))
    words_ = words(OPTIONS | {"--model": "ce=ce-digits,jem=jem-digits"})
    assert oodbench("run", *words_, "--no-plots", "--results", "a")[0] == 0
    assert oodbench("run", "--config", "study.toml", "--results", "b")[0] == 0
    code, printed, _ = oodbench(
        "run", *words_, "--no-plots", "--results", "c", "--print-config"
    )
    Path("printed.toml").write_text(printed)
    assert code == 0
    assert not Path("c").exists()
    assert oodbench("run", "--config", "printed.toml")[0] == 0
    assert len(list(Path("a").glob("*/digits*/*/*.npy"))) == 2 * 3 * 3
    assert stored("a") == stored("b") == stored("c")


def test_what_is_printed_means_what_was_written(oodbench):
    given = words(OPTIONS | {"--mean": ".5", "--size": "8", "--arg": "width=2"})
    _, first, _ = oodbench("run", *given, "--uncond", "--print-config")
    Path("a.toml").write_text(first)
    _, second, _ = oodbench("run", "--config", "a.toml", "--print-config")
    assert first == second
    found = tomllib.loads(first)
    assert found["limit"] == 12
    assert found["uncond"] is True
    assert found["arg"] == ["width=2"]


def test_options_of_the_command_line_override_a_study(oodbench):
    Path("study.toml").write_text(STUDY)
    arguments = ("run", "--config", "study.toml", "--limit", "7", "--print-config")
    found = tomllib.loads(oodbench(*arguments)[1])
    assert found["limit"] == 7
    assert found["detectors"] == ["msp", "knn:k=1|5"]


def test_numbers_and_lists_are_written_as_toml_has_them(oodbench):
    Path("study.toml").write_text("mean = [0.5, 0.25, 1]\ninput-noise = 0.03")
    found = oodbench("run", "--config", "study.toml", "--print-config")[1]
    assert tomllib.loads(found)["mean"] == "0.5,0.25,1"
    assert tomllib.loads(found)["input-noise"] == 0.03


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("detector = 'msp'", "did you mean 'detectors'"),
        ("limit = 1.5", "'1.5' is not a valid integer"),
        ("limit = true", "'True' is not a valid integer"),
        ("plots = 'no'", "plots is true or false"),
        ("in = { far = 'svhn' }", "in takes one value"),
        ("limit = ", "no TOML"),
    ],
)
def test_a_wrong_study_is_refused_in_a_sentence(oodbench, text, words):
    Path("study.toml").write_text(text)
    code, _, errors = oodbench("run", "--config", "study.toml", "--print-config")
    assert code in (2, 3)
    assert words in errors


def test_a_missing_study_is_refused(oodbench):
    code, _, errors = oodbench("run", "--config", "none.toml")
    assert code == 3
    assert "none.toml cannot be read" in errors

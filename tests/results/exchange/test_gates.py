"""Gates fail a build where a number is worse than its bound."""

from xml.etree import ElementTree

import numpy as np
import pytest

from oodbench import InputError, import_scores
from oodbench.results.exchange.gates import parse

ARRAYS = {
    # Of the 4 x 4 pairs, 12 are in the right order in the near set, all in the far one.
    "in.scores": np.array([4.0, 5, 6, 7]),
    "near.a.scores": np.array([0.0, 1, 2, 8]),
    "far.b.scores": np.array([0.0, 1, 2, 3]),
    "probe.c.scores": np.array([9.0, 9, 9, 9]),
}


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, **ARRAYS)
    import_scores(path, results=tmp_path / "runs", detector="energy:temperature=2")
    return str(tmp_path / "runs")


def gate(oodbench, results, *gates):
    options = [part for one in gates for part in ("--fail-under", one)]
    return oodbench("table", results, *options, "--junit", "gates.xml")


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("energy:temperature=2:auroc=0.75", 0),
        ("energy:temperature=2:auroc=0.76", 1),
        ("energy:temperature=2@b:auroc=1", 0),
        ("energy:temperature=2@c:auroc=0.5", 1),
        ("energy:temperature=2:fpr95=0.25", 0),
        ("energy:temperature=2:fpr95=0.24", 1),
        ("energy:temperature=2:aurc=0.5", 2),
    ],
)
def test_the_exit_code_tells_whether_all_gates_are_kept(
    oodbench, results, tmp_path, text, broken
):
    code, out, errors = gate(oodbench, results, text)
    assert code == int(broken > 0)
    assert "AUROC ↑ in %" in out
    assert errors.count("Failed: net: ") == broken
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()
    assert suite.get("failures") == str(broken)
    assert len(suite.findall("testcase/failure")) == broken
    assert suite.get("tests") == ("1" if "@" in text else "2")


def test_a_broken_gate_says_what_is_the_case(oodbench, results):
    _, _, errors = gate(oodbench, results, "energy:temperature=2:auroc=0.76")
    assert (
        "energy:temperature=2 on a against in: auroc ≥ 0.76, but it is 0.75" in errors
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy", "is no gate"),
        ("energy:auroc=90", "is no gate"),
        ("energy:auroc=nan", "is no gate"),
        (":auroc=0.9", "is no gate"),
        ("energy:aurok=0.9", "did you mean 'auroc'"),
    ],
)
def test_what_is_no_gate_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("msp:auroc=0.5", "no detector in these results 'msp'"),
        ("energy:temperature=2@d:auroc=0.5", "no set in these results 'd'"),
    ],
)
def test_a_gate_about_nothing_is_no_success(oodbench, results, text, message):
    code, _, errors = gate(oodbench, results, text)
    assert code == 3
    assert message in errors

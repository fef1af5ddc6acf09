"""`oodbench verify` on a small run of a benchmark."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--benchmark", "openmibood-midog"), "No published figures"),
        (("--benchmark", "oe-mnst"), "did you mean 'oe-mnist'"),
        (("--benchmark", "oe-mnist"), "There are no results"),
    ],
)
def test_what_cannot_be_verified_is_a_sentence(oodbench, words, message):
    code, _, errors = oodbench("verify", *words)
    assert code == 3
    assert message in errors


def test_verify_says_what_is_not_comparable_and_not_attempted(oodbench):
    rng = np.random.default_rng(0)
    for name in ("mnist", "notmnist"):
        images = rng.integers(0, 256, (30, 28, 28, 1), dtype=np.uint8)
        np.savez(f"{name}.npz", images=images, labels=np.arange(30) % 10)
    Path("net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    torch.manual_seed(0)
    weights = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    torch.save(weights.state_dict(), "net.pt")
    sets = "mnist=npz:mnist.npz", "notmnist=npz:notmnist.npz"
    code, _, errors = oodbench(
        *("run", "--benchmark", "oe-mnist", "--set", sets[0], "--set", sets[1]),
        *("--model", "net.pt", "--arch", "net.py:net", "--detectors", "msp"),
        *("--skip-missing", "--no-plots", "--limit", "20"),
    )
    assert code == 0, errors
    verify = ("verify", "--benchmark", "oe-mnist", "--format", "csv")
    code, _, errors = oodbench(*verify)
    assert code == 3
    assert "name one of baseline, oe_scratch, oe_tune by --against" in errors
    code, _, errors = oodbench(*verify, "--against", "basline")
    assert code == 3
    assert "did you mean 'baseline'" in errors
    code, printed, errors = oodbench(*verify, "--against", "baseline")
    rows = list(csv.DictReader(io.StringIO(printed)))
    verdicts = {row["set"]: row["verdict"] for row in rows}
    assert code == 0
    assert verdicts["notmnist"] == "not comparable"
    assert verdicts["icons50"] == verdicts["all"] == "not attempted"
    assert "20 images, and 10,000 in the benchmark" in printed
    assert "hendrycks/outlier-exposure e6ede98" in errors


@pytest.mark.parametrize(("value", "code"), [(93.94, 0), (93.93, 1)])
def test_the_exit_code_says_whether_all_is_reached(
    oodbench, monkeypatch, tmp_path, value, code
):
    monkeypatch.setattr("oodbench.benchmarks.benchmark.SHIPPED", tmp_path)
    monkeypatch.setattr("oodbench.benchmarks.published.SHIPPED", tmp_path)
    (tmp_path / "small.toml").write_text(
        'in = "digits:0-7"\n'
        'out = { near = "rest=digits:8-9" }\n'
        "[protocol]\n"
        'title = "Digits"\nsource = "nobody"\npositive = "in"\n'
        'threshold = "first"\narea = "average"\nfigures = ["auroc"]\nmeans = []\n'
    )
    source = {"title": "A", "repository": "b", "commit": "c", "path": "d"}
    row = [0, "jem-digits", "MSP", "in", "accuracy", value, None, 1]
    content = {"sources": [source | {"evidence": "e"}], "detectors": {"MSP": "msp"}}
    (tmp_path / "small.json").write_text(json.dumps(content | {"rows": [row]}))
    words = ("--benchmark", "small", "--model", "jem-digits", "--detectors", "msp")
    assert oodbench("run", *words, "--no-plots")[0] == 0
    found, printed, _ = oodbench("verify", "--benchmark", "small")
    assert found == code  # the bundled JEM has an accuracy of 93.94 %
    assert ("not reached" in printed) == bool(code)

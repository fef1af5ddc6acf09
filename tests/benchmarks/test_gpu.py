"""The command for whoever has a GPU: parts that fail, resume, and run out of time."""

import json
import sys
from importlib import util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Runs the script's `main` with given parts; returns its exit code and report."""
    spec = util.spec_from_file_location("gpu", SCRIPT)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(codes=None, *options):
        if codes is not None:
            listed = [
                module.Part(name, f"Part {name}", ["-c", code])
                for name, code in codes.items()
            ]
            monkeypatch.setattr(module, "parts", lambda options: listed)
        fixed = ["gpu.py", "--out", str(tmp_path), "--device", "cpu", "--toy"]
        monkeypatch.setattr(sys, "argv", [*fixed, *options])
        try:
            module.main()
        except SystemExit as error:
            return error.code, (tmp_path / "report.md").read_text()
        return 0, (tmp_path / "report.md").read_text()

    run.module = module
    return run


def record(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_a_part_that_fails_stops_no_other_and_is_tried_again(gpu, tmp_path):
    marker = tmp_path / "marker"
    count = f"open({str(marker)!r}, 'a').write('x')"
    code, report = gpu({"bad": "raise SystemExit('no card')", "good": count})
    assert code == 1
    assert record(tmp_path, "bad")["state"] == "failed (1)"
    assert record(tmp_path, "good")["state"] == "done"
    assert "no card" in report
    code, report = gpu({"bad": "print('a card')", "good": count})
    assert code == 0
    assert "a card" in report
    assert marker.read_text() == "x"


def test_a_part_that_takes_too_long_ends_with_what_it_started(gpu, tmp_path):
    gpu.module.LONGEST = 1
    starting = "import subprocess; subprocess.run(['sleep', '60'])"
    code, _ = gpu({"slow": starting, "good": "print(7)"})
    assert code == 1
    assert record(tmp_path, "slow")["state"] == "stopped after 1 s"
    assert record(tmp_path, "slow")["seconds"] < 30
    assert record(tmp_path, "good")["output"] == "7\n"


def test_nothing_begins_when_the_minutes_are_over(gpu, tmp_path, capsys):
    code, report = gpu({"one": "print(7)"}, "--minutes", "0")
    assert code == 0
    assert "Not reached yet" in report
    assert not (tmp_path / "one.json").exists()
    assert "The same command continues." in capsys.readouterr().out


def test_a_training_is_called_until_it_is_done(gpu, tmp_path):
    steps = tmp_path / "steps"
    code = (
        f"path = {str(steps)!r}; f = open(path, 'a+'); f.write('x'); f.seek(0)\n"
        "print('Done.' if len(f.read()) == 3 else 'Call it again.')"
    )
    assert gpu({"train": code})[0] == 0
    assert steps.read_text() == "xxx"
    assert record(tmp_path, "train")["state"] == "done"


def test_parts_without_their_files_are_skipped_with_a_sentence(gpu):
    _, report = gpu(None, "--minutes", "0")
    assert report.count("Skipped: --reference names no checkout of its code.") == 2
    assert report.count("Skipped: --data names no folder of its archives.") == 5


@pytest.mark.slow
def test_everything_runs_at_a_small_size_on_the_cpu(gpu, tmp_path):
    code, report = gpu(None)
    assert code == 0
    assert report.startswith("**A trial at a small size; none of it is a result.**")
    assert "passed" in record(tmp_path, "tests")["output"]
    scores = json.loads((tmp_path / "scores-numbers.json").read_text())
    assert scores["failed"] == {}
    assert scores["detectors"]["knn"]["largest"] == 0  # the CPU against itself
    for network in ("resnet18", "wrn28_10"):
        rows = json.loads((tmp_path / f"speed-{network}-numbers.json").read_text())
        assert all(row["images/s"] > 0 for row in rows)

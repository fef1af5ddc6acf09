"""The command line in this process: output, exit codes, sentences."""

import csv
import io
import json
import logging
import os
import pkgutil
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodbench.cli import commands

QUICK = ("--model", "ce-digits", "--out", "digits:8-9,noise:uniform", "--limit", "40")


@pytest.fixture
def results(oodbench):
    """Results of a short run in the current folder."""
    code, _, errors = oodbench("run", *QUICK, "--no-plots")
    assert code == 0, errors


COMMANDS = sorted(one.name for one in pkgutil.iter_modules(commands.__path__))


def test_help_names_every_command_once_and_its_purpose_in_full(oodbench):
    code, out, _ = oodbench("--help")
    assert code == 0
    shown = re.findall(r"^  ([a-z]+) {2,}[A-Z].*\.$", out, re.M)
    assert sorted(shown) == COMMANDS
    assert "..." not in out.partition("Options:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(oodbench, command):
    code, out, _ = oodbench(command, "--help")
    assert code == 0
    assert "Usage: oodbench" in out


def test_help_and_list_do_not_import_torch():
    code = (
        "import sys; from oodbench import cli; sys.argv = ['oodbench', sys.argv[1]]\n"
        "try: cli.main()\n"
        "except SystemExit: assert 'torch' not in sys.modules\n"
    )
    for argument in ("--help", "list"):
        subprocess.run([sys.executable, "-c", code, argument], check=True)


def test_run_prints_accuracy_and_table_and_stores(oodbench, tmp_path):
    code, out, errors = oodbench("run", *QUICK)
    assert code == 0, errors
    assert re.search(r"ce-digits\s+digits:0-7\s+40\s+\d", out)
    assert "jem_grad_norm" in out
    assert "pixel_knn (control)" in out
    assert "24 score files computed, 0 reused" in errors
    assert len(list((tmp_path / "results/runs").rglob("*.npy"))) == 24
    pictures = (tmp_path / "results/plots").glob("[!.]*")
    assert {picture.suffix for picture in pictures} == {".png", ".svg"}


@pytest.mark.usefixtures("results")
def test_table_is_markdown_where_there_is_no_terminal(oodbench):
    code, out, _ = oodbench("table")
    assert code == 0
    assert "| model" in out
    assert "near: digits:8-9" in out
    assert "FPR95" in out


@pytest.mark.usefixtures("results")
def test_table_can_be_csv(oodbench):
    _, out, _ = oodbench("table", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 16
    assert all(0 <= float(row["auroc"]) <= 1 for row in rows)


@pytest.mark.usefixtures("results")
def test_table_names_the_convention(oodbench):
    _, out, _ = oodbench("table", "--metric", "fpr95", "--convention", "openood")
    assert "OpenOOD convention" in out


@pytest.mark.usefixtures("results")
def test_rows_give_a_data_frame(tmp_path):
    import oodbench

    frame = oodbench.rows(tmp_path / "results/runs")
    assert len(frame) == 16
    assert frame.set_index(["detector", "outside"]).auroc.between(0, 1).all()


def test_list_of_a_kind_says_what_each_is(oodbench):
    code, out, _ = oodbench("list", "detectors")
    assert code == 0
    assert re.search(r"msp\s+Log odds of the most probable class", out)


def test_list_of_a_detector_says_on_what_its_defaults_were_chosen(oodbench):
    code, out, _ = oodbench("list", "detectors", "odin")
    assert code == 0
    assert "arXiv 1706.02690" in out
    assert re.search(r"epsilon=[\d.]+ +OOD validation images", out)
    told = json.loads(oodbench("list", "detectors", "knn", "--json")[1])
    assert told["parameters"]["k"] == {"default": 0, "chosen_on": None}
    assert told["fitted_on"] == "train"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detectors", "odinn"], "odin"),
        (["runs", "odin"], "`oodbench list runs` takes no name"),
    ],
)
def test_list_of_one_refuses_what_is_not_there(oodbench, arguments, message):
    code, _, errors = oodbench("list", *arguments)
    assert code != 0
    assert message in errors


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rnu"], 2, "No such command 'rnu'"),
        (["run", "--limit", "0"], 2, "limit"),
        (["run", "--model", "jem-digit"], 3, "did you mean 'jem-digits'"),
        (["run", "--model", "missing.pt"], 3, "missing.pt"),
        (["run", "--in", "digts"], 3, "did you mean 'digits'"),
        (["run", "--in", "digits:0-9", "--model", "ce-digits"], 3, "labels up to 9"),
        (["run", "--out", "digits:0-7"], 3, "holds the same images"),
        (["run", "--out", "nera=digits"], 3, "did you mean 'near'"),
        (["run", "--out", "far:folder:x"], 3, "is a role; write far=folder:x"),
        (["run", "--detectors", "msp:k=3"], 3, "no parameter of msp 'k'; there is"),
        (["run", "--detectors", "enrgy"], 3, "did you mean 'energy'"),
        (["run", "--mean", "a,b"], 3, "--mean must be numbers"),
        (["run", "--size", "0x4"], 3, "--size must be N or HxW"),
        (["run", "--arg", "depth"], 3, "write KEY=VALUE"),
        (["table"], 3, "run `oodbench run` first"),
        (["plot"], 3, "run `oodbench run` first"),
        (["table", "--metric", "auroc,fpr59"], 3, "no results"),
        (["train", "--to", "x", "--export", "x.pt"], 3, "must end in .safetensors"),
        (["train", "--to", "x", "--recipe", "jme"], 3, "did you mean 'jem'?"),
        (["train", "--to", "x", "--arch", "mpl"], 3, "did you mean 'mlp'?"),
        (["train", "--to", "x", "--arg", "hiden=3"], 3, "did you mean 'hidden'?"),
        (["train", "--to", "x", "--arg", "hidden=a"], 3, "mlp cannot be built with"),
        (["train", "--to", "x", "--sgld-noise", "big"], 3, "--sgld-noise must be"),
        (["train", "--to", "x", "--sgld-steps", "-1"], 3, "0 steps or more, not -1"),
        (["train", "--to", "x", "--in", "photos"], 3, "photos"),
        (["train", "--to", "x", "--held-out", "9", "--batch-size", "999"], 3, "lower"),
    ],
)
def test_bad_input_is_a_sentence_without_a_traceback(
    oodbench, arguments, code, message
):
    found, out, errors = oodbench(*arguments)
    assert found == code
    assert message in errors
    assert "Traceback" not in errors + out


def test_images_of_another_dtype_are_refused(oodbench, tmp_path):
    np.savez(tmp_path / "bad.npz", images=np.zeros((3, 8, 8, 1)))
    code, _, errors = oodbench("run", "--out", "npz:bad.npz")
    assert code == 3
    assert "uint8" in errors


def test_an_unexpected_error_is_a_sentence_too(oodbench, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("out of cheese")

    monkeypatch.setattr("oodbench.base.registry.listings", fail)
    code, _, errors = oodbench("list")
    assert code == 70
    assert "RuntimeError: out of cheese" in errors
    assert "--debug" in errors


def test_an_interrupt_says_how_to_go_on(oodbench, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("oodbench.base.registry.listings", stop)
    code, _, errors = oodbench("list")
    assert code == 130
    assert "the same command continues" in errors


def test_a_request_to_end_stops_a_run_as_an_interrupt_does(oodbench, monkeypatch):
    def end(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("oodbench.base.registry.listings", end)
    code, _, errors = oodbench("list")
    assert code == 143
    assert "the same command continues" in errors


@pytest.mark.usefixtures("results")
def test_list_runs_shows_what_is_stored(oodbench):
    code, out, _ = oodbench("list", "runs")
    assert code == 0
    assert "ce-digits, in digits:0-7, on digits:8-9: 8 cells" in out
    assert "stale" not in out


@pytest.mark.usefixtures("results")
def test_quiet_leaves_only_the_results(oodbench, monkeypatch):
    monkeypatch.setattr("oodbench.base.log.quiet", False)
    code, out, errors = oodbench("plot", "-q")
    assert (code, out, errors) == (0, "", "")


@pytest.mark.usefixtures("results")
def test_plot_draws_every_kind_of_picture(oodbench, tmp_path):
    assert oodbench("plot", "--to", "pictures", "--linear")[0] == 0
    drawn = {path.name.partition("-")[0] for path in tmp_path.glob("pictures/*.png")}
    assert drawn == {"heatmap", "histograms", "reliability", "roc", "costs"}


@pytest.mark.usefixtures("results")
def test_ranks_are_those_of_near_and_far_sets(oodbench):
    assert "a near or far set; here is one" in oodbench("rank")[2]
    oodbench("run", *QUICK[:2], "--out", "photos", *QUICK[-2:], "--no-plots")
    _, text, errors = oodbench("rank", "--format", "csv")
    found = list(csv.DictReader(io.StringIO(text)))
    assert len(found) == 6
    assert [float(one["rank"]) for one in found] == sorted(
        float(one["rank"]) for one in found
    )
    assert "Friedman's test" in errors


@pytest.mark.usefixtures("results")
def test_verbose_says_what_is_done_and_the_log_keeps_it(
    oodbench, tmp_path, monkeypatch
):
    logger = logging.getLogger("oodbench")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    _, _, errors = oodbench("run", *QUICK, "--no-plots", "--overwrite", "always", "-v")
    line = "ce-digits on digits:0-7: 40 images, 8 detectors in"
    assert line in errors
    assert errors.count("score files computed") == 1
    log = (tmp_path / "results/runs/oodbench.log").read_text("utf-8")
    assert log.count(line) == 2  # the first run, too
    assert log.count("score files computed") == 2
    assert "INFO oodbench" in log


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("command", ["table", "compare"])
def test_json_of_tables_is_that_of_the_format(oodbench, command):
    _, short, _ = oodbench(command, "--json")
    assert short == oodbench(command, "--format", "json")[1]
    assert isinstance(json.loads(short), list)


@pytest.mark.usefixtures("results")
def test_json_of_what_is_stored_and_installed(oodbench):
    runs = json.loads(oodbench("list", "runs", "--json")[1])
    assert {"model": "ce-digits", "cells": 8, "faults": []}.items() <= runs[0].items()
    (kind,) = json.loads(oodbench("list", "datasets", "--json")[1]).items()
    assert kind[0] == "datasets"
    assert {"digits", "noise"} < {one["name"] for one in kind[1]}
    assert set(json.loads(oodbench("list", "--json")[1])) == {
        "detectors", "datasets", "models",
    }  # fmt: skip


@pytest.mark.usefixtures("results")
def test_json_of_a_threshold_and_of_what_it_accepts(oodbench, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    chosen = ("--model", "ce-digits")
    _, text, _ = oodbench(
        "threshold", *chosen, "--detector", "energy", "--to", "t.json", "--json"
    )
    assert (
        json.loads(text)["threshold"]
        == json.loads((tmp_path / "t.json").read_text("utf-8"))["threshold"]
    )
    _, text, _ = oodbench(
        "score", "black.png", *chosen, "--threshold", "t.json", "--json"
    )
    found = json.loads(text)
    assert found["file"] == "black.png"
    assert found["accepted"] == (
        found["score"]
        >= json.loads((tmp_path / "t.json").read_text("utf-8"))["threshold"]
    )


@pytest.mark.usefixtures("results")
def test_a_table_goes_to_a_file_in_the_format_of_its_ending(oodbench, tmp_path):
    code, out, errors = oodbench("table", "--to", "new/table.tex", "--detectors", "E*")
    assert (code, out, errors) == (0, "", "Written to new/table.tex.\n")
    assert "\\toprule" in (tmp_path / "new/table.tex").read_text("utf-8")
    _, text, _ = oodbench("table", "--format", "latex", "--detectors", "E*")
    assert (tmp_path / "new/table.tex").read_text("utf-8").strip() == text.strip()


def test_a_dry_run_says_what_is_missing_and_stores_nothing(oodbench, tmp_path):
    _, out, _ = oodbench("run", *QUICK, "--no-plots", "--dry-run")
    assert "ce-digits on digits:0-7: 40 images, 8 detectors\n" in out
    assert out.splitlines()[-1].startswith("About ")
    assert not (tmp_path / "results").exists()
    oodbench("run", *QUICK, "--no-plots")
    assert (
        oodbench("run", *QUICK, "--no-plots", "--dry-run")[1]
        == "Everything is stored already.\n"
    )


def test_the_environment_names_the_folder_of_results():
    code = "from oodbench.base.defaults import RESULTS; print(RESULTS)"
    for folder, expected in (("/some/where", "/some/where"), ("", "results/runs")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OODBENCH_RESULTS": folder},
            capture_output=True,
            text=True,
            check=True,
        )
        assert Path(done.stdout.strip()) == Path(expected)


@pytest.mark.slow
def test_a_run_with_nothing_to_do_imports_no_compiler_and_no_plots(tmp_path):
    run = ["-m", "oodbench", "run", *QUICK, "--results", str(tmp_path / "runs")]
    imports = [
        subprocess.run(
            [sys.executable, "-X", "importtime", *run], capture_output=True, check=True
        ).stderr.decode()
        for _ in "12"
    ]
    late = {"matplotlib.figure", "sklearn", "pandas", "scipy.stats", "torch._dynamo"}
    first, again = ({name for name in late if f" {name}\n" in text} for text in imports)
    assert "matplotlib.figure" in first
    assert again == set()

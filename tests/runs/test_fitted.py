"""What detectors have learnt is kept: no second fit, also after damage."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from oodbench import run

DETECTORS = ["mahalanobis", "knn:k=3", "react+knn:k=3", "vim", "pixel_knn"]


@pytest.fixture
def go(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("in", "train", "a", "b"):
        pixels = rng.integers(0, 256, (40, 4, 4, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=pixels, labels=np.arange(40) % 6)
    count = Counter()
    tiny.module.register_forward_hook(lambda *_: count.update(["batches"]))

    def go(*out, results="runs", **options):
        count.clear()
        found = run(
            tiny,
            f"npz:{tmp_path}/in.npz",
            [f"npz:{tmp_path}/{name}.npz" for name in out],
            fit=f"npz:{tmp_path}/train.npz",
            detectors=options.pop("detectors", DETECTORS),
            batch_size=40,
            device="cpu",
            quiet=True,
            results=tmp_path / results,
            **options,
        )
        assert found.failed == {}
        return found, count["batches"]

    return go


def scores(result):
    files = result.results.rglob("*.npy")
    return {path: path.read_bytes() for path in files if "fitted" not in path.parts}


def test_a_new_set_needs_no_second_fit(go):
    go("a")
    _, batches = go("a", "b")
    _, nothing = go("a", "b")
    _, plain = go("b", results="plain", detectors="msp")
    assert nothing == 0
    assert batches == plain - 1  # the in-distribution set is scored already


def test_scores_are_those_of_a_run_that_fits(go):
    whole, _ = go("a", "b", results="whole")
    go("a")
    parts, _ = go("a", "b")
    named = [
        {path.relative_to(one.results): own for path, own in scores(one).items()}
        for one in (whole, parts)
    ]
    assert named[0] == named[1]
    assert len(named[0]) == 3 * len(DETECTORS)


def test_the_record_says_how_many_images_a_detector_has_drawn(go):
    detectors = ["knn:k=3", "react+knn:k=3:share=0.5", "vim"]
    found, _ = go("a", detectors=detectors)
    go("a", "b", detectors=detectors)
    records = [json.loads(path.read_bytes()) for path in found.results.rglob("*.json")]
    drawn = {}
    for one in (r["detector"] for r in records if "detector" in r):
        drawn.setdefault(one["name"], []).append(one["drawn"])
    assert drawn == {
        "knn": [{"KNN": 40}] * 3,
        "react+knn": [{"KNN": 20}] * 3,
        "vim": [{}] * 3,
    }


def test_damage_is_found_and_mended(go, tmp_path):
    result, _ = go("a")
    before = scores(result)
    for path in tmp_path.rglob("fitted/tensors/*.npy"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    for path in tmp_path.rglob("*.json"):
        if path.parents[1].name != "fitted":
            path.unlink()
    assert scores(go("a")[0]) == before
    _, batches = go("a", "b")
    _, plain = go("b", results="plain", detectors="msp")
    assert batches == plain - 1  # nothing is fitted a third time


def test_damaged_records_are_removed_with_stale_cells(go, tmp_path):
    go("a")
    for path in tmp_path.rglob("fitted/detectors/*.json"):
        path.write_text("{")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "train.npz", images=pixels, labels=np.arange(40) % 6)
    found, _ = go("a", overwrite="stale")
    assert found.removed > 0
    for path in tmp_path.rglob("fitted/detectors/*.json"):
        assert path.read_text() != "{"


def test_what_no_score_needs_is_removed_with_stale_cells(go, tmp_path):
    go("a")
    kept = {path.name for path in tmp_path.rglob("fitted/*/*")}
    pixels = np.random.default_rng(1).integers(0, 256, (40, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "train.npz", images=pixels, labels=np.arange(40) % 6)
    go("a", overwrite="stale")
    now = {path.name for path in tmp_path.rglob("fitted/*/*")}
    # ViM's origin depends on the head alone, and small banks have an empty basis.
    same = [path for path in tmp_path.rglob("fitted/*/*") if path.name in kept]
    assert sorted(np.load(path).size > 0 for path in same) == [False, True]
    assert len(now) == len(kept)


FITTING = """
import os
from dataclasses import dataclass, field
from torch import Tensor
from oodbench import Detector, Known, Need, Outputs

@dataclass
class Mean(Detector):
    needs = Need.FEATURES
    fitted_on = "train"
    mean: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        with open("fits", "a") as file:
            file.write(f"{os.environ.get('RANK', '0')} ")
        self.mean = known.features.mean(0)

    def score(self, batch: Outputs) -> Tensor:
        return -(batch.features - self.mean).norm(dim=1)
"""


@pytest.mark.slow
def test_one_of_several_processes_fits_for_all(tmp_path):
    (tmp_path / "mine.py").write_text(FITTING)
    options = ["run", "--model", "ce-digits", "--out", "digits:8-9", "--no-plots", "-q"]
    options += ["--detectors", "mine.py:Mean,knn", "--batch-size", "16"]
    entry = ["-c", "from oodbench.cli import main; main()"]
    launched = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    launched += [sys.executable]
    for results, before in (("one", []), ("two", launched)):
        command = [sys.executable, *before, *entry, *options, "--results", results]
        subprocess.run(command, check=True, cwd=tmp_path)
    assert (tmp_path / "fits").read_text() == "0 0 "  # one in each run
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two

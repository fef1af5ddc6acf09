"""Interrupted, shared and repeated runs end with the bytes of one undisturbed run."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from oodbench import Detector, Network, run
from oodbench.base.processes import Processes
from oodbench.results.opened import open_results
from oodbench.results.stale import stale_cells
from oodbench.results.store import Store
from oodbench.runs import chunks
from oodbench.runs.chunks import spans_of
from oodbench.runs.result import RunResult
from oodbench.runs.stale import remove_stale
from oodbench.scoring.scored import Scored, from_bytes, to_bytes

SCORED = Scored(
    {"predictions": np.arange(3)}, {"a/../b": np.array([0.5, 1, 2])}, {"c": "why"}
)


@pytest.fixture
def sets(tmp_path):
    """Two sets of a few hundred images, as specs."""
    rng = np.random.default_rng(0)
    for name, low in (("in", 0), ("out", 90), ("fit", 10)):
        images = rng.integers(low, 256, (150, 4, 4, 1), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(150) % 6)
    return [f"npz:{tmp_path}/{name}.npz" for name in ("in", "out", "fit")]


@pytest.fixture
def go(tiny, sets, monkeypatch):
    """Runs three detectors in chunks of 20 images, batches of 10."""
    monkeypatch.setattr(chunks, "CHUNK", 20)

    def go(folder, network=tiny, **options):
        options.setdefault("detectors", ["msp", "energy", "jem_grad_norm"])
        options.setdefault("out", [sets[1]])
        return run(
            [network], sets[0], batch_size=10, device="cpu", results=folder, **options
        )

    return go


def contents(folder):
    files = sorted(path for path in folder.rglob("*.np[yz]"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_chunks_cover_all_images_with_whole_batches():
    spans = spans_of(10_000, 96)
    assert spans[0][0] == 0
    assert spans[-1][1] == 10_000
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all((stop - start) % 96 == 0 for start, stop in spans[:-1])


def test_what_was_scored_is_read_back():
    back = from_bytes(to_bytes(SCORED))
    assert back.failures == SCORED.failures
    assert back.scores["a/../b"].tolist() == [0.5, 1, 2]
    assert back.predictions["predictions"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_damaged_chunk_counts_as_missing(share):
    content = to_bytes(SCORED)
    assert from_bytes(content[: int(share * len(content))]) is None


def test_a_run_stopped_at_any_batch_goes_on_to_the_same_bytes(
    go, tmp_path, monkeypatch
):
    go(tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    forward = Network.__call__
    for stop in range(1, 30, 4):
        calls = iter(range(stop))

        def stopping(self, pixels, calls=calls, **how):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return forward(self, pixels, **how)

        monkeypatch.setattr(Network, "__call__", stopping)
        folder = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            go(folder)
        monkeypatch.setattr(Network, "__call__", forward)
        go(folder)
        assert contents(folder) == whole


@pytest.mark.parametrize("roles", [("far", "covariate"), ("covariate", "far")])
def test_chunks_of_another_role_are_not_those_of_a_run(
    go, sets, tmp_path, monkeypatch, roles
):
    """Only of covariate-shifted images are losses stored, for their accuracy."""
    out = sets[1]
    forward, calls = Network.__call__, iter(range(24))  # of 15 for the first set

    def stopping(self, pixels, **how):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return forward(self, pixels, **how)

    monkeypatch.setattr(Network, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "runs", out=[f"{roles[0]}=x={out}"])
    assert list((tmp_path / "runs").rglob(".partial-*/*.npz"))
    monkeypatch.setattr(Network, "__call__", forward)
    found = go(tmp_path / "runs", out=[f"{roles[1]}=x={out}"])
    assert not found.failed
    (measured,) = open_results(tmp_path / "runs").measured
    assert set(measured.shifted) == ({"x"} if roles[1] == "covariate" else set())


@dataclass
class Late(Detector):
    """Fails to be fitted until it is ready."""

    fitted_on = "train"
    is_ready: ClassVar = False

    def fit(self, known):
        if not Late.is_ready:
            raise ValueError("not ready")

    def score(self, batch):
        return batch.logits.amax(1)


def test_chunks_without_a_detector_that_failed_are_not_taken_for_those_with_it(
    go, sets, tmp_path, monkeypatch
):
    options = {"detectors": ["msp", Late()], "fit": sets[2]}
    monkeypatch.setattr(Late, "is_ready", True)
    go(tmp_path / "whole", **options)
    forward, calls = Network.__call__, iter(range(30))

    def stopping(self, pixels, **how):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return forward(self, pixels, **how)

    monkeypatch.setattr(Late, "is_ready", False)
    monkeypatch.setattr(Network, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "parts", **options)
    monkeypatch.setattr(Network, "__call__", forward)
    monkeypatch.setattr(Late, "is_ready", True)
    assert go(tmp_path / "parts", **options).failed == {}
    assert contents(tmp_path / "parts").items() >= contents(tmp_path / "whole").items()


def test_what_is_left_to_do_shrinks_with_every_interruption(go, tmp_path, monkeypatch):
    forward, done = Network.__call__, []

    def counting(self, pixels, **how):
        done.append(len(pixels))
        if len(done) % 12 == 0:
            raise KeyboardInterrupt
        return forward(self, pixels, **how)

    monkeypatch.setattr(Network, "__call__", counting)
    for _ in range(20):
        try:
            go(tmp_path)
            break
        except KeyboardInterrupt:
            pass
    # 30 batches; at each start a few to check the network, and a chunk of two again.
    assert len(done) <= 30 + 8 * (1 + len(done) // 12)


def test_no_chunk_is_left_when_a_run_is_done(go, tmp_path):
    go(tmp_path)
    assert not list(tmp_path.rglob(".partial*"))


def test_processes_that_share_a_run_write_the_bytes_of_one(go, tmp_path, monkeypatch):
    go(tmp_path / "one")
    for rank in (2, 1, 0):  # the first process joins the chunks, so it comes last
        fellow = Processes(rank, 3)
        monkeypatch.setattr(Processes, "agree", lambda self, decision: decision)
        monkeypatch.setattr(Processes, "wait", lambda self: None)
        monkeypatch.setattr(
            "oodbench.runs.run.join", lambda device, fellow=fellow: (fellow, device)
        )
        assert go(tmp_path / "three").is_first == (rank == 0)
    assert contents(tmp_path / "three") == contents(tmp_path / "one")


def test_overwrite_always_computes_everything(go, tmp_path):
    go(tmp_path)
    before = contents(tmp_path)
    again = go(tmp_path, overwrite="always")
    assert (again.computed, again.reused) == (6, 0)
    assert contents(tmp_path) == before


def test_a_changed_checkpoint_makes_cells_stale_until_they_are_removed(
    go, tmp_path, tiny
):
    go(tmp_path)
    tiny.module.head.bias += 1
    go(tmp_path)
    stale = stale_cells(Store(tmp_path).sets())
    assert len(stale) == 6
    assert {one.why for one in stale} == {"other weights or preprocessing"}
    finished = go(tmp_path, overwrite="stale")
    assert (finished.computed, finished.removed) == (0, 6)
    assert stale_cells(Store(tmp_path).sets()) == []
    assert len(list(Store(tmp_path).sets())) == 2


def test_another_version_of_a_detector_makes_its_cells_stale(go, tmp_path):
    go(tmp_path)
    sources = {"msp": "another hash"}
    stale = stale_cells(Store(tmp_path).sets(), sources)
    assert {one.record["detector"]["label"] for one in stale} == {"msp"}
    assert {one.why for one in stale} == {"another version of the detector"}


def test_stale_cells_of_others_stay(go, tmp_path, tiny):
    go(tmp_path)
    tiny.module.head.bias += 1
    go(tmp_path)
    remove_stale(Store(tmp_path), RunResult(tmp_path))
    assert len(stale_cells(Store(tmp_path).sets())) == 6


def test_one_relative_path_in_two_working_folders_is_two_sets(
    tiny, tmp_path, monkeypatch
):
    for seed, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        rng = np.random.default_rng(seed)
        for part in ("in", "out"):
            pixels = rng.integers(0, 256, (9, 4, 4, 1), np.uint8)
            np.savez(f"{part}.npz", images=pixels)
        found = run(
            tiny, "npz:in.npz", "npz:out.npz", detectors="msp", device="cpu",
            quiet=True, results=tmp_path / "runs", overwrite="stale",
        )  # fmt: skip
        assert found.removed == 0
    assert len(contents(tmp_path / "runs")) == 8


def test_other_parameters_make_nothing_stale(go, tmp_path):
    go(tmp_path, detectors=["energy"])
    go(tmp_path, detectors=["energy:temperature=2"])
    assert stale_cells(Store(tmp_path).sets()) == []


def test_a_damaged_record_is_set_aside_and_computed_again(go, tmp_path):
    go(tmp_path)
    before = contents(tmp_path)
    record = next(tmp_path.rglob("msp-*.json"))
    record.write_text("torn")
    assert go(tmp_path).computed == 1
    assert contents(tmp_path) == before
    assert record.with_name(f"{record.name}.damaged").read_text() == "torn"


def test_old_unfinished_writes_are_swept(tmp_path):
    old, young = tmp_path / ".writing-1-a", tmp_path / ".writing-2-b"
    for path in (old, young):
        path.write_text("half")
    forgotten, recent = tmp_path / "set" / ".partial-a", tmp_path / "set" / ".partial-b"
    for path in (forgotten, recent):
        path.mkdir(parents=True)
    for path in (old, forgotten):
        os.utime(path, (1, 1))
    Store(tmp_path).sweep()
    assert not old.exists()
    assert not forgotten.exists()
    assert young.exists()
    assert recent.exists()


def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(
    go, tmp_path, monkeypatch, caplog
):
    forward = Network.__call__
    go(tmp_path / "plenty")

    def small(self, pixels, **how):
        if len(pixels) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes")
        return forward(self, pixels, **how)

    monkeypatch.setattr(Network, "__call__", small)
    go(tmp_path / "scarce")
    plenty, scarce = contents(tmp_path / "plenty"), contents(tmp_path / "scarce")
    assert plenty.keys() == scarce.keys()
    for name in (n for n in plenty if n.suffix == ".npy"):
        folder = tmp_path / "plenty", tmp_path / "scarce"
        one, other = (np.load(f / name) for f in folder)
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
    assert "going on with batches of 2" in caplog.text


def test_an_error_that_is_not_about_memory_fails_the_set(go, tmp_path, monkeypatch):
    def broken(self, pixels, **how):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(Network, "__call__", broken)
    fault = go(tmp_path).failed["tiny on in"]
    assert re.search(r"'tiny' fails on .* 0 to 9 .*shape mismatch", fault)


def test_workers_read_the_same_images(go, tmp_path):
    go(tmp_path / "none")
    go(tmp_path / "two", workers=2)
    assert contents(tmp_path / "none") == contents(tmp_path / "two")


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_is_another_model_with_nearly_the_same_scores(
    go, tmp_path, tiny, precision
):
    go(tmp_path)
    go(tmp_path, precision=precision)
    names = {file.read()["model"]["name"] for file in Store(tmp_path).sets()}
    assert names == {"tiny", f"tiny ({precision})"}
    scores = {}
    for file in Store(tmp_path).sets():
        for cell in file.cells():
            record = cell.read()
            key = record["set"]["name"], record["detector"]["label"]
            scores.setdefault(key, []).append(cell.load().scores)
    for full, half in scores.values():
        assert full == pytest.approx(half, rel=0.1, abs=0.1)
        # On the CPU, TF32 is float32.
        assert np.array_equal(full, half) == (precision == "tf32")


SCRIPT = """
import sys
from oodbench.runs import chunks
from oodbench.cli import main
chunks.CHUNK = 16
sys.argv = ["oodbench", "run", "--model", "ce-digits", "--out", "digits:8-9",
            "--detectors", "msp,jem_grad_norm", "--batch-size", "16", "--no-plots"]
main()
"""


def start(folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_killed_processes_are_resumed_to_the_same_bytes(tmp_path):
    clean = start(tmp_path / "clean")
    began = time.monotonic()
    clean.communicate()
    took = time.monotonic() - began
    random.seed(0)
    for _ in range(3):
        process = start(tmp_path / "killed")
        time.sleep(took * random.uniform(0.4, 0.95))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    start(tmp_path / "killed").communicate()
    results = (tmp_path / name / "results" for name in ("clean", "killed"))
    one, other = map(contents, results)
    assert one
    assert one == other


@pytest.mark.slow
def test_writers_on_one_folder_lose_nothing(tmp_path):
    start(tmp_path / "one").communicate()
    writers = [start(tmp_path / "many") for _ in range(3)]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    one, many = (contents(tmp_path / n / "results") for n in ("one", "many"))
    assert one == many

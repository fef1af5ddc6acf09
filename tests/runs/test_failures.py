"""A failure takes nothing else along; no wrong number comes without a word."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import Dataset, Detector, InputError, Network, Split, run
from oodbench.base import registry
from oodbench.base.errors import InputError as BaseInputError
from oodbench.base.files import write_atomically
from oodbench.runs import chunks
from oodbench.runs.chunks import Partial
from oodbench.scoring.scored import Scored

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
LABELS = RNG.integers(0, 6, 60)


def dataset(name, images, labels=None):
    return Dataset(name, lambda *_: Split(images, labels), "far")


INSIDE = dataset("in", IMAGES[:30], LABELS[:30])
OUT = dataset("out", IMAGES[30:])


@pytest.fixture
def go(tiny, tmp_path):
    def go(models=tiny, out=OUT, detectors="msp,energy", **options):
        options.setdefault("results", tmp_path / "runs")
        options.setdefault("inside", INSIDE)
        return run(models, out=out, detectors=detectors, device="cpu", **options)

    return go


class Sick:
    """Images that do something when they are read in full."""

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 30

    def __getitem__(self, chunk):
        if chunk.stop > 1:
            self.act()
        return IMAGES[30:][chunk]


def test_a_file_that_is_no_image_fails_its_set_alone(go, tmp_path):
    for name in ("a", "b"):
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    result = go(out=[f"folder:{tmp_path}", OUT])
    (name,) = result.failed
    assert name.startswith("tiny on ")
    assert "b.png cannot be read" in result.failed[name]
    assert result.computed == 4
    assert set(result.rows().outside) == {"out"}


def test_a_model_that_cannot_be_opened_stops_no_other(go, tmp_path):
    result = go(models=["missing.pt", Network(torch.nn.Flatten(), (1, 4, 4), "flat")])
    assert "missing.pt" in result.failed["missing.pt (model 1)"]
    assert result.computed == 4
    with pytest.raises(InputError, match=r"missing\.pt"):
        go(models="missing.pt")
    with pytest.raises(InputError, match="no model"):
        go(models=[])


@pytest.mark.parametrize(
    "act",
    [lambda: os._exit(0), lambda: exit(0), lambda: [].pop(), lambda: bytes(1 << 60)],
    ids=["os._exit", "exit", "IndexError", "MemoryError"],
)
def test_whatever_a_plugin_does_the_others_are_scored(go, monkeypatch, act):
    @dataclass
    class Wild(Detector):
        def score(self, batch):
            act()
            return batch.logits[:, 0]

    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda k, n: Wild if n == "wild" else load(k, n)
    )
    result = go(detectors=["wild", "msp"], out=[dataset("sick", Sick(act)), OUT])
    assert {"wild of tiny on in", "wild of tiny on out", "sick"} == result.failed.keys()
    assert result.computed == 2


def test_a_killed_reader_is_a_sentence_and_the_next_set_is_scored(go):
    def kill():
        if torch.utils.data.get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)

    result = go(out=[dataset("sick", Sick(kill)), OUT], workers=1)
    assert "--workers" in result.failed["tiny on sick"]
    assert result.computed == 4


def test_settings_that_a_network_leaves_are_put_back_with_a_warning(go):
    class Loud(torch.nn.Linear):
        def forward(self, images):
            if len(images) > 2:  # not when the network is made
                os.chdir("/")
                torch.set_float32_matmul_precision("medium")
            return super().forward(images.flatten(1))

    before = Path.cwd()
    result = go(models=Network(Loud(16, 6), (1, 4, 4), "loud"))
    assert (Path.cwd(), torch.get_float32_matmul_precision()) == (before, "highest")
    assert "Warning: Running the model loud changes" in result.summary()[0]


def test_results_are_where_they_were_meant_when_code_leaves_the_folder(
    go, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out = dataset("sick", Sick(lambda: os.chdir("/")))
    assert go(out=out, results="here").failed == {}
    assert len(list((tmp_path / "here").rglob("*.npy"))) == 4
    assert Path.cwd() == tmp_path


def test_fitting_on_evaluated_images_is_refused_or_warned_of(go):
    both = dataset("both", IMAGES, LABELS)
    some = dataset("some", IMAGES[:10])
    for fit, named in ((OUT, "out"), (both, "in"), (INSIDE, "in")):
        with pytest.raises(InputError, match=f"evaluated as {named}; .* --fit"):
            go(detectors="pixel_knn", fit=fit)
    assert go(detectors="msp", fit=OUT).failed == {}  # it fits nothing
    result = go(detectors="pixel_knn", fit=some)
    assert (
        "10 of 30 images of in are among the test images of some" in result.warnings[0]
    )


def test_no_cell_of_a_run_is_stale_beside_another_of_the_run(go):
    twins = [dataset("test", IMAGES[30:45]), dataset("test", IMAGES[45:])]
    result = go(out=twins, overwrite="stale")
    assert (result.computed, result.removed) == (6, 0)
    assert len(result.rows()) == 4


@pytest.mark.parametrize("kind", ["file", "below a file", "loop", "too long", "null"])
def test_a_folder_that_cannot_be_written_to_is_refused_at_once(go, tmp_path, kind):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    folder = {
        "file": tmp_path / "file",
        "below a file": tmp_path / "file" / "runs",
        "loop": tmp_path / "loop",
        "too long": tmp_path / ("a" * 300),
        "null": "a\0b",
    }[kind]
    with pytest.raises(InputError, match="cannot be written to"):
        go(results=folder)


def test_a_chunk_whose_folder_another_run_removes_is_computed_again(
    go, tmp_path, monkeypatch
):
    whole = go(results=tmp_path / "whole").rows()
    monkeypatch.setattr(chunks, "CHUNK", 10)

    def vanish(path, content):
        raise BaseInputError("gone") from FileNotFoundError(path)

    monkeypatch.setattr(chunks, "write_atomically", vanish)
    again = go(results=tmp_path / "again", batch_size=10)
    assert again.rows().auroc.tolist() == whole.auroc.tolist()


def test_a_chunk_that_cannot_be_stored_for_another_reason_is_an_error(tmp_path):
    write_atomically(tmp_path / "file", b"")
    with pytest.raises(BaseInputError, match="Cannot write"):
        Partial(tmp_path / "file" / "chunks").write((0, 1), Scored({}, {}, {}))

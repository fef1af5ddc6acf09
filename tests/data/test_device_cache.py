"""Batches that stay on the device are read once and change no score."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import Dataset, Network, Shape, Split
from oodbench.data import image_files
from oodbench.data.device_cache import Resident
from oodbench.data.feed import feed
from oodbench.data.spec import open_dataset
from oodbench.results.store import Store
from oodbench.runs.cells import Execution
from oodbench.runs.task import Task
from oodbench.scoring.batches import cut
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

CPU = torch.device("cpu")
SHAPE = Shape(1, 4, 4)
SPANS = list(cut(0, 40, 16))
BATCH = 16 * 4 * 4 * 4
"""Bytes of sixteen images."""


class Counted:
    """Images that count how many of them were read."""

    def __init__(self, images):
        self.images, self.read = images, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, chunk):
        few = self.images[chunk]
        self.read += len(few)
        return few


@pytest.fixture
def counted(images):
    return Counted(images.images)


@pytest.fixture
def tiny(tiny, device):
    return tiny.to(device)


@pytest.fixture
def other(tiny):
    return Network(type(tiny.module)(seed=1), SHAPE, "other").to(tiny.device)


def quiet(done):
    pass


def reader(images, workers=0):
    return partial(feed, images, shape=SHAPE, device=CPU, workers=workers)


def batches(kept, images, key="key", workers=0):
    return list(kept.batches(key, SPANS, reader(images, workers)))


def joined(several):
    return torch.cat([batch.pixels for batch in several]).cpu()


def test_what_is_kept_is_not_read_again(counted):
    kept = Resident()
    first = batches(kept, counted)
    assert torch.equal(joined(batches(kept, counted)), joined(first))
    assert counted.read == 40
    assert kept.size == 40 * 4 * 4 * 4


def test_without_a_key_nothing_is_kept(counted):
    kept = Resident()
    batches(kept, counted, key=None)
    assert kept.size == 0


@pytest.mark.parametrize(("fitting", "read"), [(0, 40), (1, 24), (2, 8), (2.5, 0)])
def test_a_budget_keeps_as_many_batches_as_it_holds(counted, fitting, read):
    kept = Resident(int(fitting * BATCH))
    first = batches(kept, counted)
    counted.read = 0
    assert torch.equal(joined(batches(kept, counted)), joined(first))
    assert counted.read == read
    assert kept.size <= kept.budget


def test_what_is_given_up_on_the_way_is_read_again(counted):
    kept = Resident()
    first = batches(kept, counted)
    again = kept.batches("key", SPANS, reader(counted))
    begun = [next(again)]
    kept.give_up()
    assert torch.equal(joined(begun + list(again)), joined(first))
    assert counted.read == 40 + 24
    assert kept.size == 0


def test_batches_of_workers_leave_the_shared_memory(images):
    kept = Resident()
    batches(kept, images.images, workers=2)
    assert not any(fed.pixels.is_shared() for fed in batches(kept, images.images))


# --- in the engine


NAMES = ("msp", "jem_grad_norm", "pixel_stats", "jem_refine")


def engine_of(network, kept, size=16):
    detectors = {name: open_detector(name).detector for name in NAMES}
    return Engine(network, detectors, size, resident=kept)


def score(network, split, kept, key="key"):
    engine = engine_of(network, kept)
    assert engine.fit("train", split, tell=quiet, key=key) == {}
    spans = [(0, len(split.images))]
    (scored,) = engine.score_spans(split, spans, has_labels=True, tell=quiet, key=key)
    assert scored.failures == {}
    return scored.scores


def equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_networks_and_fits_share_one_reading_and_keep_their_scores(
    tiny, other, counted, images
):
    kept, split = Resident(), Split(counted, images.labels)
    for network in (tiny, other, tiny):
        found = score(network, split, kept)
        assert equal(found, score(network, images, Resident(0)))
    assert counted.read == 40


@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((1, 4, 4), 16, {"key": "another"}),
        ((1, 4, 4), 16, {"digested": True}),
        ((1, 4, 4), 20, {}),
        ((3, 8, 8), 16, {}),
    ],
)
def test_other_images_digests_batches_and_shapes_are_read_for_themselves(
    tiny, counted, shape, size, options
):
    kept, split, whole = Resident(), Split(counted), [(0, 40)]
    asked = {"has_labels": False, "tell": quiet, "key": "key"}
    first = engine_of(tiny, kept)
    list(first.score_spans(split, whole, **asked))
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(np.prod(shape), 6))
    second = engine_of(Network(module, shape).to(tiny.device), kept, size)
    list(second.score_spans(split, whole, **{**asked, **options}))
    assert counted.read == 80


def test_nobody_writes_into_what_is_kept(tiny, images):
    class InPlace(torch.nn.Module):
        def forward(self, pixels):
            return tiny.module(pixels.mul_(2).clamp_(0, 1))

    kept = Resident()
    score(Network(InPlace(), SHAPE), images, kept)
    held = list(kept._held.values())
    assert torch.equal(joined(held), joined(batches(Resident(0), images.images)))
    assert [batch.pixels._version for batch in held] == [0, 0, 0]


def test_memory_that_runs_out_takes_what_is_kept_before_it_halves_the_batch(
    tiny, counted, images, caplog
):
    kept, split = Resident(), Split(counted, images.labels)
    batches(kept, counted)

    def crowded(module, inputs):
        if kept.size:
            raise torch.OutOfMemoryError("too much is kept")

    plain = score(tiny, images, Resident(0))
    tiny.module.register_forward_pre_hook(crowded)
    with caplog.at_level(logging.WARNING):
        assert equal(score(tiny, split, kept), plain)
    assert caplog.messages == ["Out of memory; images stay on the device no longer."]
    assert kept.size == 0


# --- in a run


def run(folder, networks, sets, kept, **options):
    inside, *out = sets
    task = Task(
        inside,
        out,
        ["msp", "jem_grad_norm"],
        execution=Execution(Store(folder), batch_size=16, resident=kept),
        device=networks[0].device,
        **options,
    )
    for network in networks:
        task.score(network)
    assert task.result.failed == {}


def contents(folder):
    files = sorted(folder.rglob("*.np[yz]"))
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_run_over_two_networks_writes_the_same_bytes(
    tiny, other, images, counted, tmp_path
):
    turned = Counted(images.images[::-1])
    sets = [
        Dataset("in", lambda *_: Split(counted, images.labels), "unstated"),
        Dataset("out", lambda *_: Split(turned[:9]), "far"),
    ]
    run(tmp_path / "anew", [tiny, other], sets, Resident(0))
    counted.read = 0
    run(tmp_path / "kept", [tiny, other], sets, Resident())
    assert contents(tmp_path / "kept") == contents(tmp_path / "anew")
    # Once to be hashed, once for both networks, and 16 to check each network.
    assert counted.read == 40 + 40 + 2 * 16


def test_images_in_files_are_decoded_once_for_all_networks(
    tiny, other, images, tmp_path, monkeypatch
):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images.images):
        Image.fromarray(image[:, :, 0]).save(folder / f"{number:02}.png")
    sets = [
        Dataset("in", lambda *_: Split(255 - images.images), "unstated"),
        open_dataset(f"folder:{folder}"),
    ]
    run(tmp_path / "anew", [tiny, other], sets, Resident(0))
    decoded = []
    read = image_files.read_image
    monkeypatch.setattr(
        image_files, "read_image", lambda path: decoded.append(path) or read(path)
    )
    run(tmp_path / "kept", [tiny, other], sets, Resident())
    assert contents(tmp_path / "kept") == contents(tmp_path / "anew")
    assert len(decoded) == 40

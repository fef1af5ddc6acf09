"""Training runs: what they are made of, what they leave, and how they go on."""

import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Shape, Split, load_network
from oodbench.jem.training import folder as folders
from oodbench.jem.training import trainer as trainers
from oodbench.jem.training.images import gather
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.run import train
from oodbench.networks.build import build

SHORT = Recipe(epochs=4, warmup=5, buffer_size=70, sgld_steps=3, snapshot_every=10)
SMALL = {"hidden": "8"}


def run(folder, recipe=SHORT, **options):
    return train("digits:0-7", folder, recipe=recipe, arch_args=SMALL, **options)


def read_log(folder):
    return [
        json.loads(line) for line in (folder / "log.jsonl").read_text().split("\n")[:-1]
    ]


def weights(trained):
    return torch.cat([each.flatten() for each in trained.module.parameters()])


@pytest.fixture
def eager(monkeypatch):
    """Writes every checkpoint."""
    monkeypatch.setattr(folders, "SAVE_SECONDS", -1.0)


@pytest.fixture
def one_split(tmp_path):
    """A set with a single split: forty random images of two classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", images=images, labels=np.arange(40) % 2)
    return f"npz:{tmp_path / 'one.npz'}"


# --- what a run is made of


def test_digits_bring_all_three_splits():
    material = gather("digits:0-7")
    assert (material.shape, material.classes) == (Shape(1, 8, 8), 8)
    assert [len(material.train.labels), *(len(each.labels) for each in
            material.measured.values())] == [863, 217, 363]  # fmt: skip
    assert material.train.images.min() == -1
    assert material.train.images.max() == 1


def test_a_set_of_one_split_is_trained_on_and_some_of_it_can_be_held_out(one_split):
    whole = gather(one_split)
    assert (len(whole.train.labels), whole.measured) == (40, {})
    parted = gather(one_split, test=one_split, held_out=8)
    assert len(parted.train.labels) == 32
    assert {name: len(each.labels) for name, each in parted.measured.items()} == {
        "val": 8,
        "test": 40,
    }
    parts = torch.cat([parted.train.images, parted.measured["val"].images])
    assert sorted(map(str, parts.tolist())) == sorted(
        map(str, whole.train.images.tolist())
    )
    with pytest.raises(InputError, match="40 images, of which 40 cannot be held out"):
        gather(one_split, held_out=40)


def test_networks_of_ours_are_told_shape_and_classes():
    for arch, arguments in {
        "mlp": {"hidden": "5,4", "activation": "silu"},
        "cnn": {"width": "4"},
        "jem_wrn": {"depth": "10", "width": "1", "unconditional": "True"},
    }.items():
        built = build(arch, arguments, Shape(3, 32, 32), 7, seed=0)
        output = built.module(torch.zeros(2, 3, 32, 32))
        logits = output[0] if isinstance(output, tuple) else output
        assert logits.shape == (2, 7)
        assert built.card["name"] == arch


def test_a_seed_decides_the_weights_and_leaves_the_global_numbers():
    before = torch.get_rng_state()
    first, same, other = (
        build("mlp", SMALL, Shape(1, 4, 4), 3, seed).module[1].weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


# --- how a run goes on


class Stop(KeyboardInterrupt):
    pass


def interrupted(at):
    """Returns a watch that is interrupted once so many iterations are done."""
    done = 0

    def watch(stage, total):
        def tell(steps, note=""):
            nonlocal done
            done += steps
            if done >= at:
                raise Stop

        return tell

    return watch


@pytest.mark.parametrize("recipe", [SHORT, replace(SHORT, weight_x=0.0, ema=0.9)])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, recipe):
    whole = run(tmp_path / "whole", recipe)
    with pytest.raises(Stop):
        run(tmp_path / "part", recipe, watch=interrupted(50))
    rest = run(tmp_path / "part", recipe)
    assert torch.equal(weights(whole), weights(rest))
    logs = [read_log(tmp_path / name) for name in ("whole", "part")]
    last = [lines[-1]["val_accuracy"] for lines in logs]
    assert last[0] == last[1]
    assert [line["iteration"] for line in logs[1]] == sorted(
        line["iteration"] for line in logs[1]
    )


CODE = """
import sys, torch
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training import folder, run
folder.SAVE_SECONDS = -1.0
torch.set_num_threads(1)
recipe = Recipe(epochs=400, buffer_size=70, sgld_steps=3, snapshot_every=10)
run.train("digits:0-7", sys.argv[1], recipe=recipe, arch_args={"hidden": "8"})
"""


LONG = Recipe(epochs=400, buffer_size=70, sgld_steps=3, snapshot_every=10)


@pytest.mark.slow
@pytest.mark.parametrize("found", ["fp32", "bf16"])
def test_auto_is_what_the_processor_has_and_stays_that_on_another(
    tmp_path, monkeypatch, found
):
    def on(precision):
        monkeypatch.setattr(trainers, "fastest", lambda device: precision)

    on(found)
    given, automatic = (replace(SHORT, precision=one) for one in (found, "auto"))
    direct = run(None, given)
    with pytest.raises(Stop):
        run(tmp_path, automatic, watch=interrupted(at=20))
    on("bf16" if found == "fp32" else "fp32")
    resumed = run(tmp_path, automatic)
    assert torch.equal(weights(resumed), weights(direct))
    assert resumed.card["recipe"]["precision"] == found
    assert read_log(tmp_path)[0] == {"iteration": 0, "precision": found}


def test_a_killed_run_leaves_a_whole_checkpoint(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path / "run")])
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    while not (tmp_path / "run" / "buffer-0000030.png").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_network(checkpoint).classes == 8
    seen = []

    def watch(stage, total):
        return lambda steps, note="": seen.append(steps)

    assert run(tmp_path / "run", LONG, watch=watch, minutes=1e-9) is None
    assert seen[0] >= 30  # it went on from there


@pytest.mark.usefixtures("eager")
def test_a_run_out_of_time_stops_at_a_checkpoint_and_goes_on(tmp_path):
    whole = run(None)
    rounds = 0
    while (part := run(tmp_path / "part", minutes=1e-9)) is None:
        rounds += 1
    assert rounds == 5  # 52 iterations, a state every ten
    assert torch.equal(weights(whole), weights(part))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = run(tmp_path / "run")

    def never(stage, total):
        return lambda steps, note="": None if steps == total else pytest.fail("trains")

    again = run(tmp_path / "run", watch=never)
    assert torch.equal(weights(first), weights(again))
    assert first.card == again.card


def test_a_folder_with_another_run_is_one_sentence(tmp_path):
    run(tmp_path)
    with pytest.raises(InputError, match=r"a run with epochs 4, and this one has 5"):
        run(tmp_path, replace(SHORT, epochs=5))
    assert run(tmp_path, replace(SHORT, epochs=5), overwrite=True)


def holding(folder):
    """Starts a long training in another process; returns it once it has the lock."""
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder)])
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_a_second_training_in_a_folder_is_one_sentence_until_the_first_is_killed(
    tmp_path,
):
    process = holding(tmp_path / "run")
    try:
        for overwrite in (False, True):
            with pytest.raises(InputError, match=rf"process {process.pid} on .*--to"):
                run(tmp_path / "run", LONG, overwrite=overwrite)
    finally:
        process.kill()
        process.wait()
    assert run(tmp_path / "run", LONG, minutes=1e-9) is None


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_is_a_file_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"Cannot train in .*; name another folder"):
        run(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_export_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("file/x.safetensors", "folder.safetensors"):
        with pytest.raises(InputError, match="Cannot write"):
            run(tmp_path / "run", export=tmp_path / name, watch=interrupted(0))


@pytest.mark.usefixtures("eager")
def test_a_full_disk_is_one_sentence_and_the_checkpoint_stays(tmp_path):
    assert run(tmp_path, minutes=1e-9) is None
    before = (tmp_path / "checkpoint.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"Cannot write .*checkpoint\.pt: "):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert torch.equal(weights(run(None)), weights(run(tmp_path)))


def test_memory_that_runs_out_is_one_sentence(monkeypatch):
    forward = torch.nn.Flatten.forward

    def fail(layer, images):
        if layer.training:
            raise torch.OutOfMemoryError
        return forward(layer, images)

    monkeypatch.setattr(torch.nn.Flatten, "forward", fail)
    with pytest.raises(InputError, match="batches of 64 does not fit in memory"):
        run(None)


def test_a_fault_that_ends_training_is_in_the_log_once_and_no_warning(tmp_path, caplog):
    with pytest.raises(InputError, match="diverged at iteration 0"):
        run(tmp_path, replace(SHORT, gap_limit=1e-9))
    assert [line["iteration"] for line in read_log(tmp_path) if "fault" in line] == [0]
    assert not caplog.records


def test_a_changed_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = (
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 8))\n"
    )
    for code in (source, source.replace("4", "5").replace("65", "64")):
        (tmp_path / "some_nets.py").write_text(code)
        sys.modules.pop("some_nets", None)
        importlib.invalidate_caches()
        fault = pytest.raises(InputError, match="--overwrite")
        with nullcontext() if code == source else fault:
            train("digits:0-7", tmp_path / "run", recipe=SHORT, arch="some_nets:net")


def test_a_foreign_or_damaged_checkpoint_is_one_sentence(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="not a checkpoint of `oodbench train`"):
        run(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        run(tmp_path)


# --- what a run leaves


def test_a_card_says_what_made_the_model_and_holds_it_together(tmp_path):
    trained = run(None, command="oodbench train …", note="why")
    trained.write(tmp_path / "mine.safetensors")
    card = json.loads((tmp_path / "mine.json").read_text())
    assert card["architecture"] == {
        "name": "mlp", "inputs": [1, 8, 8], "classes": 8, "hidden": [8],
    }  # fmt: skip
    assert card["recipe"]["epochs"] == 4
    assert card["trained_on"]["name"] == "digits:0-7"
    assert set(card["accuracy"]) == {"val", "test"}
    network = load_network(tmp_path / "mine.safetensors")
    pixels = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(
        network(pixels).logits, trained.module(2 * pixels - 1).detach()
    )


def test_a_checkpoint_can_be_run_as_it_is(tmp_path):
    trained = run(tmp_path, replace(SHORT, ema=0.9))
    network = load_network(tmp_path / "checkpoint.pt")
    pixels = torch.rand(3, 1, 8, 8)
    expected = trained.module(2 * pixels - 1).detach()
    torch.testing.assert_close(network(pixels).logits, expected)


def test_a_checkpoint_of_a_wide_resnet_keeps_its_activation(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(16) % 2)
    arguments = {"depth": "10", "width": "1", "activation": "silu"}
    recipe = Recipe(epochs=1, batch_size=8, buffer_size=8, sgld_steps=1)
    trained = train(
        f"npz:{tmp_path / 'set.npz'}", tmp_path / "run", recipe=recipe, arch="jem_wrn",
        arch_args=arguments,
    )  # fmt: skip
    pixels = torch.rand(2, 3, 32, 32)
    found = load_network(tmp_path / "run" / "checkpoint.pt")(pixels).logits
    torch.testing.assert_close(found, trained.module(2 * pixels - 1).detach())


def test_the_log_sums_up_every_iteration(tmp_path):
    run(tmp_path)
    lines = read_log(tmp_path)
    summed = [line for line in lines if "loss" in line]
    assert [line["iteration"] for line in summed] == [50, 52]
    for line in summed:
        assert line["gap"] == pytest.approx(
            line["log_px"] - line["log_px_samples"], abs=1e-4
        )
        assert line["images_per_second"] > 0
    assert summed[-1]["seconds_left"] == 0
    assert any("val_accuracy" in line for line in lines)


def test_the_log_says_what_went_wrong_and_progress_goes_back(tmp_path):
    reckless = replace(SHORT, learning_rate=0.3, gap_limit=3.0, most_rollbacks=30)
    told = []

    def watch(stage, total):
        return lambda steps, note="": told.append(steps)

    trained = run(tmp_path, reckless, watch=watch)
    faults = trained.card["faults"]
    assert faults
    assert sum(told) == 52
    lines = read_log(tmp_path)
    logged = [line["fault"] for line in lines if "fault" in line]
    assert logged == faults[-len(logged) :]
    assert [line["iteration"] for line in lines if "loss" in line][-1] == 52


@pytest.mark.slow
def test_two_processes_train_what_one_does():
    # Without noise and chains a batch and its two halves have one gradient.
    recipe = replace(SHORT, weight_x=0.0, input_noise=0.0, epochs=1)
    code = (
        "import torch; from oodbench.jem.training.run import train; "
        "from oodbench.jem.training.recipe import Recipe; torch.set_num_threads(1); "
        f"trained = train('digits:0-7', None, recipe={recipe!r}, arch_args={SMALL!r}); "
        "total = torch.cat([w.flatten() for w in trained.module.parameters()]); "
        "import os; os.write(1, f'total {total.double().sum().item()}\\n'.encode())"
    )
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python",
               sys.executable, "-c", code]  # fmt: skip
    found = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True
    )
    # Gloo of torch 2.10 writes lines of its own.
    lines = [line.split() for line in found.stdout.splitlines()]
    totals = [float(words[1]) for words in lines if words[:1] == ["total"]]
    expected = weights(run(None, recipe)).double().sum().item()
    assert totals == pytest.approx([expected] * 2, abs=1e-3)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_in_one_sentence(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path / "run")],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            },
        )
        for rank in range(2)
    ]  # fmt: skip
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        assert processes[0].poll() is None
        time.sleep(0.01)
    processes[1].kill()
    _, errors = processes[0].communicate(timeout=120)
    processes[1].communicate()
    assert "InputError: Another process of this training has ended; the same" in errors


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 4], "no training image of class 2"),
        ([1, 2, 3], "no training image of class 0"),
    ],
)
def test_classes_with_a_gap_are_one_sentence(tmp_path, labels, message):
    images = np.zeros((30, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "gap.npz", images=images, labels=np.array(labels * 10))
    with pytest.raises(InputError, match=message):
        gather(f"npz:{tmp_path / 'gap.npz'}")


@pytest.mark.parametrize("labels", [[0, 1, 4], [1, 2, 3]])
def test_a_set_of_ones_own_without_labels_or_with_a_gap_is_one_sentence(labels):
    def own(labels):
        images = np.zeros((30, 4, 4, 1), np.uint8)
        return Dataset("own", lambda *_: Split(images, labels), "far")

    with pytest.raises(InputError, match="own has labels up to"):
        train(own(np.array(labels * 10)), None)
    with pytest.raises(InputError, match="own has no labels to train with"):
        train(own(None), None)
    known = own(np.arange(30) % 3)
    with pytest.raises(InputError, match="own has no labels to measure accuracy with"):
        train(known, None, test=own(None))


def test_a_model_says_what_it_is_and_where_it_lies(tmp_path):
    trained = train(to=tmp_path / "it", arch_args=SMALL, epochs=1, sgld_steps=1)
    value = trained.card["accuracy"]["test"]
    path = tmp_path / "it" / "it.safetensors"
    assert str(trained).startswith(f"{path}: accuracy ")
    assert f"{value:.4f} on test" in repr(trained)
    assert load_network(path).classes == 8


def test_images_of_a_test_set_with_other_classes_are_one_sentence(one_split):
    with pytest.raises(InputError, match=r"has labels up to 7, but .* 2 classes"):
        gather(one_split, test="digits:0-7")


def test_images_can_be_brought_to_a_size(one_split):
    assert gather(one_split, size=(6, 5)).shape == (1, 6, 5)


def test_networks_that_do_not_fit_are_one_sentence():
    arguments = {"in_features": "4", "out_features": "3"}
    with pytest.raises(InputError, match=r"must return logits \[N, classes\]"):
        build("torch.nn:Linear", arguments, Shape(1, 4, 4), 7, 0)
    with pytest.raises(InputError, match="unconditional of jem_wrn must be True or"):
        build("jem_wrn", {"unconditional": "no"}, Shape(3, 32, 32), 7, 0)
    with pytest.raises(InputError, match="fails on images 1x8x8"):
        build("jem_wrn", {"depth": "10", "width": "1"}, Shape(1, 8, 8), 7, 0)


def test_starting_anew_leaves_nothing_of_the_earlier_run(tmp_path):
    run(tmp_path, replace(SHORT, epochs=5))
    assert (tmp_path / "buffer-0000065.png").exists()
    run(tmp_path, overwrite=True)
    assert not (tmp_path / "buffer-0000065.png").exists()
    assert read_log(tmp_path)[-1]["iteration"] == 52

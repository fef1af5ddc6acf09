"""`oodbench train` as a user types it."""

import json

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from oodbench import load_network

QUICK = ("--epochs", "1", "--sgld-steps", "2", "--buffer-size", "70",
         "--arg", "hidden=8")  # fmt: skip


def test_training_writes_a_model_that_runs_and_its_card(oodbench, tmp_path):
    code, out, errors = oodbench("train", "--to", "mine", "--recipe", "ce", *QUICK)
    assert code == 0, errors
    assert "accuracy" in out
    card = json.loads((tmp_path / "mine" / "mine.json").read_text())
    assert card["command"].startswith("oodbench train --to mine")
    code, out, errors = oodbench(
        "run", "--model", "mine/mine.safetensors", "--out", "digits:8-9", "--no-plots",
        "--detectors", "energy",
    )  # fmt: skip
    assert code == 0, errors
    assert "mine" in out


def test_the_same_command_gives_the_same_bytes(oodbench, tmp_path):
    exports = []
    for _ in range(2):
        code, _, errors = oodbench("train", "--to", "run", "--overwrite", *QUICK)
        assert code == 0, errors
        exports.append((tmp_path / "run" / "run.safetensors").read_bytes())
    assert exports[0] == exports[1]


def test_a_card_makes_its_model_again_and_options_change_it(oodbench, tmp_path):
    oodbench("train", "--to", "one", "--arg", "activation=silu", *QUICK)
    card = str(tmp_path / "one" / "one.json")
    code, _, errors = oodbench("train", "--to", "two", "--recipe", card)
    assert code == 0, errors
    one, two = (
        safetensors.torch.load_file(tmp_path / name / f"{name}.safetensors")
        for name in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    code, _, errors = oodbench("train", "--to", "two", "--recipe", card, "--seed", "1")
    assert code == 3
    assert "seed 0, and this one has 1" in errors


def test_a_factory_builds_the_network_and_must_be_said_again(oodbench, tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def net(width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(),\n"
        "                         nn.Linear(width, 8))\n"
    )
    said = ("--arch", "nets.py:net", "--arg", "width=9")
    code, _, errors = oodbench("train", "--to", "own", *QUICK[:-2], *said)
    assert code == 0, errors
    model = ("run", "--model", "own/own.safetensors", "--out", "digits:8-9",
             "--no-plots", "--detectors", "msp")  # fmt: skip
    code, _, errors = oodbench(*model)
    assert code == 3
    assert "nets.py" in errors
    assert "--arch" in errors
    code, _, errors = oodbench(*model, *said)
    assert code == 0, errors
    network = load_network(
        tmp_path / "own" / "own.safetensors",
        arch="nets.py:net",
        arch_args={"width": "9"},
    )
    assert (network.shape, network.mean, network.std) == ((1, 8, 8), (0.5,), (0.5,))


def test_an_export_never_replaces_what_is_no_card(tmp_path, oodbench):
    (tmp_path / "keep.json").write_text('{"mine": 1}')
    code, _, errors = oodbench("train", "--to", "run", "--export", "keep.safetensors")
    assert code == 3
    assert "keep.json is not a card" in errors


def test_a_model_finds_the_classes_of_a_folder_by_their_names(oodbench, tmp_path):
    rng = np.random.default_rng(0)
    grey = {"black": 20, "grey": 120, "white": 230}
    for folder, names in (("all", grey), ("some", ["grey", "white"])):
        for name in names:
            place = tmp_path / folder / name
            place.mkdir(parents=True)
            for index in range(12):
                pixels = grey[name] + rng.integers(-9, 9, (4, 4))
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{index}.png")
    options = ["--recipe", "ce", "--epochs", "60", "--batch-size", "12"]
    code, _, errors = oodbench("train", "--in", "folder:all", "--to", "net", *options)
    assert code == 0, errors
    model = ("--model", "net/net.safetensors", "--in", "folder:some", "--no-plots")
    code, out, errors = oodbench("run", *model, "--detectors", "msp")
    assert code == 0, errors
    assert "100.00" in out.partition("AUROC")[0]
    assert "named classes" not in errors

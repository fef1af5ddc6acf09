"""A training that begins at the weights of another."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from oodbench import InputError
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.run import train

SHORT = Recipe(epochs=1, buffer_size=70, sgld_steps=2, ema=0.0)
STILL = replace(SHORT, learning_rate=1e-30)
"""A rate that changes no weight."""
SMALL = {"hidden": "8"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The file of a small plain classifier."""
    path = tmp_path_factory.mktemp("first") / "ce.safetensors"
    train("digits:0-7", None, recipe=replace(SHORT, weight_x=0.0), arch_args=SMALL,
          ).write(path)  # fmt: skip
    return path


def go_on(path, to=None, recipe=STILL, **options):
    options = {"arch_args": SMALL} | options
    return train("digits:0-7", to, recipe=recipe, start_from=path, **options)


def test_a_training_begins_at_the_weights_and_says_whose_they_are(classifier):
    trained = go_on(classifier)
    before, after = load_file(classifier), trained.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after)
    assert trained.card["started_from"] == {
        "first_weights": "ce.safetensors",
        "sha256": hashlib.sha256(classifier.read_bytes()).hexdigest(),
    }


def test_averaged_weights_of_a_checkpoint_are_taken(tmp_path):
    recipe = replace(SHORT, ema=0.9)
    averaged = train("digits:0-7", tmp_path, recipe=recipe, arch_args=SMALL).module
    found = go_on(tmp_path / "checkpoint.pt").module.state_dict()
    assert all(torch.equal(value, found[name])
               for name, value in averaged.state_dict().items())  # fmt: skip


def test_a_folder_with_a_run_that_began_elsewhere_is_one_sentence(classifier, tmp_path):
    train("digits:0-7", tmp_path, recipe=STILL, arch_args=SMALL)
    with pytest.raises(InputError, match=r"first_weights None, .* has ce\.safetensors"):
        go_on(classifier, tmp_path)
    assert go_on(classifier, tmp_path, overwrite=True)
    assert go_on(classifier, tmp_path)


def test_weights_of_another_network_are_one_sentence(classifier, tmp_path):
    with pytest.raises(InputError, match=r"ce\.safetensors: it is of mlp .*hidden \[8"):
        go_on(classifier, arch_args={"hidden": "9"})
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(classifier), bare)
    with pytest.raises(InputError, match=r"does not fit the network to train"):
        go_on(bare, arch_args={"hidden": "9"})
    with pytest.raises(InputError, match=r"There is no file .*absent\.pt"):
        go_on(tmp_path / "absent.pt")


def test_weights_of_images_on_another_scale_are_one_sentence(classifier, tmp_path):
    card = json.loads(classifier.with_suffix(".json").read_text()) | {"mean": [0.4]}
    other = tmp_path / "other.safetensors"
    save_file(load_file(classifier), other, {"oodbench": json.dumps(card)})
    with pytest.raises(InputError, match=r"mean \(0\.4,\).*images in \[-1, 1\]"):
        go_on(other)


def test_a_card_as_recipe_says_that_its_model_began_at_weights(
    classifier, tmp_path, caplog
):
    go_on(classifier).write(tmp_path / "jem.safetensors")
    train(None, None, recipe=tmp_path / "jem.json")
    assert "began at the weights of ce.safetensors" in caplog.text

"""Weights are found in the dictionaries around them."""

import pytest
import torch
from torch import nn

from oodbench import InputError
from oodbench.networks.checkpoint import state_dict


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


def same(tensors, others):
    return list(tensors) == list(others) and all(
        torch.equal(tensors[name], others[name]) for name in tensors
    )


# --- finding


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ([], "bare state dict"),
        (["state_dict"], "state_dict"),
        (["network"], "network"),
        (["ema", "state_dict"], "ema > state_dict"),
        (["state_dict", "model"], "state_dict > model"),
    ],
)
def test_dictionaries_around_the_weights_are_undone(keys, how):
    content = tensors = net().state_dict()
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "optimizer": {"state": {}}}
    found = state_dict.find_state_dict(content)
    assert same(found.tensors, tensors)
    assert (found.how, found.others) == (how, [])


@pytest.mark.parametrize(
    "key", ["state_dict_ema", "model_ema", "ema_state_dict", "ema"]
)
def test_averaged_weights_are_preferred(key):
    averaged = net().state_dict()
    found = state_dict.find_state_dict(
        {"state_dict": net().state_dict(), key: averaged}
    )
    assert same(found.tensors, averaged)
    assert (found.how, found.others) == (key, ["state_dict"])


@pytest.mark.parametrize("ema", [None, 0.999, {}, {"decay": 0.9, "shadow": [1]}])
def test_an_average_without_weights_is_passed_over(ema):
    content = {"ema": ema, "model": net().state_dict()}
    assert state_dict.find_state_dict(content).how == "model"


def test_wrappings_without_end_end():
    content = {"epoch": 1}
    content["model"] = content["ema"] = content["state_dict"] = content
    with pytest.raises(
        InputError, match=r"no state dict: its keys are 'epoch', 'model'"
    ):
        state_dict.find_state_dict(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(1)], "holds a list, not a dictionary"),
        (torch.ones(1), "holds a Tensor, not a dictionary"),
        ({}, "no state dict: its keys are none"),
        ({"energy": {"a": torch.ones(1)}, 7: 1}, "its keys are 'energy', 7"),
        ({"model": {"\x1b[2J": 1}}, "its keys are 'model'"),
        ({str(n): n for n in range(9)}, "'0', '1', '2', '3', '4', …"),
    ],
)
def test_content_without_weights_is_described(content, words):
    with pytest.raises(InputError) as caught:
        state_dict.find_state_dict(content)
    assert words in str(caught.value)


def test_what_lies_beside_the_weights_need_not_be_finite():
    content = {"loss": torch.tensor(float("nan")), "model": net().state_dict()}
    assert state_dict.find_state_dict(content).how == "model"


# --- choosing


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (None, "state_dict_ema"),
        ("state_dict", "state_dict"),
        ("model", "state_dict"),
        ("ema", "state_dict_ema"),
        ("teacher", "extra > teacher"),
        ("extra > teacher", "extra > teacher"),
    ],
)
def test_a_choice_decides_among_several_weights(choice, taken):
    content = {
        "state_dict": net().state_dict(),
        "state_dict_ema": net().state_dict(),
        "extra": {"teacher": net().state_dict()},
    }
    found = state_dict.find_state_dict(content, choice)
    expected = content
    for key in taken.split(" > "):
        expected = expected[key]
    assert same(found.tensors, expected)
    assert found.how == taken


def test_a_choice_may_be_the_beginning_of_the_names():
    content = {"student.a": torch.ones(1), "teacher.a": torch.ones(2)}
    found = state_dict.find_state_dict({"model": content}, "teacher")
    assert list(found.tensors) == ["teacher.a"]


def test_a_choice_that_is_not_there_is_refused_with_what_is():
    content = {"model": net().state_dict(), "ema": net().state_dict()}
    with pytest.raises(
        InputError, match=r"no weights 'swa'; choose one of: model, ema"
    ):
        state_dict.find_state_dict(content, "swa")


def test_weights_under_an_unusual_key_are_named():
    content = {"generator": net().state_dict(), "step": 3}
    with pytest.raises(InputError, match=r"--weights one of: generator\."):
        state_dict.find_state_dict(content)
    assert state_dict.find_state_dict(content, "generator").how == "generator"


def test_extra_states_and_counters_lie_among_the_tensors():
    content = {"a": torch.ones(1), "b": torch.ones(1), "epoch": 3, "a._extra_state": {}}
    assert state_dict.find_state_dict({"state_dict": content}).how == "state_dict"


def test_dictionaries_that_hold_each_other_end():
    many = {f"key{n}": None for n in range(50)}
    for key in many:
        many[key] = many
    with pytest.raises(InputError, match="holds no state dict"):
        state_dict.find_state_dict(many)

"""Weights are found in usual wrappings, and put into a module completely or not."""

import pytest
import torch
from torch import nn

from oodbench import InputError
from oodbench.networks import state_dict


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


def prefixed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def same(tensors, others):
    return list(tensors) == list(others) and all(
        torch.equal(tensors[name], others[name]) for name in tensors
    )


# --- finding


@pytest.mark.parametrize(
    ("keys", "prefix", "how"),
    [
        ([], "", "bare state dict"),
        (["state_dict"], "", "state_dict"),
        (["model_state_dict"], "module.", "model_state_dict; prefix module. removed"),
        (["model"], "_orig_mod.", "model; prefix _orig_mod. removed"),
        (["net"], "net.", "net; prefix net. removed"),
        (["network"], "model.", "network; prefix model. removed"),
        (["weights"], "", "weights"),
        (["params"], "", "params"),
        (["ema"], "", "ema"),
        (["ema", "state_dict"], "module.", "ema > state_dict; prefix module. removed"),
        ([], "module.model.", "bare state dict; prefix module.model. removed"),
        (
            ["state_dict", "model"],
            "module._orig_mod.",
            "state_dict > model; prefix module._orig_mod. removed",
        ),
    ],
)
def test_usual_wrappings_are_undone_and_told(keys, prefix, how):
    tensors = net().state_dict()
    content = prefixed(tensors, prefix)
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "optimizer": {"state": {}}}
    found = state_dict.find_state_dict(content)
    assert same(found.tensors, tensors)
    assert found.how == how


@pytest.mark.parametrize(
    "key", ["state_dict_ema", "model_ema", "ema_state_dict", "ema"]
)
def test_averaged_weights_are_preferred(key):
    averaged = net().state_dict()
    found = state_dict.find_state_dict(
        {"state_dict": net().state_dict(), key: averaged}
    )
    assert same(found.tensors, averaged)
    assert found.how == key


@pytest.mark.parametrize("ema", [None, 0.999, {}, {"decay": 0.9, "shadow": [1]}])
def test_an_average_without_weights_is_passed_over(ema):
    content = {"ema": ema, "model": net().state_dict()}
    assert state_dict.find_state_dict(content).how == "model"


def test_the_counter_of_an_averaged_model_is_dropped():
    model = net()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    found = state_dict.find_state_dict(averaged.state_dict())
    assert same(found.tensors, model.state_dict())


def test_a_prefix_that_only_some_names_have_stays():
    tensors = {"module.a": torch.ones(1), "head": torch.ones(1)}
    assert same(state_dict.find_state_dict(tensors).tensors, tensors)


def test_parameters_come_without_their_gradients():
    found = state_dict.find_state_dict(dict(net().named_parameters()))
    assert not any(tensor.requires_grad for tensor in found.tensors.values())


def test_wrappings_without_end_end():
    content = {"epoch": 1}
    content["model"] = content["ema"] = content["state_dict"] = content
    with pytest.raises(
        InputError, match=r"no state dict: its keys are 'epoch', 'model'"
    ):
        state_dict.find_state_dict(content)
    name = "module." * 10_000
    assert len(state_dict.wrapping([name])) == len("module.") * 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(1)], "holds a list, not a dictionary"),
        (torch.ones(1), "holds a Tensor, not a dictionary"),
        ({}, "no state dict: its keys are none"),
        ({"logp_net": {"a": torch.ones(1)}, 7: 1}, "its keys are 'logp_net', 7"),
        ({"model": {"\x1b[2J": 1}}, "its keys are 'model'"),
        ({str(n): n for n in range(9)}, "'0', '1', '2', '3', '4', …"),
    ],
)
def test_content_without_weights_is_described(content, words):
    with pytest.raises(InputError) as caught:
        state_dict.find_state_dict(content)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_weights_that_are_not_finite_are_named(value, dtype):
    tensors = net().to(dtype).state_dict()
    tensors["0.weight"][1, 2, 0, 1] = value
    with pytest.raises(InputError, match=r"1 tensors .* NaN or infinite .*'0\.weight'"):
        state_dict.find_state_dict({"state_dict": tensors})


def test_what_lies_beside_the_weights_need_not_be_finite():
    content = {"loss": torch.tensor(float("nan")), "model": net().state_dict()}
    assert state_dict.find_state_dict(content).how == "model"


# --- filling


def test_fill_puts_every_tensor_in_its_place():
    source, target = net(), net()
    state_dict.fill(target, source.state_dict(), name="net")
    assert same(target.state_dict(), source.state_dict())


def test_fill_finds_the_place_in_a_module_that_calls_its_body_net():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

    source, target = Wrapper(), Wrapper()
    found = state_dict.find_state_dict(prefixed(source.state_dict(), "module."))
    assert "0.weight" in found.tensors
    state_dict.fill(target, found.tensors, name="wrapper")
    assert same(target.state_dict(), source.state_dict())


def test_fill_takes_batch_norms_older_than_their_counter():
    tensors = net().state_dict()
    del tensors["1.num_batches_tracked"]
    state_dict.fill(net(), dict(tensors), name="net")


def test_fill_keeps_the_precision_of_the_module():
    target = net()
    state_dict.fill(target, net().half().state_dict(), name="net")
    assert target[0].weight.dtype == torch.float32


def test_fill_takes_no_integers_for_weights():
    tensors = net().state_dict()
    tensors["2.bias"] = tensors["2.bias"].to(torch.int8)
    tensors["1.num_batches_tracked"] = torch.tensor(3.0)  # averages may count so
    with pytest.raises(InputError, match=r"1 of another form \('2.bias' 2 torch.int8"):
        state_dict.fill(net(), tensors, name="net")


def test_fill_gives_a_meta_module_the_tensors_themselves():
    with torch.device("meta"):
        target = net()
    tensors = net().state_dict()
    state_dict.fill(target, tensors, name="net")
    assert target[0].weight.data_ptr() == tensors["0.weight"].data_ptr()
    assert target(torch.ones(1, 3, 4, 4)).shape == (1, 2, 2, 2)


def test_fill_tells_what_is_missing_unexpected_and_of_another_shape():
    tensors = net().state_dict()
    del tensors["1.weight"], tensors["1.bias"]
    tensors |= {f"extra.{n}": torch.ones(1) for n in range(7)}
    tensors["0.weight"] = torch.ones(2, 1, 3, 3)
    with pytest.raises(InputError) as caught:
        state_dict.fill(net(), tensors, name="nets:net")
    assert str(caught.value) == (
        "The checkpoint does not fit nets:net: of its tensors, 2 missing ('1.weight', "
        "'1.bias'), 7 unexpected ('extra.0', 'extra.1', 'extra.2', 'extra.3', "
        "'extra.4', …), 1 of another form ('0.weight' 2x1x3x3 for 2x3x3x3)."
    )


# --- reading the channels off


def test_input_channels_are_those_of_the_first_convolution():
    assert state_dict.input_channels(net().state_dict()) == 3
    assert state_dict.input_channels(nn.Conv2d(1, 9, 5).state_dict()) == 1


def test_input_channels_stay_open_without_a_convolution_on_images():
    assert state_dict.input_channels(nn.Linear(3, 3).state_dict()) is None
    assert state_dict.input_channels(nn.Conv2d(64, 9, 5).state_dict()) is None

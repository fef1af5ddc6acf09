"""Weights are put into a module by the module's own names, completely or not."""

import pytest
import torch
import torchvision
from torch import nn

from oodbench import InputError
from oodbench.networks.checkpoint import matching


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


class Wrapper(nn.Module):
    """Calls its body `net`, as the names in its state dict show."""

    def __init__(self):
        super().__init__()
        self.net = net()


def prefixed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def same(tensors, others):
    return list(tensors) == list(others) and all(
        torch.equal(tensors[name], others[name]) for name in tensors
    )


def filled(target, tensors):
    """What `fill` says of tensors that are those of a network of this kind."""
    return matching.fill(target, tensors, name="net")


# --- names


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "net.", "module.model.", "backbone.body.",
     "module._orig_mod."],
)  # fmt: skip
@pytest.mark.parametrize("kind", [net, Wrapper])
def test_what_stands_before_all_names_is_removed_and_reported(prefix, kind):
    source, target = kind(), kind()
    fit = filled(target, prefixed(source.state_dict(), prefix))
    assert same(target.state_dict(), source.state_dict())
    assert fit.prefix == prefix
    assert str(fit) == (f"prefix {prefix} removed" if prefix else "")


def test_a_module_that_calls_its_body_net_takes_the_names_of_the_body():
    source, target = net(), Wrapper()
    filled(target, source.state_dict())
    assert same(target.net.state_dict(), source.state_dict())


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "module._orig_mod"])
def test_wrappers_within_a_name_are_removed(wrapper):
    source, target = Wrapper(), Wrapper()
    tensors = {
        key.replace("net.0.", f"net.0.{wrapper}.").replace(
            "net.1", f"net.{wrapper}.1"
        ): t
        for key, t in source.state_dict().items()
    }
    filled(target, tensors)
    assert same(target.state_dict(), source.state_dict())


def test_a_layer_that_is_called_module_keeps_its_name():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)
            self.weight = nn.Parameter(torch.randn(3))

    source, target = Own(), Own()
    filled(target, prefixed(source.state_dict(), "module."))
    assert same(target.state_dict(), source.state_dict())


def test_names_of_old_densenets_are_renewed():
    source, target = (torchvision.models.DenseNet(4, (2, 1), 8) for _ in "ab")
    tensors = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for key, tensor in source.state_dict().items()
        if "num_batches" not in key
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in tensors
    filled(target, tensors)
    assert same(target.state_dict(), source.state_dict())


def test_weights_of_old_weight_norm_are_taken():
    source, target = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    nn.utils.parametrizations.weight_norm(target[0])
    tensors = {
        "0.bias": source[0].bias.detach(),
        "0.weight_g": source[0].weight.detach().norm(dim=1, keepdim=True),
        "0.weight_v": source[0].weight.detach(),
    }
    filled(target, tensors)
    torch.testing.assert_close(target[0].weight, source[0].weight)


# --- company


def test_losses_metrics_and_counters_are_left_out_and_named():
    source, target = net(), net()
    company = {
        "criterion.pos_weight": torch.tensor(3.0),
        "val_acc.tp": torch.zeros(10, dtype=torch.long),
        "total_ops": torch.zeros(1),
        "2.total_params": torch.zeros(1),
        "epoch": 7,
    }
    fit = filled(target, source.state_dict() | company)
    assert same(target.state_dict(), source.state_dict())
    assert sorted(fit.left_out) == sorted(company)
    assert "left out: epoch" in str(fit)


def test_what_has_another_prefix_than_the_network_is_left_out_and_named():
    source, target = net(), net()
    tensors = prefixed(source.state_dict(), "model.") | {"queue": torch.ones(3)}
    fit = filled(target, tensors)
    assert same(target.state_dict(), source.state_dict())
    assert fit == ("model.", ["queue"])


def test_the_counter_of_an_averaged_model_is_left_out():
    model, target = net(), net()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    assert filled(target, averaged.state_dict()) == ("module.", ["n_averaged"])
    assert same(target.state_dict(), model.state_dict())


def test_two_networks_in_one_state_dict_must_be_chosen():
    tensors = prefixed(net().state_dict(), "student.")
    tensors |= prefixed(net().state_dict(), "teacher.")
    with pytest.raises(InputError, match=r"after student\., teacher\.; .* --weights"):
        filled(net(), tensors)


def test_a_deeper_network_is_not_cut_to_a_shallow_one():
    deep = torchvision.models.resnet34(num_classes=3).state_dict()
    with pytest.raises(InputError, match=r"of its tensors, 96 unexpected"):
        filled(torchvision.models.resnet18(num_classes=3), deep)


class Extra(nn.Linear):
    """A layer with a state that is no tensor."""

    state = None

    def get_extra_state(self):
        return {"version": 3}

    def set_extra_state(self, state):
        self.state = state


def test_an_extra_state_is_given_back_or_may_be_absent():
    source, target = Extra(2, 2), Extra(2, 2)
    filled(target, source.state_dict())
    assert target.state == {"version": 3}
    filled(Extra(2, 2), {k: v for k, v in source.state_dict().items() if "_" not in k})
    plain = nn.Linear(2, 2)
    assert filled(plain, source.state_dict()).left_out == ["_extra_state"]
    assert torch.equal(plain.weight, source.weight)


def test_lazy_layers_take_the_shapes_of_the_file():
    source, target = nn.Linear(5, 2), nn.LazyLinear(2)
    filled(target, source.state_dict())
    assert torch.equal(target.weight, source.weight)


# --- values


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_weights_that_are_not_finite_are_named(value, dtype):
    tensors = net().to(dtype).state_dict()
    tensors["0.weight"][1, 2, 0, 1] = value
    with pytest.raises(InputError, match=r"1 tensors .* NaN or infinite .*'0\.weight'"):
        filled(net(), tensors)


def test_a_mask_of_infinities_that_the_module_builds_is_no_fault():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.register_buffer("mask", torch.full((2,), -torch.inf))

    filled(Masked(), Masked().state_dict())


def test_fill_takes_batch_norms_older_than_their_counter():
    tensors = net().state_dict()
    del tensors["1.num_batches_tracked"]
    matching.fill(net(), dict(tensors), name="net")


def test_fill_keeps_the_precision_of_the_module():
    target = net()
    matching.fill(target, net().half().state_dict(), name="net")
    assert target[0].weight.dtype == torch.float32


def test_fill_takes_no_integers_for_weights():
    tensors = net().state_dict()
    tensors["2.bias"] = tensors["2.bias"].to(torch.int8)
    tensors["1.num_batches_tracked"] = torch.tensor(3.0)  # averages may count so
    with pytest.raises(InputError, match=r"1 of another form \('2.bias' 2 torch.int8"):
        matching.fill(net(), tensors, name="net")


def test_fill_gives_a_meta_module_the_tensors_themselves():
    with torch.device("meta"):
        target = net()
    tensors = net().state_dict()
    matching.fill(target, tensors, name="net")
    assert target[0].weight.data_ptr() == tensors["0.weight"].data_ptr()
    assert target(torch.ones(1, 3, 4, 4)).shape == (1, 2, 2, 2)


def test_fill_tells_what_is_missing_unexpected_and_of_another_shape():
    tensors = net().state_dict()
    del tensors["1.weight"], tensors["1.bias"]
    tensors |= {f"extra.{n}": torch.ones(1) for n in range(7)}
    tensors["0.weight"] = torch.ones(2, 1, 3, 3)
    with pytest.raises(InputError) as caught:
        matching.fill(net(), tensors, name="nets:net")
    assert str(caught.value) == (
        "The checkpoint does not fit nets:net: of its tensors, 2 missing ('1.weight', "
        "'1.bias'), 7 unexpected ('extra.0', 'extra.1', 'extra.2', 'extra.3', "
        "'extra.4', …), 1 of another form ('0.weight' 2x1x3x3 for 2x3x3x3)."
    )


def test_parameters_come_without_their_gradients():
    target = net()
    with torch.device("meta"):
        target = net()
    tensors = dict(net().named_parameters()) | dict(net().named_buffers())
    filled(target, tensors)
    assert not target[0].weight.is_meta

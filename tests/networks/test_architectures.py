"""The networks that oodbench builds, and those that the user's code builds."""

import itertools
import sys

import pytest
import torch
from torch import nn

from oodbench import InputError, Joint, Network, Shape, load_network
from oodbench.networks import architectures, build
from oodbench.networks.architectures import jem_wrn
from oodbench.networks.architectures.jem_wrn import NORMS, JEMWideResNet
from oodbench.networks.architectures.mlp import MLP
from oodbench.networks.checkpoint import matching

TINY = {"depth": 10, "width": 1}


def jem_state(**settings):
    """A state dict as JEM saves it, with the layer that is never used."""
    state = JEMWideResNet(**TINY | settings).state_dict()
    features = state["class_output.weight"].shape[1]
    state["f.linear.weight"] = torch.ones(10, features)
    state["f.linear.bias"] = torch.ones(10)
    return state


def recognise(state, *, norm=None, unconditional=None):
    """The network that a JEM's state dict belongs to, with its weights."""
    both = {"norm": norm, "unconditional": unconditional}
    said = {key: value for key, value in both.items() if value is not None}
    settings = jem_wrn.recognise(state, said)
    if settings is None:
        return None
    with torch.device("meta"):
        module = JEMWideResNet(**settings)
    matching.fill(module, state, name=module.title, unused=jem_wrn.UNUSED)
    return module


# --- the JEM network


def test_the_papers_network_has_the_papers_parameters():
    with torch.device("meta"):
        state = jem_state(depth=28, width=10)
    assert len(state) == 62
    assert sum(tensor.numel() for tensor in state.values()) == 36_478_389
    assert state["f.conv1.weight"].shape == (16, 3, 3, 3)
    assert state["f.layer1.0.conv1.weight"].shape == (160, 16, 3, 3)
    assert state["f.layer2.0.conv1.weight"].shape == (320, 160, 3, 3)
    assert state["f.layer3.0.conv1.weight"].shape == (640, 320, 3, 3)
    assert state["energy_output.weight"].shape == (1, 640)


def test_the_stride_is_on_the_second_convolution():
    block = jem_wrn.Block(3, 4, stride=2, norm="none", activation="silu")
    assert block.conv1(torch.rand(1, 3, 8, 8)).shape == (1, 4, 8, 8)
    assert block(torch.rand(1, 3, 8, 8)).shape == (1, 4, 4, 4)


@pytest.mark.parametrize(
    ("norm", "tensors"),
    [("none", 26), ("batch", 61), ("instance", 40), ("layer", 40), ("act", 47)],
)
def test_norms_bring_their_tensors(norm, tensors):
    assert len(jem_state(width=2, norm=norm)) == tensors


def test_act_norm_shifts_then_scales():
    norm = jem_wrn.ActNorm(2)
    norm.load_state_dict(
        {
            "loc": torch.tensor([1.0, 2.0]).view(1, 2, 1, 1),
            "scale": torch.tensor([3.0, -1.0]).view(1, 2, 1, 1),
            "initialized": torch.tensor(1, dtype=torch.uint8),
        }
    )
    assert norm(torch.ones(1, 2, 1, 1)).flatten().tolist() == [6.0, -3.0]


def test_a_conditional_jem_returns_logits_and_an_unconditional_one_both_heads():
    conditional = JEMWideResNet(**TINY)
    unconditional = JEMWideResNet(**TINY, unconditional=True)
    unconditional.load_state_dict(conditional.state_dict())
    pixels = torch.rand(2, 3, 32, 32)
    logits, both = conditional(pixels), unconditional(pixels)
    assert isinstance(both, Joint)
    torch.testing.assert_close(both.logits, logits)
    energy = unconditional.energy_output(unconditional.f(pixels))
    torch.testing.assert_close(both.log_px, energy[:, 0])


def test_a_block_of_zero_convolutions_is_its_shortcut():
    block = jem_wrn.Block(4, 4, stride=1, norm="none", activation="silu")
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    maps = torch.randn(1, 4, 8, 8)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize(
    "wrong",
    [{"depth": 9}, {"depth": 4}, {"depth": 10**9}, {"width": 0}, {"stages": 5}],
)
def test_networks_outside_the_family_are_refused(wrong):
    with pytest.raises(InputError, match="There is no JEM WRN-"):
        JEMWideResNet(**wrong)


def test_a_misspelt_norm_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'batch'"):
        JEMWideResNet(**TINY, norm="bach")


# --- recognising it


@pytest.mark.parametrize(
    ("depth", "width", "classes", "channels"),
    list(itertools.product([10, 16], [1, 2], [3, 100], [1, 3])),
)
def test_the_sizes_are_read_off_the_tensors(depth, width, classes, channels):
    sizes = {"depth": depth, "width": width, "classes": classes, "channels": channels}
    network = recognise(jem_state(**sizes))
    assert network.title == f"JEM WRN-{depth}-{width}"
    assert network.f.conv1.in_channels == channels
    assert network.class_output.out_features == classes


@pytest.mark.parametrize("norm", NORMS)
def test_the_network_recognised_computes_the_same(norm):
    network = JEMWideResNet(**TINY, norm=norm).eval()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.ndim:
                tensor.abs_().add_(0.01 * torch.rand_like(tensor))
    ambiguous = norm in ("instance", "layer")
    again = recognise(
        network.state_dict(), norm=norm if ambiguous else None, unconditional=False
    )
    assert again.eval().norm == norm
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again(pixels), network(pixels))


@pytest.mark.parametrize("norm", ["instance", "layer"])
def test_norms_that_look_alike_must_be_said(norm):
    with pytest.raises(InputError, match="--norm instance or --norm layer"):
        recognise(jem_state(norm=norm))


@pytest.mark.parametrize(
    ("norm", "said"), [("none", "batch"), ("batch", "none"), ("layer", "act")]
)
def test_a_norm_that_the_tensors_deny_is_refused(norm, said):
    with pytest.raises(InputError, match=f"not '{said}' as --norm says"):
        recognise(jem_state(norm=norm), norm=said)


def test_an_energy_head_beyond_its_initial_range_is_a_trained_one():
    state = jem_state()
    assert not recognise(state).unconditional
    state["energy_output.weight"][0, 5] = -1.01 / 64**0.5
    assert recognise(state).unconditional
    assert not recognise(state, unconditional=False).unconditional
    assert recognise(jem_state(), unconditional=True).unconditional


def test_the_second_names_of_jempp_are_dropped():
    state = jem_state()
    aliases = {
        "f.layer_one." + name.removeprefix("f.conv1."): tensor
        for name, tensor in state.items()
        if name.startswith("f.conv1.")
    }
    aliases |= {
        name.replace("f.layer1.", "f.other_layers.0."): tensor
        for name, tensor in state.items()
        if name.startswith("f.layer1.")
    }
    assert recognise(aliases | state).title == "JEM WRN-10-1"


def test_the_fourth_stage_of_sada_jem_is_for_larger_images():
    network = recognise(jem_state(stages=4, norm="batch")).eval()
    assert network.class_output.in_features == 128
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 10)
    assert network(torch.rand(2, 3, 96, 96)).shape == (2, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"class_output.weight": None},
        {"energy_output.weight": torch.ones(1, 63)},
        {"energy_output.weight": torch.ones(0, 64)},
        {"class_output.weight": torch.ones(64)},
        {"f.conv1.weight": torch.ones(16, 3, 5, 5)},
        {"f.conv1.weight": torch.tensor(1.0)},
        {"f.layer1.0.conv1.bias": None},
        {"f.layer1.0.conv1.weight": torch.ones(0, 16, 3, 3)},
    ],
)
def test_other_networks_are_not_taken_for_jems(change):
    state = jem_state() | change
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    assert recognise(state) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f.layer2.0.conv2.bias": None}, "1 missing"),
        ({"f.layer1.5.conv1.weight": torch.ones(1)}, "1 unexpected"),
        ({"f.layer1.999999999.conv1.weight": torch.ones(1)}, "1 unexpected"),
        ({"f.layer3.0.conv1.weight": torch.ones(64, 32, 1, 1)}, "1 of another form"),
        # A body so wide that allocating it would take all memory.
        ({"f.layer1.0.conv1.weight": torch.empty(16 * 9999, 16, 3, 3)}, "WRN-10-9999"),
    ],
)
def test_a_jem_whose_tensors_do_not_fit_is_refused(change, words):
    state = jem_state() | change
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    with pytest.raises(InputError, match=words):
        recognise(state)


# --- the perceptron


@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_the_perceptrons_last_layer_is_its_head(activation):
    module = MLP((1, 4, 4), classes=3, hidden=(8, 5), activation=activation)
    network = Network(module, Shape(1, 4, 4))
    assert network.head is module[-1]
    result = network(torch.rand(7, 1, 4, 4))
    assert result.logits.shape == (7, 3)
    assert result.features.shape == (7, 5)
    torch.testing.assert_close(network.head(result.features), result.logits)


def test_a_perceptron_without_hidden_layers_is_linear():
    module = MLP((3, 2, 2), classes=4, hidden=())
    pixels = torch.rand(5, 3, 2, 2)
    linear = pixels.flatten(1) @ module[-1].weight.T + module[-1].bias
    torch.testing.assert_close(module(pixels), linear)


def test_the_perceptrons_leak_is_a_fifth():
    module = MLP((1, 1, 1), classes=1, hidden=(1,), activation="leaky_relu")
    assert module[2](torch.tensor(-1.0)) == pytest.approx(-0.2)


def test_a_misspelt_activation_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'silu'"):
        MLP((1, 1, 1), classes=2, activation="sliu")


def test_every_architecture_of_a_card_has_its_name():
    assert set(architectures.names()) >= {"cnn", "jem_wrn", "mlp"}


LINEAR = """
import math
from torch import nn
class Linear(nn.Sequential):
    def __init__(self, inputs, *, classes):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), classes))
NETWORK = Linear
def recognise(tensors, given):
    return {"classes": len(tensors["1.bias"])}
"""


def test_a_file_in_the_folder_is_an_architecture_for_training_and_loading(
    tmp_path, monkeypatch
):
    (tmp_path / "a_line.py").write_text(LINEAR)
    (tmp_path / "_helper.py").touch()
    folders = [*architectures.__path__, str(tmp_path)]
    monkeypatch.setattr(architectures, "__path__", folders)
    assert {"a_line", "mlp"} <= set(architectures.names())
    assert "_helper" not in architectures.names()
    module, card = build.build("a_line", {}, Shape(1, 2, 2), 3, seed=0)
    assert card == {"name": "a_line", "inputs": [1, 2, 2], "classes": 3}
    torch.save(module.state_dict(), tmp_path / "net.pt")
    network = load_network(tmp_path / "net.pt", arch="a_line", shape=Shape(1, 2, 2))
    assert network.classes == 3


# --- the user's code


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "oodbench_beside.py").write_text("WIDTH = 5\n")
    path = tmp_path / "nets.py"
    path.write_text(
        "import sys\n"
        "from torch import nn\n"
        "from oodbench_beside import WIDTH\n"
        "class Net(nn.Linear):\n"
        "    pass\n"
        "def build(out=2, bias=True, name='x'):\n"
        "    return Net(WIDTH, out, bias)\n"
        "def broken(): raise RuntimeError('first\\nsecond')\n"
        "def leaves(): sys.exit(3)\n"
        "def silent(): assert False\n"
        "number = 7\n"
    )
    yield path
    sys.modules.pop("oodbench_beside", None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-1", -1),
        ("1e-3", 0.001),
        ("True", True),
        ("None", None),
        ("'10'", "10"),
        ("basic", "basic"),
        ("(1, 2)", (1, 2)),
        ("((1, 2), 3)", "((1, 2), 3)"),
        ("__import__('os')", "__import__('os')"),
        ("", ""),
    ],
)
def test_arguments_are_read_as_literals(text, value):
    assert build.literal(text) == value
    assert type(build.literal(text)) is type(value)


def test_a_file_builds_a_network_with_what_lies_beside_it(nets):
    before = list(sys.path)
    arguments = {"out": "3", "bias": "False"}
    network, _ = build.call_factory(f"{nets}:build", arguments)
    assert network.weight.shape == (3, 5)
    assert network.bias is None
    assert sys.path == before


def test_the_record_of_a_file_changes_with_its_content(nets):
    first = build.describe(f"{nets}:build", {"out": "3", "name": "y"})
    assert first.startswith("nets.py@")
    assert first.endswith(":build(out=3, name='y')")
    nets.write_text(nets.read_text() + "# more\n")
    assert build.describe(f"{nets}:build", {"out": "3", "name": "y"}) != first


def test_a_package_builds_a_network():
    arguments = {"in_features": "2", "out_features": "1"}
    network, _ = build.call_factory("torch.nn:Linear", arguments)
    assert isinstance(network, nn.Linear)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("broken", {}, "failed with RuntimeError: first"),
        ("leaves", {}, "failed with SystemExit: 3"),
        ("silent", {}, "failed with AssertionError: "),
        ("absent", {}, "no attribute 'absent'"),
        ("number", {}, "failed with TypeError: 'int' object is not callable"),
        ("build", {"width": "3"}, "unexpected keyword argument 'width'"),
        ("Net.__name__.upper", {}, "failed with"),
        ("sys", {}, "failed with TypeError"),
    ],
)
def test_what_goes_wrong_in_the_users_code_is_one_sentence(
    nets, name, arguments, words
):
    with pytest.raises(InputError) as caught:
        build.call_factory(f"{nets}:{name}", arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("resnet20", "names no function; write package.module:factory"),
        ("nets.py:", "names no function"),
        ("no_such_package.nets:build", "No module named 'no_such_package'"),
        ("no_such_file.py:build", "There is no file no_such_file.py"),
        ("builtins:dict", "returned a dict; it must return a torch.nn.Module"),
    ],
)
def test_what_is_no_factory_is_refused(arch, words):
    with pytest.raises(InputError) as caught:
        build.call_factory(arch, {})
    assert words in str(caught.value)

"""Networks whose stages are compiled, against the same networks as they are."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from oodbench import Network, Shape
from oodbench.base.errors import InputError
from oodbench.networks import compiled as module
from oodbench.networks.compiled import Part, in_place, parts_of
from oodbench.scoring.batch import log_px
from oodbench.scoring.forward import run_network


def stage(channels, out):
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, 2, 1), nn.BatchNorm2d(out), nn.ReLU()
    )


def network():
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return Network(nn.Sequential(stage(3, 4), stage(4, 8), head), Shape(3, 16, 16))


def test_parts_are_the_stages_between_the_watched_modules():
    whole = network().module
    first, second, head = whole
    assert list(parts_of(whole, {head[2]})) == [first, second]
    assert list(parts_of(whole, {first, head[2]})) == [first, second]
    assert list(parts_of(whole, {first[0], head[2]})) == [second]
    listed = nn.ModuleDict({"stages": nn.ModuleList([first, second])})
    assert list(parts_of(listed, set())) == [first, second]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_scripted_modules_are_no_parts():
    whole = network().module
    scripted = torch.jit.script(whole[0])
    assert list(parts_of(scripted, set())) == []
    assert list(parts_of(nn.Sequential(scripted, whole[1]), set())) == [whole[1]]
    module = nn.Sequential(scripted, *whole[1:])
    assert Network(module, Shape(3, 16, 16)).block_names


def test_a_module_in_two_stages_is_one_part(monkeypatch):
    monkeypatch.setattr(module.torch, "compile", lambda forward, **_: forward)
    shared = stage(4, 4)
    whole = nn.Sequential(
        stage(3, 4),
        nn.Sequential(shared, nn.Conv2d(4, 4, 1)),
        nn.Sequential(shared, nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
    )
    one = Network(whole, Shape(3, 16, 16), blocks=("0", "1.1", "2.1"))
    assert [part.module for part in one.parts] == [whole[0], shared]
    one.compiled = True
    one(torch.rand(2, 3, 16, 16))


def test_a_copy_computes_with_its_own_weights(monkeypatch):
    backend = partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", backend)
    one, images = network(), torch.rand(2, 3, 16, 16)
    one.compiled = True
    before = one(images).logits
    other = copy.deepcopy(one)
    with torch.no_grad():
        for weight in other.module.parameters():
            weight.mul_(2)
    found, other.compiled = other(images).logits, False
    torch.testing.assert_close(found, other(images).logits)
    torch.testing.assert_close(one(images).logits, before)


def test_forward_passes_are_replaced_only_inside():
    first, second, _ = network().module
    second.forward = own = lambda x: -x
    with in_place([Part(first, lambda x: 2 * x), Part(second, lambda x: 3 * x)]):
        assert (first(1), second(1)) == (2, 3)
    assert "forward" not in vars(first)
    assert second.forward is own


def test_a_single_image_runs_as_it_is(monkeypatch):
    calls = []
    monkeypatch.setattr(
        module.torch, "compile", lambda forward, **_: calls.append(1) or forward
    )
    one = network()
    key = one.fingerprint()
    one.compiled = True
    one(torch.rand(1, 3, 16, 16))
    assert not calls
    one(torch.rand(2, 3, 16, 16))
    assert len(calls) == 2
    assert one.fingerprint() == key


@pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of tensors in torch
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_outputs_maps_and_gradients_are_those_of_the_network_but_for_rounding(
    backend, monkeypatch
):
    # Inductor takes seconds of a C++ compiler; the other one is all before it.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    pixels = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    numbers, both = torch.arange(6), []
    for is_compiled in (False, True):
        one = network()
        one.compiled = is_compiled
        with torch.no_grad():
            plain = run_network(one, pixels[:4], (), numbers[:4]).logits
        found = run_network(one, pixels, (log_px,), numbers, with_maps=True)
        (last, *_) = reversed(one.block_names)
        given = {last: -found.maps[last]}
        again = found.rerun(pixels, (), given).logits
        both.append(
            [
                *(plain, found.logits, found.features, found.gradients[log_px], again),
                *found.maps.values(),
                *found.map_gradients.values(),
            ]
        )
    assert len(both[0]) == len(both[1]) > 5
    for expected, own in zip(*both, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_what_the_compiler_cannot_do_is_one_sentence(monkeypatch):
    from torch._inductor.config import cpp

    monkeypatch.setattr(cpp, "cxx", (None, "no-such-compiler"))
    one = network()
    one.compiled = True
    with pytest.raises(InputError, match=r"no-such-compiler.*Leave out --compile\."):
        one(torch.rand(3, 3, 16, 16))

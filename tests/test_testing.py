"""The checks for plug-in authors pass what is sound and name every seeded fault."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from oodbench import Dataset, Detector, Need, Split, testing
from oodbench.base import registry
from oodbench.base.defaults import INSIDE
from oodbench.cli import oodbench
from oodbench.runs import run

BUILT_IN = [
    one.name for one in registry.listings("detectors") if one.package == "oodbench"
]
SETS = ["digits", *run.default_out(INSIDE)]


@pytest.mark.parametrize("check", testing.DETECTOR_CHECKS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_detector_passes(name, check):
    check(name)


@pytest.mark.parametrize("check", testing.DATASET_CHECKS)
@pytest.mark.parametrize("spec", SETS)
def test_every_built_in_set_that_needs_no_download_passes(spec, check):
    check(spec)


@dataclass
class Sound(Detector):
    """What the faulty ones differ from by one thing."""

    needs = Need.FEATURES

    def score(self, batch):
        return batch.features.sum(1)


@dataclass
class Whole(Sound):
    def score(self, batch):
        return batch.features.sum(1).round().long()


@dataclass
class Missing(Sound):
    def score(self, batch):
        return batch.features.sum(1).log()


COUNT = iter(range(1000))


@dataclass
class Counting(Sound):
    def score(self, batch):
        return batch.features.sum(1) + next(COUNT)


@dataclass
class Positional(Sound):
    def score(self, batch):
        return batch.features.sum(1) + torch.arange(len(batch))


@dataclass
class Centred(Sound):
    def score(self, batch):
        return batch.features.sum(1) - batch.features.mean()


@dataclass
class Jealous(Sound):
    """Is changed by who else asks for a gradient, through what it shares with them."""

    def score(self, batch):
        return batch.features.sum(1) + len(batch._batch.gradients)


@dataclass
class Writing(Sound):
    def score(self, batch):
        return batch.features.mul_(2).sum(1)


@dataclass
class Reaching(Sound):
    """Goes behind its outputs, to the layer itself."""

    def score(self, batch):
        with torch.no_grad():
            batch._batch.head.bias.add_(0.0).sub_(1e-3)
        return batch.features.sum(1)


HOOKS = []
"""Of every module, to be removed after each test."""


@pytest.fixture(autouse=True)
def _no_hooks_left():
    yield
    while HOOKS:
        HOOKS.pop().remove()


@dataclass
class Hooking(Sound):
    def score(self, batch):
        hook = torch.nn.modules.module.register_module_forward_hook
        HOOKS.append(hook(lambda *_: None))
        return batch.features.sum(1)


@dataclass
class Drawing(Sound):
    def score(self, batch):
        return batch.features.sum(1) + torch.rand(len(batch))


@dataclass
class Switching(Sound):
    def score(self, batch):
        torch.autocast("cpu", torch.bfloat16).__enter__()
        return batch.features.sum(1)


@dataclass
class Silent(Sound):
    """Reads what it has not learnt, under a name that its class has."""

    fitted_on = "train"
    _mean: Tensor | None = field(init=False, default=None)

    def fit(self, known):
        self._mean = known.features.mean(0)

    def score(self, batch):
        return (batch.features - self._mean).norm(dim=1)


@dataclass
class Demanding(Sound):
    limit: float


def test_a_sound_detector_passes_as_a_class():
    testing.check_detector(Sound)


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        (Whole, testing.gives_one_finite_float_an_image, "int64, not floats"),
        (Missing, testing.gives_one_finite_float_an_image, "scores are not finite"),
        (Writing, testing.gives_one_finite_float_an_image, "writes into its inputs"),
        (Demanding, testing.gives_one_finite_float_an_image, "cannot be made"),
        (Counting, testing.gives_the_same_twice, "a second time"),
        (Positional, testing.follows_the_order_of_images, "in another order"),
        (Centred, testing.ignores_the_batch_size, "in batches of 7"),
        (Jealous, testing.ignores_other_detectors, "with others"),
        (Reaching, testing.leaves_the_network_alone, "changes the network"),
        (Hooking, testing.leaves_the_network_alone, "leaves a hook on every module"),
        (Drawing, testing.gives_one_finite_float_an_image, "global random numbers"),
        (Switching, testing.ignores_other_detectors, "switched on or off"),
        (Silent, testing.says_that_it_is_not_fitted, "does not mention"),
    ],
)
def test_a_faulty_detector_is_named_with_its_fault(kind, check, words):
    with pytest.raises(AssertionError, match=f"^{kind.__name__} .*{words}"):
        check(kind)
    with pytest.raises(AssertionError):
        testing.check_detector(kind)


def test_an_unfitted_detector_says_so_by_itself():
    with pytest.raises(AttributeError, match="no '_bank'; was it fitted on train"):
        len(registry.load("detectors", "pixel_knn")()._bank)
    with pytest.raises(AttributeError, match="'Sound' object has no attribute 'lost'"):
        len(Sound().lost)


# --- data sets


def numbered(count=30):
    return (
        np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    )


class Shifting:
    """Gives each slice in the order that suits it."""

    def __len__(self):
        return 30

    def __getitem__(self, chunk):
        return numbered()[chunk][::-1]


def careless():
    return np.random.randint(0, 256, (30, 8, 8, 1), dtype=np.uint8)  # noqa: NPY002


@pytest.fixture
def a_set(monkeypatch):
    """Registers a data set `mine`, given what its splits hold."""

    def install(load, **more):
        made = Dataset("mine", load, **{"role": "far", **more})
        monkeypatch.setattr(registry, "names", lambda kind: ["mine"])
        monkeypatch.setattr(registry, "load", lambda kind, name: lambda argument: made)

    return install


def test_a_sound_set_passes(a_set):
    a_set(lambda stage, shape: Split(numbered(), np.zeros(30, np.int64)))
    testing.check_dataset("mine")


@pytest.mark.parametrize(
    ("load", "more", "words"),
    [
        (lambda stage, shape: Split(numbered()), {"role": "odd"}, "has the role 'odd'"),
        (lambda stage, shape: Split(numbered(0)), {}, "holds no images"),
        (lambda stage, shape: 1 // 0, {}, "test split: .*ZeroDivisionError"),
        (
            lambda stage, shape: Split(numbered()) if stage == "test" else None,
            {"splits": ("test", "val")},
            "The val split: .*loads a NoneType",
        ),
        (lambda stage, shape: Split(careless()), {}, "other images when it is opened"),
        (lambda stage, shape: Split(Shifting()), {}, "another image .* read alone"),
    ],
)
def test_a_faulty_set_is_named_with_its_fault(a_set, load, more, words):
    a_set(load, **more)
    with pytest.raises(AssertionError, match=words):
        testing.check_dataset("mine")


def test_checking_a_set_leaves_the_global_random_numbers(a_set):
    a_set(lambda stage, shape: Split(numbered()))
    before = torch.get_rng_state()
    testing.check_dataset("mine")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_name_is_one_sentence():
    with pytest.raises(AssertionError, match="did you mean 'energy'"):
        testing.check_detector("enrgy")
    with pytest.raises(AssertionError, match="did you mean 'digits'"):
        testing.check_dataset("digit")


# --- the command


def test_the_command_lists_every_check():
    result = CliRunner().invoke(oodbench, ["check", "detector", "energy"])
    assert result.exit_code == 0
    assert result.stdout.count("ok ") == len(testing.DETECTOR_CHECKS)


def test_the_command_goes_on_behind_a_fault_and_exits_1(a_set):
    a_set(lambda stage, shape: Split(careless()))
    result = CliRunner().invoke(oodbench, ["check", "dataset", "mine"])
    assert result.exit_code == 1
    assert "fault  Opened again" in result.stdout
    assert result.stdout.count("ok ") == len(testing.DATASET_CHECKS) - 1

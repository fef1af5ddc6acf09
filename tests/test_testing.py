"""The checks for plug-in authors pass what is sound and name every seeded fault."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from oodbench import Dataset, Split, testing
from oodbench.base import registry
from oodbench.base.defaults import INSIDE
from oodbench.cli import oodbench
from oodbench.runs.sets import default_out

SPEC = importlib.util.spec_from_file_location(
    "mistakes", Path(__file__).parent / "plugin" / "mistakes.py"
)
mistakes = importlib.util.module_from_spec(SPEC)
sys.modules["mistakes"] = mistakes  # dataclasses look their module up
SPEC.loader.exec_module(mistakes)

BUILT_IN = [
    one.name for one in registry.listings("detectors") if one.package == "oodbench"
]
SETS = ["digits", *default_out(INSIDE)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_detector_passes(name):
    testing.check_detector(name)


@pytest.mark.parametrize("check", testing.DATASET_CHECKS)
@pytest.mark.parametrize("spec", SETS)
def test_every_built_in_set_that_needs_no_download_passes(spec, check):
    check(spec)


@pytest.fixture(autouse=True)
def _no_hooks_left():
    yield
    while mistakes.HOOKS:
        mistakes.HOOKS.pop().remove()


@pytest.mark.parametrize("kind", [mistakes.Sound, mistakes.Energy])
def test_a_sound_detector_passes_as_a_class(kind):
    testing.check_detector(kind)


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        ("ReturnsClasses", "gives_one_finite_float", "int64, not floats; return"),
        ("LogOfFeatures", "gives_one_finite_float", "scores are not finite"),
        ("NoDefault", "gives_one_finite_float", "cannot be made: .*; give every"),
        ("WritesFeatures", "gives_one_finite_float", "its inputs; copy them first"),
        ("PrunesHead", "gives_one_finite_float", "head's weights; copy it first"),
        ("WritesStatistic", "gives_one_finite_float", "shared statistic; copy it"),
        ("Undeclared", "gives_one_finite_float", "add Need.FEATURES to its `needs`"),
        ("UndeclaredStatistic", "gives_one_finite_float", "add Need.LABELS"),
        ("DrawsNoise", "gives_one_finite_float", "take a generator of its own"),
        ("SwitchesAutocast", "gives_one_finite_float", "autocast switched on or off"),
        ("UnreadGradient", "declares", "does not read Need.GRADIENT; drop it"),
        ("UnreadFeatures", "declares", "does not read Need.FEATURES; drop it"),
        ("NeverFitted", "declares", "`fit`, which is never called; set `fitted_on`"),
        ("NoFit", "declares", "no `fit` for train images; drop `fitted_on`"),
        ("SilentBeforeFit", "says_that", "give fields with init=False no default"),
        ("PrunesNetwork", "leaves_the_network", "changes the network; work on a copy"),
        ("LeavesHook", "leaves_the_network", "every module of the process; remove"),
        ("SeedsLateBatches", "ignores_global", "NumPy's global random numbers"),
        ("ReadsGlobalSeed", "ignores_global", "after other global seeds; draw"),
        ("RandomBank", "gives_the_same_twice", "by a second instance; draw"),
        ("NewNoiseEveryBatch", "gives_the_same_again", "the next time; change nothing"),
        ("RunningMean", "gives_the_same_again", "the next time; change nothing"),
        ("GrowingBank", "fits_again", "after a second `fit`; begin `fit` anew"),
        ("RowAsPlace", "follows_the_order", "another order; take an image's place"),
        ("PredictedInBatch", "ignores_the_batch", "in batches of .*; use nothing"),
        ("SharedBackward", "ignores_the_batch", "in batches of .*; use nothing"),
        ("CountsObjectives", "ignores_other", "beside others; read nothing but"),
        ("WritesStatisticAsArray", "leaves_shared", "equal detector; copy what"),
        ("ForgottenField", "can_be_stored", "sets scale, which is no field.*; keep"),
        ("LearntElsewhere", "can_be_stored", "by a copy; keep all that `fit` learns"),
        ("LearntFunction", "can_be_stored", "a function cannot be stored; keep all"),
        ("WrongSign", "scores_known", "AUROC 0.0.*; return the negative"),
        ("SquaredDistance", "scores_known", "AUROC 0.0.*; return the negative"),
        ("ExponentThatVanishes", "scores_known", "score as others do; look for"),
        ("GuardOutside", "scores_constant", "scores are not finite"),
        ("EmptyClass", "scores_without", "scores are not finite"),
        ("OneRowAClass", "scores_without", "IndexError"),
        ("Saturates", "withstands", "7 different scores .* by 100, 48 otherwise; com"),
        ("Overflows", "withstands", "scores are not finite"),
    ],
)
def test_each_mistake_is_named_with_its_check_and_the_remedy(kind, check, words):
    with pytest.raises(AssertionError) as error:
        testing.check_detector(getattr(mistakes, kind))
    assert re.match(rf"{kind} fails {check}\w*: .*{words}", str(error.value))


def test_an_unfitted_detector_says_so_by_itself():
    with pytest.raises(AttributeError, match="no '_bank'; was it fitted on train"):
        len(registry.load("detectors", "pixel_knn")()._bank)
    with pytest.raises(AttributeError, match="'Energy' object has no attribute 'lost'"):
        len(mistakes.Energy().lost)


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
        (
            lambda stage, shape: Split(numbered()),
            {"role": "odd"},
            "its role is 'odd'; use one of",
        ),
        (lambda stage, shape: Split(numbered(0)), {}, "holds no images"),
        (lambda stage, shape: 1 // 0, {}, "test split .*ZeroDivisionError"),
        (
            lambda stage, shape: Split(numbered()) if stage == "test" else None,
            {"splits": ("test", "val")},
            "its val split .*loads a NoneType",
        ),
        (
            lambda stage, shape: Split(careless()),
            {},
            "it has other images; draw",
        ),
        (
            lambda stage, shape: Split(Shifting()),
            {},
            "when it is read alone; let",
        ),
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

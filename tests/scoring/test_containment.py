"""Detectors that misbehave fail alone, with the reason, and leave no trace."""

import importlib.util
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from oodbench import Detector, Outputs
from oodbench.scoring.containment import Containment
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

SPEC = importlib.util.spec_from_file_location(
    "faulty_plugin", Path(__file__).parent.parent / "plugin" / "faulty.py"
)
faulty = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(faulty)

GOOD = ("energy", "jem_grad_norm", "msp")
REASONS = {
    "shape": r"ValueError: score returned shape \[40, 6\] for 40 images",
    "nan": "40 of 40 scores are not finite",
    "numpy": "TypeError: score returned ndarray",
    "nothing": "TypeError: score returned NoneType",
    "one_short": r"score returned shape \[39\]",
    "inputs": "writes into its inputs",
    "logits": "writes into its inputs",
    "gradient": "writes into its inputs",
    "train": "switches the head to training mode",
    "hook": "leaves a hook on the head",
    "weight": "changes the head's weights",
    "torch_seed": "torch's global random numbers",
    "torch_draw": "torch's global random numbers",
    "numpy_seed": "NumPy's global random numbers",
    "numpy_draw": "NumPy's global random numbers",
    "numpy_generator": "NumPy's global random numbers",
    "python_draw": "Python's global random numbers",
    "grad": "leaves gradients switched on or off",
    "dtype": "changes torch's default dtype",
    "device": "changes torch's default device",
    "threads": "changes the number of torch's threads",
    "deterministic": "changes whether torch is deterministic",
    "precision": "changes the precision of matrix products",
    "tf32": "changes the precision of matrix products",
    "one_backend": "changes the precision of matrix products",
    "benchmark": "changes whether torch is deterministic",
    "autocast": "leaves autocast switched on or off",
    "folder": "changes the current folder",
    "raise": "KeyError: 'missing'",
    "memory": "(Out of memory in bad with one image at a time|fit failed: MemoryError)",
    "lines": r"ValueError: invalid literal .*'one\\ntwo'",
    "exit": r"raises SystemExit\(3\) to end the process",
    "base": r"raises BaseException\(out\) to end the process",
}


def quiet(done):
    pass


def good():
    return {name: open_detector(name).detector for name in GOOD}


def state(network):
    """Returns all that a detector could change, as something that can be compared."""
    return (
        network.fingerprint(),
        [layer.training for layer in network.module.modules()],
        [len(layer._forward_hooks) for layer in network.module.modules()],
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        np.random.get_state()[0::2],  # noqa: NPY002
        random.getstate(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.backends.cudnn.benchmark,
        torch.is_autocast_enabled("cpu"),
        Path.cwd(),
    )


def test_every_deed_has_its_reason_here():
    assert {*faulty.SCORES, *faulty.DEEDS} - {"prints"} == set(REASONS)


@pytest.mark.parametrize("deed", REASONS)
def test_a_detector_that_misbehaves_fails_alone_and_leaves_no_trace(tiny, images, deed):
    alone = Engine(tiny, good(), 40).score(images, has_labels=True, tell=quiet)
    before = state(tiny)
    detectors = {"bad": faulty.Faulty(deed), **good()}
    scored = Engine(tiny, detectors, 40).score(images, has_labels=True, tell=quiet)
    assert list(scored.failures) == ["bad"]
    assert re.search(REASONS[deed], scored.failures["bad"])
    assert "\n" not in scored.failures["bad"]
    for name in GOOD:
        assert np.array_equal(scored.scores[name], alone.scores[name])
    assert state(tiny) == before


@pytest.mark.parametrize("deed", [deed for deed in REASONS if deed in faulty.DEEDS])
def test_a_fit_that_misbehaves_fails_alone_and_leaves_no_trace(tiny, images, deed):
    before = state(tiny)
    detectors = {
        "bad": faulty.FaultyFit(deed),
        "control": open_detector("pixel_stats").detector,
    }
    failures = Engine(tiny, detectors).fit("train", images, tell=quiet)
    assert list(failures) == ["bad"]
    assert failures["bad"].startswith("fit failed: ")
    assert re.search(REASONS[deed], failures["bad"])
    assert state(tiny) == before


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("raising", "its objective failed: ZeroDivisionError"),
        ("drawing", "the objective drawing draws from or seeds torch's global"),
        ("constant", "its objective failed: RuntimeError"),
    ],
)
def test_an_objective_that_fails_fails_its_detectors_alone(tiny, images, deed, reason):
    alone = Engine(tiny, good(), 16).score(images, has_labels=True, tell=quiet)
    detectors = {"bad": faulty.FaultyObjective(deed), **good()}
    scored = Engine(tiny, detectors, 16).score(images, has_labels=True, tell=quiet)
    assert list(scored.failures) == ["bad"]
    assert reason in scored.failures["bad"]
    for name in GOOD:
        assert np.array_equal(scored.scores[name], alone.scores[name])


def test_an_objective_that_writes_into_the_logits_changes_nobodys(tiny, images):
    alone = Engine(tiny, good()).score(images, has_labels=True, tell=quiet)
    detectors = {"bad": faulty.FaultyObjective("writing"), **good()}
    scored = Engine(tiny, detectors).score(images, has_labels=True, tell=quiet)
    for name in GOOD:
        assert np.array_equal(scored.scores[name], alone.scores[name])


def test_a_failing_objective_fails_a_fit_too(tiny, images):
    detector = faulty.FaultyObjective("raising")
    detector.fitted_on = "train"
    detector.fit = lambda known: known.gradient(faulty.raising)
    failures = Engine(tiny, {"bad": detector}).fit("train", images, tell=quiet)
    assert "its objective failed: ZeroDivisionError" in failures["bad"]


def test_what_a_detector_prints_goes_to_stderr_and_fails_nobody(tiny, images, capsys):
    engine = Engine(tiny, {"loud": faulty.Faulty("prints")})
    assert engine.score(images, has_labels=True, tell=quiet).failures == {}
    assert capsys.readouterr() == ("", "noise of a plug-in\n")


@dataclass
class Later(Detector):
    """Does something from its second batch on; counts its calls."""

    deed: Callable[[Outputs], object]
    calls: list[int] = field(default_factory=list)

    def score(self, batch):
        self.calls.append(len(batch))
        if len(self.calls) > 1:
            self.deed(batch)
        return batch.log_px


def fails_midway(batch):
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    os.chdir("/")
    return {}["missing"]


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (faulty.DEEDS["dtype"], "changes torch's default dtype"),
        (faulty.DEEDS["autocast"], "leaves autocast switched on or off"),
        (faulty.DEEDS["threads"], "changes the number of torch's threads"),
        (faulty.DEEDS["grad"], "leaves gradients switched on or off"),
        (faulty.DEEDS["logits"], "writes into its inputs"),
        (fails_midway, "KeyError: 'missing'"),
    ],
)
def test_a_detector_that_misbehaves_later_fails_alone_too(tiny, images, deed, reason):
    alone = Engine(tiny, good(), 16).score(images, has_labels=True, tell=quiet)
    before = state(tiny)
    bad = Later(deed)
    detectors = {"bad": bad, **good()}
    scored = Engine(tiny, detectors, 16).score(images, has_labels=True, tell=quiet)
    assert list(scored.failures) == ["bad"]
    assert reason in scored.failures["bad"]
    assert bad.calls == [16, 16]  # and not for the third batch
    for name in GOOD:
        assert np.array_equal(scored.scores[name], alone.scores[name])
    assert state(tiny) == before


@pytest.mark.parametrize("most", [0, 1, 3, 8, 39])
def test_a_detector_without_memory_takes_it_from_nobody(tiny, images, most):
    def greedy(batch):
        if len(batch) > most:
            raise MemoryError("no room")

    alone = Engine(tiny, good(), 20).score(images, has_labels=True, tell=quiet)
    bad = Later(greedy, [0])
    engine = Engine(tiny, {"bad": bad, **good()}, 20)
    scored = engine.score(images, has_labels=True, tell=quiet)
    assert engine.batches.size == 20
    for name in GOOD:  # bit for bit, since their batches are as before
        assert np.array_equal(scored.scores[name], alone.scores[name])
    if most:
        assert scored.failures == {}
        log_px = Engine(tiny, {"it": open_detector("log_px").detector}, 20).score(
            images, has_labels=True, tell=quiet
        )
        assert scored.scores["bad"] == pytest.approx(log_px.scores["it"], rel=1e-5)
    else:
        assert "Out of memory in bad with one image" in scored.failures["bad"]


def test_an_objective_without_memory_fails_its_detectors_alone(tiny, images):
    alone = Engine(tiny, good(), 20).score(images, has_labels=True, tell=quiet)
    engine = Engine(tiny, {"bad": faulty.FaultyObjective("greedy"), **good()}, 20)
    scored = engine.score(images, has_labels=True, tell=quiet)
    assert list(scored.failures) == ["bad"]
    assert "Out of memory in bad with one image" in scored.failures["bad"]
    for name in GOOD:
        assert np.array_equal(scored.scores[name], alone.scores[name])


def test_an_interrupt_passes(tiny, images, monkeypatch):
    def interrupt(batch):
        torch.set_default_dtype(torch.float64)
        raise KeyboardInterrupt

    monkeypatch.setitem(faulty.DEEDS, "raise", interrupt)
    engine = Engine(tiny, {"bad": faulty.Faulty("raise")})
    with pytest.raises(KeyboardInterrupt):
        engine.score(images, has_labels=True, tell=quiet)
    assert torch.get_default_dtype() == torch.float32


def test_the_error_of_a_detector_itself_is_the_one_that_is_raised():
    with pytest.raises(KeyError), Containment().watch("it"):
        {}[torch.rand(1)]


def test_several_changes_are_all_named():
    with (
        pytest.raises(
            RuntimeError, match=r"^It draws .*torch's .* and draws .*Python's"
        ),
        Containment().watch("It"),
    ):
        [torch.rand(1), random.random()]


def test_watching_again_takes_well_under_a_tenth_of_a_millisecond():
    contained = Containment()

    def watch():
        began = time.perf_counter()
        with contained.watch("it", "key"):
            pass
        return time.perf_counter() - began

    watch()
    assert min(watch() for _ in range(50)) < 0.0001

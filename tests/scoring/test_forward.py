"""How often the network runs, for the engine and for the detectors that ask it."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from oodbench import Detector, InputError, Need, Outputs
from oodbench.scoring.batch import log_px
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector


@pytest.fixture
def tiny(tiny, device):
    return tiny.to(device)


def quiet(done):
    pass


def built_in(*names):
    return {name: open_detector(name).detector for name in names}


def passes(network):
    """Counts the forward and backward passes of a network from now on."""
    count = Counter()
    network.module.register_forward_hook(lambda *_: count.update(["forward"]))
    network.module.hidden.register_full_backward_hook(
        lambda *_: count.update(["backward"])
    )
    return count


def test_one_forward_pass_a_batch_serves_all_detectors(tiny, images):
    count = passes(tiny)
    detectors = built_in("msp", "energy", "entropy", "max_logit", "log_px")
    Engine(tiny, detectors, 16).score(images, has_labels=True, tell=quiet)
    assert count == {"forward": 3}


def test_one_backward_pass_a_batch_serves_an_objective(tiny, images):
    count = passes(tiny)
    detectors = {str(i): open_detector("jem_grad_norm").detector for i in range(4)}
    Engine(tiny, detectors, 16).score(images, has_labels=True, tell=quiet)
    assert count == {"forward": 3, "backward": 3}


def test_controls_are_fitted_without_running_the_network(tiny, images):
    count = passes(tiny)
    engine = Engine(tiny, built_in("pixel_knn", "pixel_stats"))
    assert engine.fit("train", images, tell=quiet) == {}
    assert count == {}


@dataclass(frozen=True)
class Brighten:
    """Adds to every pixel, and counts how often it is asked."""

    by: float
    asked: Counter = field(default_factory=Counter, compare=False)

    def __call__(self, batch):
        self.asked.update(["times"])
        return batch.run(batch.inputs + self.by, log_px)


@dataclass
class Asking(Detector):
    """Scores by what its field does with the network."""

    needs = Need.NETWORK | Need.INPUTS | Need.GRADIENT
    objectives = (log_px,)
    ask: Callable[[Outputs], Tensor]

    def score(self, batch):
        return self.ask(batch)


@dataclass
class Undeclared(Asking):
    needs = Need.NOTHING
    objectives = ()


@dataclass
class Control(Asking):
    needs = Need.NETWORK | Need.INPUTS
    objectives = ()
    control = True


def score(network, images, batch_size=40, /, **detectors):
    engine = Engine(network, detectors, batch_size)
    return engine.score(images, has_labels=True, tell=quiet)


def brightened(batch):
    return batch.run(batch.inputs + 0.1, log_px)


def in_place(batch):
    pixels = batch.inputs + 0.1
    there = batch.run(pixels)
    pixels.zero_()
    return there.inputs.sum((1, 2, 3))


def test_a_detector_may_run_the_network_on_other_pixels(tiny, images):
    found = score(
        tiny,
        images,
        logits=Asking(lambda batch: brightened(batch).logits[:, 2]),
        gradient=Asking(
            lambda batch: brightened(batch).gradient(log_px).sum((1, 2, 3))
        ),
        inputs=Asking(lambda batch: brightened(batch).inputs.sum((1, 2, 3))),
        twice=Asking(lambda batch: brightened(brightened(batch)).log_px),
        in_place=Asking(in_place),
    ).scores
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255
    pixels = pixels.to(tiny.device)
    moved = (pixels + 0.1).requires_grad_(True)
    result = tiny(moved)
    (gradient,) = torch.autograd.grad(result.log_px.sum(), moved)
    expected = {
        "logits": result.logits[:, 2],
        "gradient": gradient.sum((1, 2, 3)),
        "inputs": moved.sum((1, 2, 3)),
        "twice": tiny(pixels + 0.1 + 0.1).log_px,
        "in_place": moved.sum((1, 2, 3)),
    }
    for name, values in expected.items():
        assert found[name] == pytest.approx(
            values.detach().cpu().numpy(), rel=1e-5, abs=1e-5
        )


def test_numbers_are_places_in_the_set_whatever_the_batches(tiny, images):
    detectors = {"it": Asking(lambda batch: batch.numbers.double())}
    engine = Engine(tiny, detectors, 7)
    engine.batches.size = 3  # as if memory had run out
    spans = [(14, 40), (0, 14)]
    parts = engine.score_spans(images, spans, has_labels=True, tell=quiet)
    numbers = [scored.scores["it"].tolist() for scored in parts]
    assert numbers == [list(range(14, 40)), list(range(14))]


@pytest.mark.parametrize("limit", [40, 13, 1])
def test_numbers_are_places_in_the_whole_set_under_a_limit(tiny, images, limit):
    detectors = {"it": Asking(lambda batch: batch.numbers.double())}
    fitted = Fitting()
    split = images.spread(limit)
    engine = Engine(tiny, {**detectors, "fit": fitted}, 7)
    engine.fit("train", split, tell=quiet)
    scored = engine.score(split, has_labels=True, tell=quiet)
    expected = [i * 40 // limit for i in range(limit)]
    assert scored.scores["it"].tolist() == fitted.numbers == expected
    again = Engine(tiny, detectors, 7).score(
        split.spread(5), has_labels=True, tell=quiet
    )
    assert set(again.scores["it"]) <= set(expected)


def test_an_image_has_the_same_refinement_with_and_without_a_limit(tiny, images):
    detectors = built_in("jem_refine:noise=0.5:steps=2")
    whole, part = (
        score(tiny, split, **detectors).scores["jem_refine:noise=0.5:steps=2"]
        for split in (images, images.spread(13))
    )
    assert part == pytest.approx(whole[[i * 40 // 13 for i in range(13)]], rel=1e-5)


def test_equal_changes_are_made_once_for_all_detectors(tiny, images):
    count = passes(tiny)
    asked = Counter()
    found = score(
        tiny,
        images,
        16,
        one=Asking(lambda batch: batch.after(Brighten(0.1, asked)).log_px),
        same=Asking(lambda batch: batch.after(Brighten(0.1, asked)).log_px),
        other=Asking(lambda batch: batch.after(Brighten(0.2, asked)).log_px),
    ).scores
    assert asked == {"times": 6}
    assert count == {"forward": 9, "backward": 9}
    assert np.array_equal(found["one"], found["same"])
    assert not np.isclose(found["one"], found["other"]).any()


def test_the_refinement_scores_share_a_chain_of_one_pass_a_step(tiny, images):
    count = passes(tiny)
    names = ("jem_refine", "jem_refine_grad", "jem_refine_l2", "jem_grad_norm")
    score(tiny, images, 20, **built_in(*names))
    assert count == {"forward": 2 * 11, "backward": 2 * 11}
    assert open_detector("jem_refine").detector.steps == 10


def test_a_change_that_fails_for_one_detector_fails_for_no_other(tiny, images):
    def spoilt(batch):
        batch.inputs.zero_()
        return batch.after(Brighten(0.1)).log_px

    def sound(batch):
        return batch.after(Brighten(0.1)).log_px

    alone = score(tiny, images, good=Asking(sound))
    beside = score(
        tiny, images, bad=Asking(spoilt), less=Undeclared(sound), good=Asking(sound)
    )
    assert set(beside.failures) == {"bad", "less"}
    assert np.array_equal(beside.scores["good"], alone.scores["good"])


def test_who_declares_less_fails_behind_others_as_it_does_alone(tiny, images):
    @dataclass
    class Blind(Asking):
        needs = Need.NETWORK

    blind = Blind(lambda batch: batch.after(Brighten(0.1)).log_px)
    seeing = Asking(lambda batch: batch.after(Brighten(0.1)).log_px)
    failures = score(tiny, images, first=seeing, blind=blind).failures
    assert "Blind reads inputs without declaring it" in failures["blind"]


@pytest.mark.parametrize(
    ("kind", "ask", "reason"),
    [
        (Undeclared, lambda b: b.run(torch.ones(40, 1, 4, 4)), "reads network without"),
        (Undeclared, lambda b: b.after(Brighten(0)), "add Need.NETWORK to its `needs`"),
        (Undeclared, lambda b: b.numbers, "add Need.NETWORK"),
        (Control, lambda b: brightened(b).logits, "Control is a control: it uses"),
        (
            Asking,
            lambda b: b.run(b.inputs[:9]).log_px,
            r"runs the network on \[9, 1, 4, 4\], not on \[40, 1, 4, 4\]",
        ),
        (
            Asking,
            lambda b: b.run(b.inputs).gradient(log_px),
            "objective that it does not list; add it .* give it to `run`",
        ),
        (
            Asking,
            lambda b: b.run(b.inputs.double()).log_px,
            "The network 'tiny' fails on images 0 to 39",
        ),
    ],
)
def test_a_faulty_run_of_the_network_is_told(tiny, images, kind, ask, reason):
    scored = score(tiny, images, bad=kind(ask), **built_in("msp"))
    assert list(scored.failures) == ["bad"]
    assert re.search(reason, scored.failures["bad"])


def test_memory_that_runs_out_in_a_detectors_own_run_halves_the_batch(tiny, images):
    def greedy(batch):
        if len(batch) > 10:
            raise torch.OutOfMemoryError("too many")
        return brightened(batch).log_px

    scored = score(tiny, images, greedy=Asking(greedy))
    plain = score(tiny, images, it=Asking(lambda batch: brightened(batch).log_px))
    assert scored.failures == {}
    assert scored.scores["greedy"] == pytest.approx(plain.scores["it"], rel=1e-5)


@dataclass
class Fitting(Detector):
    needs = Need.NETWORK | Need.INPUTS
    fitted_on = "train"

    def fit(self, known):
        self.numbers = known.numbers.tolist()
        known.run(torch.zeros(len(known), 1, 4, 4))

    def score(self, batch):
        return batch.log_px


def test_a_fit_sees_numbers_and_no_network(tiny, images):
    detector = Fitting()
    failures = Engine(tiny, {"it": detector}, 7).fit("train", images, tell=quiet)
    assert "there is no network here for Fitting" in failures["it"]
    assert detector.numbers == list(range(40))


def test_a_network_that_fails_midway_is_one_sentence(tiny, images):
    def refuse(module, inputs):
        if len(inputs[0]) == 8:
            raise ZeroDivisionError("no eights\nhere")

    tiny.module.register_forward_pre_hook(refuse)
    words = (
        r"^The network 'tiny' fails on images 32 to 39 of the set "
        r"\(ZeroDivisionError: no eights\). `oodbench --debug` shows where.$"
    )
    with pytest.raises(InputError, match=words):
        score(tiny, images, 16)
    with pytest.raises(InputError, match=words):
        Engine(tiny, {"it": Fitting()}, 16).fit("train", images, tell=quiet)

import os
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from oodbench import Detector, InputError, Need, Network, Split
from oodbench.networks.hardware import pick_device
from oodbench.scoring.batch import log_px
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector


@pytest.fixture
def tiny(tiny, device):
    return tiny.to(device)


def quiet(done):
    pass


def built_in(*names):
    return {name: open_detector(name).detector for name in names}


@dataclass
class Spoiler(Detector):
    """Does what a detector must not, as its field says."""

    needs = Need.INPUTS
    deed: str = "write"

    def score(self, batch):
        deeds = {
            "write": lambda: batch.inputs.zero_(),
            "write logits": lambda: batch.logits.mul_(2),
            "raise": lambda: {}["missing"],
            "exit shape": lambda: batch.logits,
            "numpy": lambda: batch.logits[:, 0].cpu().numpy(),
            "nan": lambda: batch.logits[:, 0] * torch.nan,
            "undeclared": lambda: batch.features[:, 0],
        }
        result = deeds[self.deed]()
        return batch.logits[:, 0] if "write" in self.deed else result


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("write", "writes into its inputs"),
        ("write logits", "writes into its inputs"),
        ("raise", "KeyError: 'missing'"),
        ("exit shape", r"returned shape \[40, 6\] for 40 images"),
        ("numpy", "returned ndarray, not a tensor"),
        ("nan", "40 of 40 scores are not finite; the first, of image 0, is nan"),
        ("undeclared", r"reads features without declaring it; add Need.FEATURES"),
    ],
)
def test_a_faulty_detector_fails_alone(tiny, images, deed, reason):
    names = ("energy", "jem_grad_norm", "msp")
    alone = Engine(tiny, built_in(*names)).score(images, has_labels=True, tell=quiet)
    together = Engine(tiny, {"bad": Spoiler(deed), **built_in(*names)})
    scored = together.score(images, has_labels=True, tell=quiet)
    assert list(scored.failures) == ["bad"]
    assert re.search(reason, scored.failures["bad"])
    for name in names:
        assert np.array_equal(scored.scores[name], alone.scores[name])


@dataclass
class Everything(Detector):
    """Keeps all that it is fitted on."""

    needs = Need.FEATURES | Need.HEAD | Need.INPUTS | Need.GRADIENT | Need.LABELS
    objectives = (log_px,)
    fitted_on = "train"

    def fit(self, known):
        self.seen = known

    def score(self, batch):
        return batch.logits[:, 0]


def test_known_holds_the_whole_split_whatever_the_batch_size(tiny, images):
    detector = Everything()
    assert Engine(tiny, {"all": detector}, 7).fit("train", images, tell=quiet) == {}
    known = detector.seen
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(known.inputs, pixels)
    assert known.labels.tolist() == images.labels.tolist()
    logits = tiny(pixels.to(tiny.device)).logits.cpu()
    assert torch.allclose(known.logits, logits, atol=1e-5)
    assert torch.allclose(known.head(known.features), known.logits, atol=1e-5)
    assert known.gradient(log_px).shape == pixels.shape


def test_a_failing_fit_is_told_and_contained(tiny, images):
    detectors = {
        **built_in("pixel_stats"),
        "knn": open_detector("pixel_knn:k=99").detector,
    }
    failures = Engine(tiny, detectors).fit("train", images, tell=quiet)
    assert failures == {
        "knn": "fit failed: ValueError: k is 99, the training images 40"
    }


def test_gradients_are_each_images_own(tiny, images):
    engine = Engine(tiny, built_in("jem_grad_norm"))
    scores = engine.score(images, has_labels=True, tell=quiet).scores["jem_grad_norm"]
    changed = images.images.copy()
    changed[3] = 255 - changed[3]
    split = Split(changed, images.labels)
    other = engine.score(split, has_labels=True, tell=quiet).scores["jem_grad_norm"]
    assert np.flatnonzero(scores != other).tolist() == [3]


def test_scores_do_not_depend_on_the_batch_size(tiny, images):
    names = ("msp", "energy", "jem_grad_norm", "entropy")
    one, many = (
        Engine(tiny, built_in(*names), size).score(images, has_labels=True, tell=quiet)
        for size in (40, 7)
    )
    for name in names:
        assert one.scores[name] == pytest.approx(many.scores[name], rel=1e-5, abs=1e-6)


def test_scores_and_predictions_are_fetched_once_a_chunk(tiny, images, monkeypatch):
    fetched, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: fetched.append(self.shape) or cpu(self)
    )
    engine = Engine(tiny, built_in("msp", "energy", "jem_grad_norm"), 7)
    chunks = [(0, 21), (21, 40)]
    parts = list(engine.score_spans(images, chunks, has_labels=True, tell=quiet))
    # Four predictions and losses, and three scores.
    assert fetched == [(7, 21), (7, 19)]
    assert [len(part.scores["msp"]) for part in parts] == [21, 19]


def test_a_detector_that_fails_midway_has_no_scores_and_others_have_all(tiny, images):
    @dataclass
    class Late(Detector):
        def score(self, batch):
            if len(batch) < 16:
                raise ValueError("too few")
            return batch.logits[:, 0]

    engine = Engine(tiny, {"late": Late(), **built_in("msp")}, 16)
    scored = engine.score(images, has_labels=True, tell=quiet)
    assert scored.failures == {"late": "ValueError: too few"}
    assert {label: len(one) for label, one in scored.scores.items()} == {"msp": 40}
    assert set(scored.costs) == {"msp"}


def test_losses_are_those_of_torch(tiny, images):
    scored = Engine(tiny, {}).score(images, has_labels=True, tell=quiet)
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255
    logits = tiny(pixels.to(tiny.device)).logits.cpu().double()
    labels = torch.from_numpy(images.labels)
    nll = F.cross_entropy(logits, labels, reduction="none")
    brier = (logits.softmax(1) - F.one_hot(labels, 6)).square().sum(1)
    assert scored.predictions["nll"] == pytest.approx(nll.numpy())
    assert scored.predictions["brier"] == pytest.approx(brier.numpy())
    assert scored.predictions["predictions"].tolist() == logits.argmax(1).tolist()


def test_labels_that_are_not_the_networks_give_no_losses(tiny, images):
    foreign = replace(images, labels=images.labels + 100)
    scored = Engine(tiny, {}).score(foreign, has_labels=False, tell=quiet)
    assert set(scored.predictions) == {"predictions", "confidences"}


class Dying:
    """Images whose reader is killed, as by a system that runs out of memory."""

    def __len__(self):
        return 40

    def __getitem__(self, chunk):
        os._exit(9)


def test_a_reader_that_dies_is_one_sentence(tiny):
    engine = Engine(tiny, {}, 16, workers=1)
    with pytest.raises(InputError, match=r"reads images ahead has died .*--workers 0"):
        engine.score(Split(Dying()), has_labels=False, tell=quiet)


def test_progress_counts_every_image(tiny, images):
    told = []
    Engine(tiny, {}, 16).score(images, has_labels=True, tell=told.append)
    assert told == [16, 16, 8]


def test_a_network_without_a_head_is_lacking_for_who_needs_features(tiny):
    headless = Network(
        torch.nn.Sequential(tiny.module, torch.nn.Tanh()), (1, 4, 4), "headless"
    )
    assert "no linear layer" in lacks(headless, Everything())
    assert lacks(tiny, Everything()) == ""
    assert lacks(headless, open_detector("energy").detector) == ""


def test_cpu_is_always_there_and_others_are_named_where_missing():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match=r"no device 'abacus' here; .* cpu"):
        pick_device("abacus")

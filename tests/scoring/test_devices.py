"""Detectors stay on the device of their inputs, shown with tensors of a fake GPU.

A fake tensor has a shape, a type and a device, and no values. Mixing devices raises,
and so does reading a value, for which a real GPU would have to be waited for.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

import oodbench
from oodbench import Detector, Need, Network, Outputs, Split
from oodbench.base import registry
from oodbench.scoring.batch import Batch
from oodbench.scoring.containment import Trust
from oodbench.scoring.engine import Engine
from oodbench.scoring.fitting.gather import Gathered, gatherer
from oodbench.scoring.fitting.state import move
from oodbench.scoring.scorer import Scorer
from oodbench.scoring.spec import open_detector
from oodbench.scoring.stopwatch import Stopwatch

N, K, D = 5, 6, 8
NAMES = registry.names("detectors")
BLOCKS = ("1", "3")
GPU = torch.device("cuda:0")
WAITING = {
    "grood": "neighbours whose rounding is in doubt are searched again",
    "knn": "likewise",
    "react+knn:k=3": "likewise",
    "pixel_knn": "likewise",
    "davis": "features that are not the mean of the map are refused",
    "line": "every predicted class has weights of its own",
}
"""Those that read a value in `score`, and why."""
READ = (DataDependentOutputException, DynamicOutputShapeException)


def fitted(spec, network, images):
    detector = open_detector(spec).detector
    if detector.fitted_on:
        faults = Engine(network, {"it": detector}).fit(
            detector.fitted_on, images, tell=lambda _: None
        )
        assert faults == {}
    return detector


SHARED = [
    *("msp", "jem_grad_norm", "odin", "mahalanobis", "pixel_stats", "react+energy"),
    *("gram", "sem", "adascale_a", "jem_refine"),
]
"""Detectors of all kinds of needs."""


class Head(nn.Linear):
    """A layer that is made anew: fake weights can neither be copied nor moved."""

    def __deepcopy__(self, memo):
        return Head(self.in_features, self.out_features, device=GPU)

    def cpu(self):
        return nn.Linear(self.in_features, self.out_features)


def fake_batch(objectives):
    return Batch(
        inputs=torch.rand(N, 1, 4, 4, device=GPU),
        logits=torch.rand(N, K, device=GPU),
        log_px=torch.rand(N, device=GPU),
        features=torch.rand(N, D, device=GPU),
        members=torch.rand(N, 3, K, device=GPU),
        texts=torch.rand(K, D, device=GPU),
        negatives=torch.rand(100, D, device=GPU),
        head=Head(D, K, device=GPU),
        gradients={one: torch.rand(N, 1, 4, 4, device=GPU) for one in objectives},
        blocks=BLOCKS,
        maps={block: torch.rand(N, D, 4, 4, device=GPU) for block in BLOCKS},
        map_gradients={
            (block, one): torch.rand(N, D, 4, 4, device=GPU)
            for block in BLOCKS
            for one in objectives
        },
        rerun=lambda pixels, objectives, given: fake_batch(objectives),
    )


@pytest.mark.parametrize("spec", [*NAMES, "react+knn:k=3"])
def test_scores_are_computed_on_the_device_of_the_inputs(
    spec, tiny, convolutional, images
):
    has_maps = Need.BLOCKS in open_detector(spec).detector.needs
    detector = fitted(spec, convolutional if has_maps else tiny, images)
    numbers = torch.arange(N)
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(detector, GPU, {})
        batch = replace(fake_batch(detector.objectives), numbers=numbers)
        outputs = Outputs(batch, detector)
        if spec in WAITING:
            with pytest.raises(READ):
                detector.score(outputs)
        else:
            scores = detector.score(outputs)
            assert scores.shape == (N,)
            assert scores.device == GPU


@pytest.fixture
def zero_gradients(monkeypatch):
    """Stands in for the backward pass, which fake tensors do not have."""

    def grad(total, sources, **options):
        return [torch.zeros_like(one) for one in sources]

    monkeypatch.setattr(torch.autograd, "grad", grad)
    # A GPU that is not there records no events.
    host = torch.device("cpu")
    monkeypatch.setattr(
        "oodbench.scoring.scorer.Stopwatch", lambda device: Stopwatch(host)
    )


def fake_network():
    """Returns the network `convolutional` on the fake GPU."""
    layers = [
        nn.Conv2d(1, D, 1, device=GPU),
        nn.ReLU(),
        nn.Conv2d(D, D, 3, 1, 1, device=GPU),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Head(D, K, device=GPU),
    ]
    return Network(nn.Sequential(*layers), (1, 4, 4), blocks=BLOCKS)


def test_the_shared_pass_waits_for_nothing_and_stays_on_the_device(
    convolutional, images, zero_gradients
):
    detectors = {spec: fitted(spec, convolutional, images) for spec in SHARED}
    with FakeTensorMode(allow_non_fake_inputs=True):
        for detector in detectors.values():
            move(detector, GPU, {})
        scorer = Scorer(fake_network(), detectors, contained=Trust())
        pixels, classes = torch.rand(N, 1, 4, 4, device=GPU), torch.zeros(N).long()
        found = scorer.score(pixels, torch.arange(N), classes)
        assert found.failures == {}
        values = [*found.scores.values(), *found.predictions.values()]
        assert len(values) == len(SHARED) + 4
        assert all(one.shape == (N,) and one.device == GPU for one in values)


def test_a_value_that_is_read_in_the_shared_pass_is_found(zero_gradients):
    class Reading(Detector):
        def score(self, batch):
            return batch.log_px - batch.log_px.mean().item()

    with FakeTensorMode(allow_non_fake_inputs=True):
        scorer = Scorer(fake_network(), {"it": Reading()}, contained=Trust())
        found = scorer.score(torch.rand(N, 1, 4, 4, device=GPU), torch.arange(N), None)
        assert "DataDependentOutputException" in found.failures["it"]


def test_what_is_known_of_a_split_is_on_the_host_with_its_head():
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = fake_network()
        gather = gatherer(network, [open_detector("react+knn").detector])
        gathered = Gathered(network, Split(np.zeros((N, 4, 4, 1), np.uint8)))
        gathered.add(gather(torch.rand(N, 1, 4, 4, device=GPU), torch.arange(N)))
        whole = gathered.whole()
    values = [whole.features, whole.logits, *whole.head.parameters()]
    assert [value.device.type for value in values] == ["cpu"] * 4


def test_weights_of_convolutions_have_their_channels_last_on_a_gpu():
    with FakeTensorMode(allow_non_fake_inputs=True):
        weight = fake_network().to(GPU).module[2].weight
    assert weight.shape == (D, D, 3, 3)
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("precision", "products"), [("fp32", "ieee"), ("tf32", "tf32")]
)
def test_a_gpu_rounds_products_to_tf32_only_where_that_is_chosen(
    precision, products, zero_gradients
):
    def states():
        backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv
        return [backend.fp32_precision for backend in backends]

    seen, before = [], states()
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = fake_network()
        network.precision = precision
        network.module.register_forward_hook(lambda *_: seen.append(states()))
        scorer = Scorer(network, {}, contained=Trust())
        scorer.score(torch.rand(N, 1, 4, 4, device=GPU), torch.arange(N), None)
    assert seen == [[products, products]]
    assert states() == before


def test_mixed_devices_and_values_that_are_read_are_found(tiny, images):
    @dataclass
    class Mixed(Detector):
        def score(self, batch):
            return batch.logits @ torch.ones(K)

    class Reading(Mixed):
        def score(self, batch):
            return batch.log_px - batch.log_px.mean().item()

    with FakeTensorMode(allow_non_fake_inputs=True):
        outputs = Outputs(fake_batch(()), Mixed())
        with pytest.raises(RuntimeError, match="device"):
            Mixed().score(outputs)
        with pytest.raises(READ):
            Reading().score(outputs)


def test_a_run_on_a_gpu_gives_the_scores_of_the_cpu(device, tmp_path):
    if device.type == "cpu":
        pytest.skip("needs --device cuda")
    runs = [
        oodbench.run(
            "jem-digits",
            out="digits:8-9",
            detectors="msp,jem_grad_norm,jem_refine,knn,mahalanobis,react+energy",
            limit=40,
            device=kind,
            results=tmp_path / kind,
            quiet=True,
        )
        for kind in ("cpu", device.type)
    ]
    assert [run.failed for run in runs] == [{}, {}]
    here, there = (oodbench.image_scores(run).score for run in runs)
    assert here.to_numpy() == pytest.approx(there.to_numpy(), rel=1e-3, abs=1e-3)


def test_a_gpu_is_not_waited_for_within_the_shared_pass(device, images, convolutional):
    if device.type != "cuda":
        pytest.skip("needs --device cuda")
    network = convolutional.to(device)
    detectors = {spec: fitted(spec, network, images) for spec in SHARED}
    scorer = Scorer(network, detectors, contained=Trust())
    pixels, numbers = torch.rand(N, 1, 4, 4, device=device), torch.arange(N)
    scorer.score(pixels, numbers, None)  # the first call builds handles and caches
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = scorer.score(pixels, numbers, None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.failures == {}

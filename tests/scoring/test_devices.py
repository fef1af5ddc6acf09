"""Detectors stay on the device of their inputs, shown with tensors of a fake GPU.

A fake tensor has a shape, a type and a device, and no values. Mixing devices raises,
and so does reading a value, for which a real GPU would have to be waited for.
"""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

import oodbench
from oodbench import Detector, Need, Outputs
from oodbench.base import registry
from oodbench.scoring.batch import Batch
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector
from oodbench.scoring.state import move

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
    "jem_refine": "the numbers of images are on the host, and seed the noise",
    "jem_refine_grad": "likewise",
    "jem_refine_l2": "likewise",
    "mc_dropout": "likewise",
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


class Head(nn.Linear):
    """A layer whose copy is made anew: copying fake weights reads their memory."""

    def __deepcopy__(self, memo):
        return Head(self.in_features, self.out_features, device=GPU)


def fake_batch(objectives):
    return Batch(
        inputs=torch.rand(N, 1, 4, 4, device=GPU),
        logits=torch.rand(N, K, device=GPU),
        log_px=torch.rand(N, device=GPU),
        features=torch.rand(N, D, device=GPU),
        members=torch.rand(N, 3, K, device=GPU),
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

"""What detectors cost: counted passes, and times and memory that add up."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import oodbench as ob
from oodbench import Detector, Need
from oodbench.scoring.scored import Cost, Scored, merge


@dataclass(frozen=True)
class Twice:
    """Runs the network twice, one pass after the other."""

    def __call__(self, outputs):
        return outputs.run(outputs.inputs).run(outputs.inputs)


def logit(result):
    return result.logits[:, 0]


@dataclass
class Costly(Detector):
    """Three further forward and two backward passes; learns 2 MiB."""

    needs = Need.NETWORK | Need.INPUTS | Need.GRADIENT
    objectives = (logit,)
    fitted_on = "train"
    bank: torch.Tensor = field(init=False, repr=False)

    def fit(self, known):
        self.bank = torch.zeros(1024, 512)

    def score(self, batch):
        batch.run(batch.inputs, logit)
        return batch.after(Twice()).log_px


@pytest.fixture
def costs(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("in", "out", "fit"):
        pixels = rng.integers(0, 256, (20, 4, 4, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=pixels, labels=np.arange(20) % 6)
    ob.run(
        tiny,
        f"npz:{tmp_path}/in.npz",
        f"npz:{tmp_path}/out.npz",
        fit=f"npz:{tmp_path}/fit.npz",
        detectors=["energy", "jem_grad_norm", "pixel_stats", Costly()],
        batch_size=8,
        device="cpu",
        quiet=True,
        results=tmp_path / "runs",
    )
    return ob.costs(tmp_path / "runs").set_index("detector")


def test_passes_beyond_the_shared_one_are_counted(costs):
    passes = {name: (row.forward, row.backward) for name, row in costs.iterrows()}
    assert passes == {
        "energy": (0, 0),
        "jem_grad_norm": (0, 1),
        "pixel_stats": (0, 0),
        "Costly": (3, 2),
    }


def test_memory_is_that_of_what_was_learnt(costs):
    assert costs["mebibytes"]["Costly"] == 2
    assert costs["mebibytes"]["energy"] == 0


def test_times_are_positive_and_only_what_is_fitted_has_a_time_of_fitting(costs):
    assert (costs["microseconds"] > 0).all()
    fitted = costs["fit_seconds"].notna()
    assert set(fitted[fitted].index) == {"pixel_stats", "Costly"}


def test_the_command_shows_them(costs, tmp_path, oodbench):
    code, out, _ = oodbench("costs", str(tmp_path / "runs"), "--format", "csv")
    assert code == 0
    assert "tiny,in,Costly,3.0,2.0," in out


def test_costs_of_parts_add_up():
    parts = [
        Scored({"p": np.zeros(2)}, {"a": np.zeros(2)}, {}, {"a": Cost(1.5, 2, 4)}),
        Scored({"p": np.zeros(1)}, {"a": np.zeros(1)}, {}, {"a": Cost(0.5, 1, 2)}),
    ]
    assert merge(parts).costs == {"a": Cost(2.0, 3, 6)}

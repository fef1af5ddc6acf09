"""Numbers within a training script: right ones, and a module that is left alone."""

import logging

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from oodbench import InputError, Network, evaluate, run

MEAN, STD = (0.5,), (0.25,)


@pytest.fixture
def module(tiny):
    """A module that is being trained: dropout, a frozen layer, and gradients."""
    tiny.module.hidden.weight.requires_grad_(True)
    tiny.module.dropout = torch.nn.Dropout()
    tiny.module.train()
    tiny.module.head.eval()
    tiny.module.hidden.weight.grad = torch.ones(8, 16)
    return tiny.module


@pytest.fixture
def sets():
    """Images [N, H, W, C] with labels, by name."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (40, 4, 4, 1), np.uint8), rng.integers(0, 6, 40))
        for name in ("inside", "out", "train")
    }


def loader(images, labels, **options):
    pixels = torch.from_numpy(images).movedim(-1, 1) / 255
    data = TensorDataset((pixels - MEAN[0]) / STD[0], torch.from_numpy(labels))
    return DataLoader(data, batch_size=16, **options)


def test_numbers_are_those_of_a_run(module, sets, tmp_path):
    for name, (images, labels) in sets.items():
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    detectors = ["energy", "odin", "knn:k=3"]
    found = evaluate(
        module,
        loader(*sets["inside"]),
        {"far": loader(*sets["out"])},
        detectors,
        fit=loader(*sets["train"], shuffle=True),
        mean=MEAN,
        std=STD,
    )
    rows = run(
        Network(module, (1, 4, 4), "tiny", MEAN, STD),
        *(f"npz:{tmp_path}/{name}.npz" for name in ("inside", "out")),
        fit=f"npz:{tmp_path}/train.npz",
        detectors=detectors,
        device="cpu",
        quiet=True,
        results=tmp_path / "runs",
    ).rows()
    for _, row in rows.iterrows():
        for metric in ("auroc", "fpr95"):
            own = found[f"{row.detector}/far/{metric}"]
            assert own == pytest.approx(row[metric], abs=1e-9)
    pixels, labels = loader(*sets["inside"]).dataset.tensors
    right = module.eval()(pixels).argmax(1) == labels
    assert found["accuracy"] == pytest.approx(right.float().mean().item())
    assert len(found) == 1 + 2 * len(detectors)


def test_the_module_and_all_random_numbers_stay_as_they_were(module, sets):
    before = {name: one.clone() for name, one in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    shuffled = {name: loader(*one, shuffle=True) for name, one in sets.items()}
    evaluate(
        module, shuffled["inside"], shuffled["out"], ["odin", "vim"],
        fit=shuffled["train"], mean=MEAN, std=STD,
    )  # fmt: skip
    assert torch.equal(torch.rand(3), expected)
    after = module.state_dict()
    assert all(torch.equal(after[name], one) for name, one in before.items())
    assert module.training
    assert module.dropout.training
    assert not module.head.training
    learning = {n for n, one in module.named_parameters() if one.requires_grad}
    assert learning == {"hidden.weight"}
    assert torch.equal(module.hidden.weight.grad, torch.ones(8, 16))
    assert module.head.weight.grad is None
    assert not any(layer._forward_hooks for layer in module.modules())


def test_an_error_leaves_the_module_as_it_was(module, sets):
    with pytest.raises(InputError, match="knn has to be fitted"):
        evaluate(module, loader(*sets["inside"]), [], "knn", mean=MEAN, std=STD)
    assert module.training
    assert module.hidden.weight.requires_grad


def test_a_detector_that_fails_has_nan(module, sets, caplog):
    with torch.no_grad():
        module.head.weight.fill_(torch.nan)
    with caplog.at_level(logging.WARNING, "oodbench"):
        found = evaluate(
            module, loader(*sets["inside"]), loader(*sets["out"]), mean=MEAN, std=STD
        )
    assert np.isnan(found["energy/out/auroc"])
    assert np.isnan(found["energy/out/fpr95"])
    assert "energy has no scores on out" in caplog.text


def test_the_first_images_are_taken(module, sets):
    (images, labels), (others, _) = sets["inside"], sets["out"]
    few = [evaluate(
        module, loader(images[:n], labels[:n]), loader(others[:n], labels[:n]),
        mean=MEAN, std=STD, limit=20,
    ) for n in (20, 40)]  # fmt: skip
    assert few[0] == few[1]


def test_wrong_arguments_are_a_sentence(module, sets):
    inside = loader(*sets["inside"])
    with pytest.raises(InputError, match="give mean= and std="):
        evaluate(module, inside, inside)
    with pytest.raises(InputError, match="gives no images"):
        evaluate(module, [], inside)
    with pytest.raises(InputError, match=r"\[B, C, H, W\]"):
        evaluate(module, torch.zeros(2, 1, 4, 4), inside)
    pixels = torch.zeros(2, 1, 4, 4)
    with pytest.raises(InputError, match="labels up to 9"):
        evaluate(module, [(pixels, torch.tensor([0, 9]))], [pixels])
    with pytest.raises(InputError, match=r"in torch\.float64"):
        evaluate(module.double(), inside, inside)

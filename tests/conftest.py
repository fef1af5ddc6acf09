"""Makes the tests see the installed package, on one thread, with a tiny network."""

import signal
import sys
from pathlib import Path

# The folders `detectors/` and `datasets/` must be found as installed, not from here.
ROOT = str(Path(__file__).resolve().parent.parent)
sys.path[:] = [entry for entry in sys.path if entry not in ("", ROOT)]

import numpy as np  # noqa: E402 - after the path is mended
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from oodbench import Network, Split, cli  # noqa: E402

# Small nets run many times faster on one thread.
torch.set_num_threads(1)
# A loaded machine must not fail a test that is right.
settings.register_profile("oodbench", deadline=None)
settings.load_profile("oodbench")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where tests of the device run")


def pytest_collection_modifyitems(items):
    for item in items:
        if "device" in item.fixturenames:
            item.add_marker("device")


@pytest.fixture
def device(request):
    """The device of --device; tests that take it have the mark `device`."""
    return torch.device(request.config.getoption("--device"))


class Tiny(torch.nn.Module):
    """Two layers on 1x4x4 images, six classes, weights from a seed."""

    def __init__(self, seed=0, classes=6):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.hidden = torch.nn.Linear(16, 8)
        self.head = torch.nn.Linear(8, classes)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(0, 0.5, generator=generator)

    def forward(self, images):
        return self.head(torch.nn.functional.silu(self.hidden(images.flatten(1))))


@pytest.fixture
def tiny():
    """A network on 1x4x4 images with features and a head."""
    return Network(Tiny(), (1, 4, 4), "tiny", (0.5,), (0.25,))


@pytest.fixture
def convolutional():
    """A network on 1x4x4 images with the blocks 1 and 3, features and a head."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, 1, 1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 6),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, 0.5, generator=generator)
    return Network(module, (1, 4, 4), "convolutional", blocks=("1", "3"))


@pytest.fixture
def images():
    """Forty random uint8 images of 4x4 with labels of six classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)
    return Split(pixels, rng.integers(0, 6, 40))


@pytest.fixture
def oodbench(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["oodbench", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)
    }
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)

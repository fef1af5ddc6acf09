import pytest
import torch

from oodbench import Network
from oodbench.networks.hardware import fitting_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_small_network_runs_on_one_thread(tiny):
    with fitting_threads(tiny):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_large_network_runs_on_all():
    layers = torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10)
    with fitting_threads(Network(torch.nn.Sequential(*layers), (3, 32, 32))):
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_are_given_back_after_an_error(tiny):
    with pytest.raises(KeyboardInterrupt), fitting_threads(tiny):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2

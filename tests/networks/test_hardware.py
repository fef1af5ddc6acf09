import pytest
import torch

from oodbench import InputError, Network, Shape
from oodbench.networks.hardware import (
    check_activations,
    first_batch_size,
    fitting_threads,
    is_out_of_memory,
    pick_device,
)


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


# --- devices, batches and memory


def test_auto_is_a_device_of_this_machine_and_a_missing_one_is_named():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="no device 'tpu' here; use auto or one of"):
        pick_device("tpu")


def test_auto_takes_no_device_without_float64(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch.empty(1, dtype=torch.float64, device=pick_device("auto")).numel() == 1


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [
        ((1, 8, 8), "cpu", 1024),  # never more
        ((3, 32, 32), "cpu", 256),  # 2^20 / 3072 = 341
        ((3, 224, 224), "cpu", 16),  # never fewer
        ((3, 224, 224), "cuda", 64),  # 2^24 / 150528 = 111
    ],
)
def test_the_first_batch_is_a_power_of_two_that_mostly_fits(shape, kind, size):
    assert first_batch_size(Shape(*shape), torch.device(kind)) == size


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_errors_that_a_smaller_batch_mends_are_known(error, helps):
    assert is_out_of_memory(error) is helps


def test_a_network_of_huge_maps_is_refused_without_building_them():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 64, 3, padding=1))
    check_activations(module, Shape(1, 32, 32))
    with pytest.raises(InputError, match="return 2147483648 values for two images 1x4"):
        check_activations(module, Shape(1, 4096, 4096))
    assert module[0].weight.device.type == "cpu"

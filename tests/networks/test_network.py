import pytest
import torch
from torch import nn

from oodbench import InputError, Joint, Network


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = nn.Linear(16, 5)
        self.density = nn.Linear(16, 1)

    def forward(self, images):
        flat = images.flatten(1)
        return Joint(self.classes(flat), self.density(flat).squeeze(1))


def pixels(count=7):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_head_of_features_gives_the_logits(tiny):
    result = tiny(pixels())
    assert torch.allclose(tiny.head(result.features), result.logits)


def test_log_px_is_logsumexp_of_the_logits(tiny):
    result = tiny(pixels())
    assert torch.equal(result.log_px, result.logits.logsumexp(1))
    assert not tiny.has_density_head


def test_density_head_gives_log_px():
    network = Network(TwoHeads(), (1, 4, 4))
    result = network(pixels())
    expected = network.module.density(pixels().flatten(1)).squeeze(1)
    assert torch.equal(result.log_px, expected)
    assert network.has_density_head
    assert network.classes == 5
    assert network.head is network.module.classes


def test_normalisation_is_inside(tiny):
    by_hand = tiny.module((pixels() - 0.5) / 0.25)
    assert torch.equal(tiny(pixels()).logits, by_hand)


def test_network_is_frozen_and_in_evaluation_mode():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)).train()
    network = Network(module, (1, 4, 4))
    assert torch.equal(network(pixels()).logits, network(pixels()).logits)
    assert not any(weight.requires_grad for weight in module.parameters())


def test_no_head_is_found_where_the_logits_are_changed_afterwards():
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh())
    network = Network(module, (1, 4, 4))
    assert network.head is None
    assert network(pixels()).features is None


def test_no_hook_is_left_behind(tiny):
    tiny(pixels())
    assert not any(layer._forward_pre_hooks for layer in tiny.module.modules())
    assert not any(layer._forward_hooks for layer in tiny.module.modules())


def test_fingerprint_changes_with_weights_and_preprocessing(tiny):
    before = tiny.fingerprint()
    assert tiny.fingerprint() == before
    other = Network(tiny.module, (1, 4, 4), "tiny", (0.4,), (0.25,))
    assert other.fingerprint() != before
    tiny.module.head.bias[0] += 1e-6
    assert tiny.fingerprint() != before


def test_wrong_image_size_is_one_sentence(tiny):
    with pytest.raises(InputError, match="fails on images 1x5x5"):
        Network(tiny.module, (1, 5, 5))


@pytest.mark.parametrize(
    ("module", "got"),
    [
        (nn.Identity(), "shape"),
        (nn.Flatten(0), "shape"),
        (type("Pair", (nn.Module,), {"forward": lambda self, x: (x, x)})(), "tuple"),
    ],
)
def test_output_that_is_no_logits_is_refused(module, got):
    with pytest.raises(InputError, match=f"must return logits.*{got}"):
        Network(module, (1, 4, 4))


def test_normalisation_of_wrong_length_is_refused(tiny):
    with pytest.raises(InputError, match="2 values for 1 channels"):
        Network(tiny.module, (1, 4, 4), "tiny", (0.5, 0.5))


def test_deviation_of_zero_is_refused(tiny):
    with pytest.raises(InputError, match="--std must be positive"):
        Network(tiny.module, (1, 4, 4), "tiny", (0.5,), (0.0,))

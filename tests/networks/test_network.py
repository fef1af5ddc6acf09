from collections import OrderedDict, namedtuple
from types import SimpleNamespace

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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("flat", "order"),
    [
        (torch.Tensor.reshape, torch.channels_last),
        (torch.Tensor.view, torch.contiguous_format),  # it takes no other one
    ],
)
def test_images_have_the_order_in_memory_that_the_module_takes(flat, order, channels):
    class Flattening(nn.Sequential):
        def forward(self, images):
            strides.append(images.stride())
            maps = self[0](images)
            return self[1](flat(maps, len(maps), -1))

    torch.manual_seed(0)
    strides = []
    module = Flattening(nn.Conv2d(channels, 2, 3), nn.Linear(8, 5))
    network = Network(module, (channels, 4, 4))
    strides.clear()
    shape, seed = (7, channels, 4, 4), torch.Generator().manual_seed(1)
    images = torch.rand(shape, generator=seed)
    expected = module[1](module[0](images).flatten(1))
    for given in (torch.contiguous_format, torch.channels_last):
        found = network(images.to(memory_format=given)).logits
        torch.testing.assert_close(found, expected)
    wanted = torch.empty(shape).to(memory_format=order).stride()
    assert strides == [wanted] * 2


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


def test_normalisation_that_is_set_later_is_used(tiny):
    pixels = torch.rand(2, 1, 4, 4)
    other = Network(tiny.module, tiny.shape, "tiny", (0.1,), (0.5,))
    tiny.mean, tiny.std = other.mean, other.std
    torch.testing.assert_close(tiny(pixels).logits, other(pixels).logits)
    assert tiny.fingerprint() == other.fingerprint()


def test_normalisation_of_wrong_length_is_refused(tiny):
    with pytest.raises(InputError, match="2 values for 1 channels"):
        Network(tiny.module, (1, 4, 4), "tiny", (0.5, 0.5))


@pytest.mark.parametrize(
    ("mean", "std"),
    [(125.3, 63.0), (0.5, 63.0), (-0.1, 1.0), (float("nan"), 1.0), (0.5, 2.0)],
)
def test_normalisation_of_other_pixels_is_refused_with_the_remedy(tiny, mean, std):
    with pytest.raises(InputError, match=r"not one for pixels .* divide both by 255"):
        Network(tiny.module, (1, 4, 4), "tiny", (mean,), (std,))


def test_normalisation_may_be_a_number_a_list_or_a_tensor(tiny):
    given = [0.5, [0.5], (0.5,), torch.tensor([0.5]), torch.tensor(0.5)]
    assert {Network(tiny.module, [1, 4, 4], mean=each).mean for each in given} == {
        (0.5,)
    }
    with pytest.raises(InputError, match="must be numbers, not 'grey'"):
        Network(tiny.module, (1, 4, 4), mean="grey")


def test_shape_must_have_three_sizes(tiny):
    with pytest.raises(InputError, match=r"\(channels, height, width\), not \(4, 4\)"):
        Network(tiny.module, (4, 4))


def test_deviation_of_zero_is_refused(tiny):
    with pytest.raises(InputError, match="--std must be positive"):
        Network(tiny.module, (1, 4, 4), "tiny", (0.5,), (0.0,))


# --- kinds of output


class Answer(nn.Module):
    """Returns whatever a function makes of logits and features."""

    def __init__(self, answer, classes=5):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(16, 8), nn.Linear(8, classes)
        self.answer = answer

    def forward(self, images):
        features = self.body(images.flatten(1)).relu()
        return self.answer(self.head(features), features)


Named = namedtuple("Named", "logits hidden")


class Entries(OrderedDict):
    """A dictionary whose entries are attributes too, as model libraries return."""

    __getattr__ = OrderedDict.__getitem__


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (lambda y, z: y, None),
        (lambda y, z: (y, z), "member 0 of the output"),
        (lambda y, z: [z[:, :, None], y], "member 1 of the output"),
        (lambda y, z: {"features": z, "logits": y}, "key 'logits' of the output"),
        (lambda y, z: {"out": y}, "key 'out' of the output"),
        (lambda y, z: Entries(logits=y, hidden=z), "key 'logits' of the output"),
        (lambda y, z: Entries(scores=y), "key 'scores' of the output"),
        (lambda y, z: SimpleNamespace(logits=y), "attribute 'logits' of the output"),
        (lambda y, z: Named(y, z), "attribute 'logits' of the output"),
    ],
)
def test_logits_are_found_in_the_output_and_the_record_says_where(answer, where):
    network = Network(Answer(answer), (1, 4, 4))
    plain = Network(Answer(lambda y, z: y), (1, 4, 4))
    assert network.source.get("logits") == where
    assert torch.equal(network(pixels()).logits, plain(pixels()).logits)
    assert network.head is network.module.head
    assert torch.equal(network(pixels()).features, plain(pixels()).features)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda y, z: (z, y), "not clear whether the logits are member 0 .* member 1"),
        (lambda y, z: {"a": y, "b": z}, "not clear whether the logits are key 'a'"),
        (lambda y, z: (y[:, :, None], z[:, None]), "a tuple without such a tensor"),
        (lambda y, z: {}, "a dict without such a tensor"),
        (lambda y, z: None, "it returned NoneType"),
        (lambda y, z: SimpleNamespace(logits=None), "it returned SimpleNamespace"),
    ],
)
def test_output_whose_logits_are_unclear_is_refused(answer, words):
    with pytest.raises(InputError, match=words):
        Network(Answer(answer), (1, 4, 4))


@pytest.mark.parametrize(
    "answer", [lambda y, z: y, lambda y, z: y[:, 0], lambda y, z: y.squeeze()]
)
def test_one_logit_is_a_binary_classifier(answer):
    module = Answer(answer, classes=1)
    network = Network(module, (1, 4, 4))
    one = module.head(module.body(pixels().flatten(1)).relu())[:, 0]
    for count in (7, 1):
        result = network(pixels()[:count])
        assert torch.equal(result.logits[:, 0], torch.zeros(count))
        torch.testing.assert_close(result.logits[:, 1], one[:count])
        # The softmax of (0, f) is the sigmoid of f.
        torch.testing.assert_close(
            result.logits.softmax(1)[:, 1], one.sigmoid()[:count]
        )
    assert network.classes == 2
    assert "(0, f)" in network.source["classes"]


def test_the_head_of_one_logit_gives_both_logits():
    network = Network(Answer(lambda y, z: y, classes=1), (1, 4, 4))
    result = network(pixels())
    torch.testing.assert_close(network.head(result.features), result.logits)


def test_an_output_that_is_squeezed_for_one_image_is_a_row():
    network = Network(Answer(lambda y, z: y.squeeze()), (1, 4, 4))
    torch.testing.assert_close(network(pixels(1)).logits, network(pixels()).logits[:1])


def test_an_output_of_too_few_rows_is_refused():
    network = Network(Answer(lambda y, z: y[:2]), (1, 4, 4))
    with pytest.raises(InputError, match="2 rows of logits for 7 images"):
        network(pixels())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_modules_of_other_precision_run_in_float32(dtype):
    reference = Answer(lambda y, z: y).to(dtype)
    network = Network(Answer(lambda y, z: y).to(dtype), (1, 4, 4))
    result = network(pixels())
    assert result.logits.dtype == torch.float32
    expected = reference.double()(pixels().double())
    torch.testing.assert_close(result.logits.double(), expected, rtol=1e-4, atol=1e-5)
    assert network.source["converted"] == f"{dtype} to float32"


def test_a_size_that_the_network_takes_is_offered_and_no_other_cause_blamed():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    with pytest.raises(InputError, match="takes images 3x32x32; name this size"):
        Network(module, (3, 28, 28))
    with pytest.raises(InputError, match=r"\(KeyError: 'absent'\)\.$"):
        Network(Answer(lambda y, z: {}["absent"]), (1, 4, 4))

"""Zero-shot classifiers: cosines with texts, their key, and mining of negatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import Network, Shape, ZeroShot, load_network
from oodbench.networks.zero_shot.classifier import mined

TEXTS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


class Encoder(nn.Module):
    """The mean of each of three channels."""

    def forward(self, images):
        return images.mean((2, 3))


def network(texts=TEXTS, **others):
    return Network(ZeroShot(Encoder(), texts, **others), (3, 2, 2), "zero-shot")


def test_logits_are_scaled_cosines_and_features_unit_embeddings():
    found = network(scale=10.0)
    images = torch.tensor([0.3, 0.4, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    result = found(images)
    torch.testing.assert_close(result.logits, torch.tensor([[6.0, 8.0]]))
    torch.testing.assert_close(result.features, torch.tensor([[0.6, 0.8, 0.0]]))
    torch.testing.assert_close(found.head(result.features), result.logits)
    torch.testing.assert_close(found.texts.norm(dim=1), torch.ones(2))
    assert found.negatives is None


def test_the_key_depends_on_texts_negatives_and_scale():
    others = [
        network(),
        network(TEXTS.flip(0)),
        network(negatives=TEXTS),
        network(scale=1.0),
        network(made_of="a"),
        network(made_of="b"),
    ]
    assert len({one.fingerprint() for one in others}) == len(others)


def test_what_texts_were_made_of_stands_for_them_in_the_key():
    rounded = TEXTS * torch.tensor([1.0, 1 + 1e-6, 1.0]) + 1e-7
    keys = {
        network(each, negatives=each, made_of="a").fingerprint()
        for each in (TEXTS, rounded)
    }
    assert len(keys) == 1


def test_features_of_another_layer_are_not_compared_with_texts():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    found = Network(ZeroShot(encoder, TEXTS), (3, 2, 2))
    assert found.texts is not None
    assert replace(found, head_layer="images.1").texts is None


def test_a_file_of_the_encoder_fits(tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch, oodbench\n"
        "from torch.nn import Flatten, Linear, Sequential\n"
        "def net():\n"
        "    encoder = Sequential(Flatten(), Linear(12, 3))\n"
        "    return oodbench.ZeroShot(encoder, torch.eye(3)[:2])\n"
    )
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    torch.save(encoder.state_dict(), tmp_path / "net.pt")
    found = load_network(
        tmp_path / "net.pt", arch=f"{tmp_path}/nets.py:net", shape=Shape(3, 2, 2)
    )
    pixels = torch.rand(4, 3, 2, 2)
    expected = nn.functional.normalize(encoder(pixels))
    torch.testing.assert_close(found(pixels).features, expected)
    assert found.texts.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_mining_takes_the_words_that_are_least_like_the_classes():
    rng = np.random.default_rng(0)
    words, classes = (
        nn.functional.normalize(torch.tensor(rng.standard_normal((n, 8))))
        for n in (2005, 30)
    )
    similar = np.quantile((words @ classes.T).numpy(), 0.95, axis=1)
    expected = np.argsort(similar)[: int(0.15 * 2005)]
    assert torch.equal(mined(words, classes, 0.15, 0.95), words[expected])


@pytest.mark.parametrize(("share", "left"), [(1.0, 7), (0.5, 3), (0.1, 0)])
def test_the_share_of_mined_words_is_rounded_down(share, left):
    words = nn.functional.normalize(torch.randn(7, 3))
    assert len(mined(words, TEXTS, share, 0.95)) == left

"""Laws of training batches: order, shares of processes, augmentation and noise."""

import pytest
import torch
from torch import nn

from oodbench import InputError
from oodbench.base.processes import Processes
from oodbench.jem.training.batches import Shuffled, augmented, noised


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_epoch_holds_every_image_once_and_the_next_in_another_order():
    stream = Shuffled(torch.arange(5, 25), 5, generator())
    epochs = [torch.cat([stream.next_batch() for _ in range(4)]) for _ in range(2)]
    assert all(sorted(each.tolist()) == list(range(5, 25)) for each in epochs)
    assert not torch.equal(*epochs)


def test_what_is_left_of_an_epoch_makes_no_batch():
    stream = Shuffled(torch.arange(11), 4, generator())
    assert stream.per_epoch == 2
    assert all(len(stream.next_batch()) == 4 for _ in range(5))


def test_processes_share_each_batch():
    alone = Shuffled(torch.arange(12), 6, generator())
    fellows = [
        Shuffled(torch.arange(12), 6, generator(), Processes(rank, 3))
        for rank in range(3)
    ]
    for _ in range(4):
        shares = torch.cat([each.next_batch() for each in fellows])
        assert sorted(shares.tolist()) == sorted(alone.next_batch().tolist())


def test_a_stream_goes_on_from_its_state():
    random = generator()
    stream = Shuffled(torch.arange(20), 3, random)
    stream.next_batch()
    state, numbers = stream.state(), random.get_state()
    ahead = [stream.next_batch() for _ in range(9)]
    other = Shuffled(torch.arange(20), 3, random)
    random.set_state(numbers)
    other.load(state)
    assert all(torch.equal(other.next_batch(), batch) for batch in ahead)


@pytest.mark.parametrize(
    ("batch_size", "count", "message"),
    [
        (30, 1, "20 images to train on, fewer than a batch of 30"),
        (5, 2, "cannot share"),
    ],
)
def test_batches_that_cannot_be_made_are_one_sentence(batch_size, count, message):
    with pytest.raises(InputError, match=message):
        Shuffled(torch.arange(20), batch_size, generator(), Processes(0, count))


def windows(image, *, mirrored):
    """Every crop of an image that is reflected by 4 pixels at its borders."""
    wide = nn.functional.pad(image[None], (4,) * 4, mode="reflect")[0]
    height, width = image.shape[1:]
    for top in range(9):
        for left in range(9):
            crop = wide[:, top : top + height, left : left + width]
            yield crop
            if mirrored:
                yield crop.flip(2)


@pytest.mark.parametrize(("kind", "mirrored"), [("crop", False), ("crop_flip", True)])
def test_augmented_images_are_windows_of_their_own_image(kind, mirrored):
    images = torch.rand(30, 2, 6, 7, generator=generator())
    found = augmented(images, kind, generator(1))
    assert found.shape == images.shape
    for image, changed in zip(images, found, strict=True):
        assert any(torch.equal(changed, w) for w in windows(image, mirrored=mirrored))
    plain = [any(torch.equal(c, w) for w in windows(i, mirrored=False)) for i, c in
             zip(images, found, strict=True)]  # fmt: skip
    assert all(plain) != mirrored


def test_no_augmentation_and_no_noise_change_nothing():
    images = torch.rand(3, 1, 4, 4)
    assert augmented(images, "none", generator()) is images
    assert noised(images, 0.0, generator()) is images
    assert noised(images, 2.0, generator()).std() > 1

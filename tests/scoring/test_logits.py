from dataclasses import replace

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Shape
from oodbench.data.image_set import open_images
from oodbench.metrics.temperature import grade
from oodbench.scoring.engine import Engine
from oodbench.scoring.logits import labelled_logits


def sample_of(images):
    dataset = Dataset("squares", lambda *_: images, "far")
    return open_images(dataset, "test", Shape(1, 4, 4))


def pixels_of(images):
    return torch.as_tensor(images.images).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("batch_size", [None, 1, 7, 40])
def test_logits_are_those_of_the_network_in_order(tiny, images, batch_size):
    done = []
    found = labelled_logits(
        tiny, sample_of(images), batch_size=batch_size, tell=done.append
    )
    assert found.logits.dtype == np.float64
    expected = tiny(pixels_of(images)).logits.numpy()
    assert found.logits == pytest.approx(expected, abs=1e-5)
    assert found.labels.tolist() == images.labels.tolist()
    assert (sum(done), max(done)) == (40, batch_size or 40)


def test_grades_are_those_that_a_run_stores(tiny, images):
    graded = grade(*labelled_logits(tiny, sample_of(images)))
    stored = Engine(tiny, {}).score(images, has_labels=True, tell=lambda done: None)
    arrays = stored.predictions
    assert graded.confidence == pytest.approx(arrays["confidences"])
    right = arrays["predictions"] == images.labels
    assert graded.correct.tolist() == right.tolist()
    for name in ("nll", "brier"):
        assert graded.values[name] == pytest.approx(arrays[name].mean())


def test_images_without_labels_are_refused(tiny, images):
    with pytest.raises(InputError, match="test split of squares has no labels; name"):
        labelled_logits(tiny, sample_of(replace(images, labels=None)))


def test_labels_that_are_not_the_classes_are_refused(tiny, images):
    others = sample_of(replace(images, labels=images.labels + 1))
    message = r"labels up to 6, but tiny has 6 classes \(0-5\)"
    with pytest.raises(InputError, match=message):
        labelled_logits(tiny, others)


def test_too_little_memory_is_one_sentence(tiny, images, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiny.module, "forward", fail)
    with pytest.raises(InputError, match=r"^Out of memory with one image at a time"):
        labelled_logits(tiny, sample_of(images), batch_size=8)


def test_a_network_that_fails_is_named_with_the_images(tiny, images, monkeypatch):
    def fail(*_):
        raise ValueError("no such thing")

    monkeypatch.setattr(tiny.module, "forward", fail)
    with pytest.raises(InputError, match=r"'tiny' fails on images 0 to 7 .* no such"):
        labelled_logits(tiny, sample_of(images), batch_size=8)

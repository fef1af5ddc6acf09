"""Images that two sets share."""

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import Dataset, InputError, Shape, Split, overlap
from oodbench.data.adapt import adapt

RNG = np.random.default_rng(0)
COARSE = RNG.integers(0, 256, (12, 4, 4, 3), np.uint8)
SCENES = COARSE.repeat(6, 1).repeat(6, 2)  # 24x24


def made(name, images, others=None):
    """Returns a set with a test split and others."""
    splits = {**(others or {}), "test": images}
    return Dataset(name, lambda split, _: Split(splits[split]), "far", tuple(splits))


def test_images_with_equal_pixels_are_found_with_their_numbers():
    inside = made("in", SCENES[:6])
    out = made("out", np.concatenate([SCENES[6:8], SCENES[[4, 2]], SCENES[[2]]]))
    (found,) = overlap(inside, [out])
    assert (found.first, found.second) == ("in (test)", "out (test)")
    assert found.images == 5
    assert found.exact == [(4, 2), (2, 3), (2, 4)]
    assert found.near is None
    assert overlap(inside, made("other", SCENES[6:]))[0].exact == []


def test_splits_for_fitting_are_compared_with_every_test_split():
    others = {"train": SCENES[5:9], "val": SCENES[:1]}
    inside = made("in", SCENES[[9, 5]], others)
    out = made("out", SCENES[[0, 9]])
    found = {(one.first, one.second): one.exact for one in overlap(inside, [out])}
    assert found == {
        ("in (train)", "in (test)"): [(0, 1)],
        ("in (val)", "in (test)"): [],
        ("in (train)", "out (test)"): [],
        ("in (val)", "out (test)"): [(0, 0)],
        ("in (test)", "out (test)"): [(0, 1)],
    }


def test_size_and_type_belong_to_exact_duplicates():
    inside = made("in", SCENES)
    for changed in (SCENES[:, :-1], SCENES.astype(np.float32) / 255):
        assert overlap(inside, [made("out", changed)])[0].exact == []


@pytest.mark.parametrize(
    "change",
    [
        lambda images: np.uint8(images * 0.6 + 20),  # paler
        lambda images: images.repeat(2, 1).repeat(2, 2),  # larger
        lambda images: images.astype(np.float32) / 255,
        lambda images: np.uint8(
            images.clip(6, 249) + RNG.integers(-6, 7, images.shape)
        ),
    ],
    ids=["pale", "large", "float", "noisy"],
)
def test_changed_copies_are_near_duplicates(change):
    inside, out = made("in", SCENES), made("out", change(SCENES[[3, 1]]))
    (found,) = overlap(inside, [out], near=True)
    assert found.exact == []
    assert found.near == [(3, 0), (1, 1)]


def test_near_duplicates_are_those_with_a_correlation_of_98_percent():
    blends = [
        np.uint8((1 - share) * SCENES[0] + share * SCENES[1])
        for share in np.linspace(0, 0.4, 30)
    ]
    both = np.stack([SCENES[0], *blends])
    flat = adapt(both, Shape(1, 16, 16)).flatten(1).double()
    expected = torch.corrcoef(flat)[0, 1:] >= 0.98
    assert 1 < expected.sum() < 29
    (found,) = overlap(
        made("in", SCENES[:1]), [made("out", np.stack(blends))], near=True
    )
    assert found.exact == [(0, 0)]
    assert [pair[1] for pair in found.near] == list(range(1, int(expected.sum())))


def test_images_of_one_colour_are_no_near_duplicates():
    plain = np.full((1, 9, 9, 3), 70, np.uint8)
    (found,) = overlap(made("in", plain), [made("out", plain + 1)], near=True)
    assert (found.exact, found.near) == ([], [])


def test_sets_in_files_are_read_and_compared(tmp_path):
    for folder, numbers in {"a": (0, 1), "b": (1, 2)}.items():
        (tmp_path / folder).mkdir()
        for number in numbers:
            Image.fromarray(SCENES[number]).save(tmp_path / folder / f"{number}.png")
    (found,) = overlap(f"folder:{tmp_path}/a", f"folder:{tmp_path}/b", near=True)
    assert found.exact == [(1, 0)]
    assert found.near == []


def test_a_set_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="did you mean 'digits'"):
        overlap("digits", ["digitz"])

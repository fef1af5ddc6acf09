"""Splits, roles and the choice of classes."""

from dataclasses import replace

import numpy as np
import pytest

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.dataset import (
    CHUNK,
    Picked,
    chunks,
    digests_of,
    parse_classes,
    select_classes,
)


def small_split():
    return Split(
        images=np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1),
        labels=np.array([0, 1, 2, 2, 1, 0]),
        clusters=np.array([0, 0, 0, 1, 1, 1]),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("3", [3]),
        ("0-3", [0, 1, 2, 3]),
        ("8-9", [8, 9]),
        ("7+0-2", [0, 1, 2, 7]),
        ("1-3+2-4", [1, 2, 3, 4]),
        ("4-4", [4]),
    ],
)
def test_classes_are_ranges_and_sums(text, expected):
    assert parse_classes(text, 10, dataset="digits") == expected


@pytest.mark.parametrize("text", ["x", "0-", "-3", "1--2", "1,2", "1+", "+", " 1", "²"])
def test_text_that_is_no_list_of_classes_is_refused(text):
    with pytest.raises(InputError, match="names no classes"):
        parse_classes(text, 10, dataset="digits")


@pytest.mark.parametrize("text", ["10", "0-10", "7-3", "0-99999999999"])
def test_classes_that_do_not_exist_are_refused(text):
    with pytest.raises(InputError, match="must rise and stay within 0-9"):
        parse_classes(text, 10, dataset="digits")


def test_chosen_classes_are_numbered_in_the_given_order():
    chosen = select_classes(small_split(), [2, 0])
    assert chosen.images.ravel().tolist() == [0, 2, 3, 5]
    assert chosen.labels.tolist() == [1, 0, 0, 1]
    assert chosen.clusters.tolist() == [0, 0, 1, 1]


def test_classes_cannot_be_chosen_without_labels():
    with pytest.raises(InputError, match="from a labelled set"):
        select_classes(Split(small_split().images), [0])


def test_spread_images_are_even_and_keep_their_labels_and_clusters():
    some = small_split().spread(4)
    assert len(some.images) == 4
    assert some.images[0:10].ravel().tolist() == [0, 1, 3, 4]
    assert some.images[3:10].ravel().tolist() == [4]
    whole = small_split()
    assert some.labels.tolist() == whole.labels[[0, 1, 3, 4]].tolist()
    assert some.clusters.tolist() == whole.clusters[[0, 1, 3, 4]].tolist()


def test_images_outside_memory_are_spread_alike():
    class Lazy:
        def __len__(self):
            return 6

        def __getitem__(self, chunk):
            return list(small_split().images[chunk])

    some = Split(Lazy()).spread(4).images[1:3]
    assert [int(image[0, 0, 0]) for image in some] == [1, 3]


def test_spread_of_fewer_images_is_all_of_them():
    assert len(small_split().spread(100).images) == 6
    assert len(Split(small_split().images).spread(100).images) == 6


def test_chunks_are_all_images_in_order():
    images = np.arange(100).reshape(100, 1, 1, 1).astype(np.uint8)
    assert np.concatenate(list(chunks(images))).ravel().tolist() == list(range(100))
    assert np.concatenate(list(chunks(images, 30, 70))).ravel().tolist() == [
        *range(30, 70)
    ]


def test_chunks_hold_few_values_and_lists_of_images_one():
    images = np.zeros((5, CHUNK // 2, 1, 1), np.uint8)
    assert [len(few) for few in chunks(images)] == [2, 2, 1]
    assert [len(few) for few in chunks([*images])] == [1] * 5
    not_read_yet = Picked(images, np.arange(5))
    assert [len(few) for few in chunks(not_read_yet)] == [1, 2, 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_digests_are_of_each_image_alone(dtype):
    images = np.arange(24).reshape(4, 2, 3, 1).astype(dtype)
    images[3] = images[0]
    digests = digests_of(images)
    assert digests[3] == digests[0]
    assert len({*digests}) == 3
    assert np.array_equal(digests, digests_of([*images]))
    assert np.array_equal(digests[::2], digests_of(images[::2]))
    assert digests[0] != digests_of(images[:1].reshape(1, 3, 2, 1))[0]


def kin(role, family):
    return Dataset(
        f"{role} {family}", lambda split, shape: small_split(), role, (), family
    )


@pytest.mark.parametrize(
    ("role", "family", "beside", "expected"),
    [
        ("far", "digits", "digits", "near"),
        ("far", "digits", "cifar", "far"),
        ("far", "", "", "far"),
        ("probe", "digits", "digits", "probe"),
        ("covariate", "digits", "digits", "covariate"),
    ],
)
def test_far_sets_of_one_family_are_near_each_other(role, family, beside, expected):
    assert kin(role, family).relative_to(kin("far", beside)).role == expected


@pytest.mark.parametrize(
    ("own", "origin", "expected"),
    [
        ("probe", "far digits", "probe"),  # made from the in-distribution set
        ("covariate", "far digits", "covariate"),
        ("covariate", "covariate digits", "covariate"),
        ("probe", "covariate digits", "probe"),
        ("covariate", "probe digits", "probe"),
        ("covariate", "near digits", "unstated"),
        ("covariate", "far cifar", "unstated"),
        ("probe", "far cifar", "unstated"),
        ("covariate", "unstated ", "unstated"),
    ],
)
def test_the_role_of_a_changed_set(own, origin, expected):
    made = Dataset("made", None, own, (), made_from=kin(*origin.split(" ")))
    assert made.relative_to(kin("far", "digits")).role == expected
    again = Dataset("made again", None, own, (), made_from=made)
    assert again.relative_to(kin("far", "digits")).role == expected


def test_changed_images_of_the_in_distribution_family_are_in_no_group():
    other = replace(kin("far", "digits"), name="other digits")
    assert other.relative_to(kin("far", "digits")).role == "near"
    made = Dataset("made", None, "covariate", (), made_from=other)
    assert made.relative_to(kin("far", "digits")).role == "unstated"


def test_shapes_read_as_channels_by_height_by_width():
    assert str(Shape(3, 32, 48)) == "3x32x48"

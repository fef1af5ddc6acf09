"""The images on which parameters are chosen, by protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from oodbench.base.errors import InputError
from oodbench.base.progress import Watch
from oodbench.base.registry import unknown
from oodbench.base.tuning import PROTOCOLS, TuningProtocol
from oodbench.data.dataset import Dataset, Shape, Split, SplitName
from oodbench.data.overlap import overlap
from oodbench.data.spec import open_dataset, stated

CHANGES = (
    "corrupted:gaussian_noise:5:{0}",
    "corrupted:pixelate:5:{0}",
    "corrupted:contrast:5:{0}",
    "inverted:{0}",
    "rotated:{0}",
)
"""What stands for OOD images where there are none: changed in-distribution images."""
ALL, EVEN, ODD = slice(None), slice(0, None, 2), slice(1, None, 2)


@dataclass(frozen=True)
class Validation:
    """Sets whose test splits are the images to choose on."""

    inside: str | Dataset
    """Its train and val splits hold in-distribution images, none to choose on."""
    out: Sequence[str | Dataset]
    named: Sequence[Dataset] = ()
    """Those that the user has named; they must not be test images."""


def validation(
    protocol: TuningProtocol,
    inside: str | Dataset,
    out: Sequence[str | Dataset],
    *,
    in_val: str | Dataset | None,
    out_val: Sequence[str | Dataset],
    is_divided: bool,
) -> Validation:
    """Returns the images on which a protocol chooses.

    Args:
        protocol: How it chooses.
        inside: The in-distribution set.
        out: The test sets.
        in_val: In-distribution images to choose on; None for the val split of `inside`.
        out_val: OOD images to choose on.
        is_divided: Whether of that val split only the images at even places are to
            choose on, and those at odd places to fit on.

    Raises:
        InputError: The sets do not suit the protocol.
    """
    if protocol not in PROTOCOLS:
        raise InputError(unknown("tuning protocol", protocol, PROTOCOLS))
    if protocol == "ood-validation" and not out_val:
        raise InputError(
            "The protocol ood-validation needs OOD images that are no test images; "
            "name them with --out-val."
        )
    if protocol != "ood-validation" and out_val:
        raise InputError(
            f"The protocol {protocol} takes no OOD validation images; leave --out-val "
            "out, or name the protocol ood-validation."
        )
    if protocol == "oracle":
        if in_val is not None:
            raise InputError(
                "The protocol oracle chooses on the test images; leave --in-val out."
            )
        return Validation(inside, out)
    own = open_dataset(inside)
    if in_val is not None:
        shown = open_dataset(in_val)
        stage, chosen, others = _stage(shown), ALL, ALL
    elif "val" in own.splits:
        shown, stage = own, "val"
        chosen, others = (EVEN, ODD) if is_divided else (ALL, ALL)
    else:
        raise InputError(
            f"{own.name} has no val split to choose on; name other images of its "
            "classes with --in-val."
        )
    named = [_as_test(one, _stage(one), ALL) for one in map(open_dataset, out_val)]
    changed = named or [_as_test(one, stage, chosen) for one in _changed(shown)]
    known = _as_test(shown, stage, chosen)
    checked = named + [known] * (in_val is not None)
    return Validation(_with_fits(known, own, others), changed, checked)


def check_unseen(
    named: Sequence[Dataset], tests: Sequence[str | Dataset], watch: Watch
) -> None:
    """Checks that no validation image is a test image, by their pixels.

    Raises:
        InputError: Some are.
    """
    for dataset in named:
        for found in overlap(dataset, tests, watch=watch):
            if found.exact:
                count = len({first for first, _ in found.exact})
                raise InputError(
                    f"{count} validation images of {dataset.name} are test images of "
                    f"{found.second.removesuffix(' (test)')}; choose parameters on "
                    "other images, or name the protocol oracle."
                )


def _stage(dataset: Dataset) -> SplitName:
    """Returns the split of a named set that is taken."""
    return "val" if "val" in dataset.splits else "test"


def _changed(inside: Dataset) -> list[Dataset]:
    """Returns the in-distribution set, changed in each way."""
    if not (spec := stated(inside.spec).plain):
        raise InputError(
            f"The protocol in-distribution changes the images of {inside.name}, which "
            "takes a set that a text names."
        )
    # Not `made_from`: for a set of another name it would change their roles.
    return [
        replace(open_dataset(change.format(spec)), made_from=None) for change in CHANGES
    ]


def _as_test(dataset: Dataset, stage: SplitName, part: slice) -> Dataset:
    """Returns a set whose test split is a part of a split of another one."""

    def load(_: SplitName, shape: Shape) -> Split:
        return _picked(dataset.load(stage, shape), part)

    name = f"{dataset.name} ({stage})"
    return replace(dataset, name=name, load=load, splits=("test",), spec="")


def _with_fits(known: Dataset, inside: Dataset, part: slice) -> Dataset:
    """Returns a set with the train split of another and a part of its val split."""

    def load(stage: SplitName, shape: Shape) -> Split:
        if stage == "test":
            return known.load(stage, shape)
        return _picked(inside.load(stage, shape), part if stage == "val" else ALL)

    fits = tuple(stage for stage in inside.splits if stage != "test")
    return replace(known, load=load, splits=(*fits, "test"))


def _picked(split: Split, part: slice) -> Split:
    if part == ALL:
        return split
    return split.pick(np.arange(len(split.images))[part])

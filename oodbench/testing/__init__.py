"""Checks for authors of plug-ins: what a detector or a data set must do.

>>> from oodbench import testing
>>> testing.check_detector("energy")

In pytest, with one test per check:
`@pytest.mark.parametrize("check", testing.DETECTOR_CHECKS)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oodbench.testing import datasets, declarations, hard_cases, sameness
from oodbench.testing.trial import Kind

DETECTOR_CHECKS: Sequence[Callable[[Kind], None]] = (
    declarations.gives_one_finite_float_an_image,
    declarations.declares_what_it_reads,
    declarations.says_that_it_is_not_fitted,
    declarations.leaves_the_network_alone,
    sameness.gives_the_same_twice,
    declarations.ignores_global_random_numbers,
    sameness.gives_the_same_again,
    sameness.fits_again_to_the_same,
    sameness.follows_the_order_of_images,
    sameness.ignores_the_batch_size,
    sameness.ignores_other_detectors,
    sameness.leaves_shared_statistics_alone,
    sameness.can_be_stored,
    sameness.gives_the_same_on_a_gpu,
    hard_cases.scores_known_images_higher,
    hard_cases.scores_constant_images_and_a_single_one,
    hard_cases.scores_without_images_of_a_class,
    hard_cases.withstands_extreme_logits,
)
DATASET_CHECKS: Sequence[Callable[[str], None]] = (
    datasets.has_readable_splits,
    datasets.reads_the_same_twice,
    datasets.gives_the_same_in_slices_of_any_size,
    datasets.can_be_adapted,
)


def check_detector(detector: Kind) -> None:
    """Runs all `DETECTOR_CHECKS` on a detector and a small network.

    Args:
        detector: Its name on the command line, such as `energy:temperature=2`, or its
            class.

    Raises:
        AssertionError: A check fails; the message names it and says what to do.
    """
    for check in DETECTOR_CHECKS:
        check(detector)


def check_dataset(spec: str) -> None:
    """Runs all `DATASET_CHECKS` on a data set such as `digits:0-7`.

    Raises:
        AssertionError: A check fails; the message names it and says what to do.
    """
    for check in DATASET_CHECKS:
        check(spec)

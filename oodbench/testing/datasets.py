"""Checks for authors of plug-ins: what a detector or a data set must do.

>>> from oodbench import testing
>>> testing.check_detector("energy")

In pytest, with one test per check:
`@pytest.mark.parametrize("check", testing.DETECTOR_CHECKS)`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules import module

from oodbench.base.errors import InputError
from oodbench.base.progress import silent
from oodbench.data.adapt import adapt
from oodbench.data.dataset import ROLES, Dataset, Shape, Split, SplitName, chunks
from oodbench.data.image_set import ImageSet, open_images
from oodbench.data.spec import open_dataset
from oodbench.networks.network import Network
from oodbench.scoring.containment import RandomNumbers
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Outputs
from oodbench.scoring.spec import open_detector

_ON_EVERY_MODULE = (
    module._global_forward_pre_hooks,
    module._global_forward_hooks,
    module._global_backward_pre_hooks,
    module._global_backward_hooks,
)

Kind: TypeAlias = str | type[Detector]
"""A detector: its name on the command line, or its class."""

TOLERANCE = 1e-5
"""Relative and absolute; sums in batches of other sizes round differently."""
IMAGES = 48
LIMIT = 200
"""Images of a data set that are checked, evenly spread."""


def check_detector(detector: Kind) -> None:
    """Runs all `DETECTOR_CHECKS` on a detector and a small network.

    Raises:
        AssertionError: A check fails; the message gives the reason.
    """
    for check in DETECTOR_CHECKS:
        check(detector)


def check_dataset(spec: str) -> None:
    """Runs all `DATASET_CHECKS` on a data set such as `digits:0-7`.

    Raises:
        AssertionError: A check fails; the message gives the reason.
    """
    for check in DATASET_CHECKS:
        check(spec)


def gives_one_finite_float_an_image(detector: Kind) -> None:
    """Scores are a float tensor `[N]` without NaN; all else stays as it is."""
    one = _fresh(detector)
    network = _network()
    _scores(detector, one, network)
    found = _scores_of(one, network, np.arange(IMAGES))
    if not found.is_floating_point():
        _fail(detector, f"scores are {found.dtype}, not floats")


def gives_the_same_twice(detector: Kind) -> None:
    """Two instances, fitted on the same images, give equal scores, bit for bit."""
    _compare(
        detector, _scores(detector), _scores(detector), "a second time", exact=True
    )


def follows_the_order_of_images(detector: Kind) -> None:
    """Images in another order, each with its number, get the same scores in it."""
    one, network = _fresh(detector), _network()
    usual = _scores(detector, one, network)
    order = np.random.default_rng(2).permutation(IMAGES)
    moved = _scores_of(one, network, order).double().numpy()
    _compare(detector, usual[order], moved, "with images in another order")


def ignores_the_batch_size(detector: Kind) -> None:
    """An image's score does not depend on which images share its batch."""
    whole = _scores(detector)
    for size in (7, 1):
        found = _scores(detector, batch_size=size)
        _compare(detector, whole, found, f"in batches of {size}")


def ignores_other_detectors(detector: Kind) -> None:
    """Together with other detectors it gives the same scores as alone, bit for bit."""
    others = {
        name: open_detector(name).detector for name in ("energy", "jem_grad_norm")
    }
    shared = _scores(detector, others=others)
    _compare(detector, _scores(detector), shared, "with others", exact=True)


def leaves_the_network_alone(detector: Kind) -> None:
    """Weights, training flags and hooks of the network stay as they are."""
    network = _network()
    before = _state(network)
    everywhere = [dict(hooks) for hooks in _ON_EVERY_MODULE]
    _scores(detector, network=network)
    if _state(network) != before:
        _fail(detector, "changes the network")
    if [dict(hooks) for hooks in _ON_EVERY_MODULE] != everywhere:
        for hooks, kept in zip(_ON_EVERY_MODULE, everywhere, strict=True):
            hooks.clear()
            hooks.update(kept)
        _fail(detector, "leaves a hook on every module of the process")


def says_that_it_is_not_fitted(detector: Kind) -> None:
    """Without `fit` it scores anyway, or its error mentions fitting."""
    one = _fresh(detector)
    scored = Engine(_network(), {"it": one}).score(
        _split(1), has_labels=False, tell=silent
    )
    reason = scored.failures.get("it", "")
    if reason and "fit" not in reason.lower():
        _fail(detector, f"does not mention that it was not fitted, but: {reason}")


DETECTOR_CHECKS: Sequence[Callable[[Kind], None]] = (
    gives_one_finite_float_an_image,
    gives_the_same_twice,
    follows_the_order_of_images,
    ignores_the_batch_size,
    ignores_other_detectors,
    leaves_the_network_alone,
    says_that_it_is_not_fitted,
)


def has_readable_splits(spec: str) -> None:
    """Every named split has images, and labels and clusters of the right form."""
    dataset = _open(spec)
    if dataset.role not in ROLES:
        _fail(spec, f"has the role {dataset.role!r}, not one of {', '.join(ROLES)}")
    for stage in dataset.splits:
        sample = _draw(spec, dataset, Shape(3, 32, 32), stage)
        try:
            for _ in chunks(sample.split.images):
                pass
        except InputError as error:
            _fail(spec, f"has a {stage} split that cannot be read: {error}")


def reads_the_same_twice(spec: str) -> None:
    """Opened again under other global random numbers, it has the same images."""
    found = set()
    before = RandomNumbers()
    try:
        for seed in (0, 1):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - what a careless set would draw from
            found.add(_draw(spec, _open(spec), Shape(3, 32, 32)).images_key)
    finally:
        before.restore()
    if len(found) > 1:
        _fail(spec, "has other images when it is opened again")


def gives_the_same_in_slices_of_any_size(spec: str) -> None:
    """An image does not depend on the other images that are read with it."""
    images = _draw(spec, _open(spec), Shape(3, 32, 32)).split.images
    count = min(len(images), 20)
    whole = images[len(images) - count : len(images) + 5]
    for place, image in enumerate(whole):
        start = len(images) - count + place
        if not np.array_equal(images[start : start + 1][0], image):
            _fail(spec, f"gives another image {start} when it is read alone")


def can_be_adapted(spec: str) -> None:
    """Its images can be adapted to networks of any shape."""
    dataset = _open(spec)
    for shape in (Shape(1, 8, 8), Shape(3, 32, 48)):
        images = _draw(spec, dataset, shape).split.images
        try:
            adapt(images[:8], shape)
        except InputError as error:
            _fail(spec, f"has images that cannot be adapted to {shape}: {error}")


DATASET_CHECKS: Sequence[Callable[[str], None]] = (
    has_readable_splits,
    reads_the_same_twice,
    gives_the_same_in_slices_of_any_size,
    can_be_adapted,
)


def _network() -> Network:
    """Returns a network on 3x6x8 images with 16 features and 5 classes."""
    generator = torch.Generator().manual_seed(0)
    sizes = nn.Linear(3 * 6 * 8, 16), nn.Linear(16, 5)
    with torch.no_grad():
        for weight in [*sizes[0].parameters(), *sizes[1].parameters()]:
            # Not steep, since SGLD chains on steep networks magnify rounding errors.
            weight.normal_(0, 0.15, generator=generator)
    module = nn.Sequential(nn.Flatten(), sizes[0], nn.Tanh(), sizes[1])
    return Network(module, Shape(3, 6, 8), "check", (0.5,), (0.25,))


def _split(seed: int) -> Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (IMAGES, 6, 8, 3), dtype=np.uint8)
    network = _network()
    labels = network(adapt(images, network.shape)).logits.argmax(1).numpy()
    labels[::4] = (labels[::4] + 1) % network.classes  # some are classified wrongly
    return Split(images, labels)


def _fresh(detector: Kind) -> Detector:
    try:
        return (
            open_detector(detector).detector
            if isinstance(detector, str)
            else detector()
        )
    except (InputError, TypeError, ValueError) as error:
        _fail(detector, f"cannot be made: {error}")


def _scores(
    detector: Kind,
    one: Detector | None = None,
    network: Network | None = None,
    split: Split | None = None,
    *,
    batch_size: int = IMAGES,
    others: Mapping[str, Detector] | None = None,
) -> NDArray[np.float64]:
    """Returns the scores of a fitted detector, `[IMAGES]`."""
    one = one or _fresh(detector)
    engine = Engine(network or _network(), {"it": one, **(others or {})}, batch_size)
    if one.fitted_on is not None:
        failures = engine.fit(one.fitted_on, _split(0), tell=silent)
        if "it" in failures:
            _fail(detector, f"fails: {failures['it']}")
    scored = engine.score(split or _split(1), has_labels=False, tell=silent)
    if "it" in scored.failures:
        _fail(detector, f"fails: {scored.failures['it']}")
    return scored.scores["it"]


def _scores_of(one: Detector, network: Network, numbers: NDArray[np.int64]) -> Tensor:
    """Returns the scores of some images, in the order of their numbers."""
    pixels = adapt(np.asarray(_split(1).images[:])[numbers], network.shape)
    batch = run_network(network, pixels, one.objectives, torch.from_numpy(numbers))
    with torch.no_grad():
        return one.score(Outputs(batch, one))


def _compare(
    detector: Kind,
    expected: NDArray[np.float64],
    found: NDArray[np.float64],
    when: str,
    *,
    exact: bool = False,
) -> None:
    tolerance = 0 if exact else TOLERANCE
    wrong = ~np.isclose(found, expected, rtol=tolerance, atol=tolerance)
    if wrong.any():
        first = int(wrong.argmax())
        _fail(
            detector,
            f"scores image {first} with {found[first]!r} {when}, "
            f"and with {expected[first]!r} otherwise",
        )


def _state(network: Network) -> object:
    layers = list(network.module.modules())
    hooks = [
        len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in layers
    ]
    return network.fingerprint(), [layer.training for layer in layers], hooks


def _open(spec: str) -> Dataset:
    try:
        return open_dataset(spec)
    except InputError as error:
        raise AssertionError(str(error)) from error


def _draw(
    spec: str, dataset: Dataset, shape: Shape, stage: SplitName = "test"
) -> ImageSet:
    try:
        return open_images(dataset, stage, shape, LIMIT)
    except InputError as error:
        raise AssertionError(f"The {stage} split: {error}") from error


def _fail(who: Kind, fault: str) -> NoReturn:
    name = who if isinstance(who, str) else who.__name__
    raise AssertionError(f"{name} {fault}")

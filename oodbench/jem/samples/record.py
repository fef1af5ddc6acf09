"""Numbers about samples, and about real images for comparison, for the record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.base.files import Record
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Images
from oodbench.jem.energy import to_pixels
from oodbench.jem.sampler import SGLD
from oodbench.jem.samples.neighbours import Comparison
from oodbench.networks.network import Network
from oodbench.scoring.batches import Batches


class Seen(NamedTuple):
    """The network's outputs on some images, on the host."""

    log_px: Tensor
    """`[N]`, unnormalised."""
    predictions: Tensor
    """`[N]`."""
    confidences: Tensor
    """`[N]`, max p(y|x)."""


def see(network: Network, images: Images, batches: Batches) -> Seen:
    """Returns the network's outputs on images."""

    def read(first: int, last: int) -> Tensor:
        return adapt(images[first:last], network.shape)

    return _see(network, read, len(images), batches)


def of_sampler(sampler: SGLD) -> Record:
    """Returns the settings of the sampler, and its effective temperature."""
    warmth = sampler.effective_temperature
    return asdict(sampler) | {
        "effective_temperature": warmth if math.isfinite(warmth) else None
    }


def of_chains(
    sampler: SGLD, count: int, seed: int, classes: Sequence[int], start: str
) -> Record:
    """Returns how the chains were run."""
    return {
        "count": count,
        "seed": seed,
        "classes": list(classes),
        "start": start,
        "sampler": of_sampler(sampler),
    }


def of_states(network: Network, states: Tensor, batches: Batches) -> Record:
    """Returns how far states `[N, C, H, W]` are outside [-1, 1], and their log p(x).

    `farthest` is the largest such distance on the scale of pixels in [0, 1].
    """
    beyond = (states.abs() - 1).clamp(min=0) / 2

    def read(first: int, last: int) -> Tensor:
        return to_pixels(states[first:last])

    return {
        "log_px": spread(_see(network, read, len(states), batches).log_px),
        "images_outside": float((beyond.flatten(1).amax(1) > 0).double().mean()),
        "pixels_outside": float((beyond > 0).double().mean()),
        "farthest": float(beyond.max()),
    }


def of_images(seen: Seen, labels: Tensor | None) -> Record:
    """Returns log p(x), confidences and predictions of samples.

    Args:
        seen: The network's outputs on the samples.
        labels: `[N]`, the classes that they were drawn from; None for p(x).
    """
    counts = Counter(seen.predictions.tolist())
    record: Record = {
        "log_px": spread(seen.log_px),
        "confidence": spread(seen.confidences),
        "predicted": {
            str(label): count / counts.total()
            for label, count in sorted(counts.items())
        },
    }
    if labels is not None:
        agree = (seen.predictions == labels).double().mean()
        record["predicted_as_drawn"] = float(agree)
    return record


def of_comparison(network: Network, found: Comparison, batches: Batches) -> Record:
    """Returns the distances to the training set, and the log p(x) of real images.

    `distances` are those of the samples, `held_out` has those of test images.
    """
    count = len(found.nearest.distances)
    shown = found.training.split.spread(count)
    record = {
        "set": found.training.record(),
        "log_px": spread(see(network, shown.images, batches).log_px),
        "distances": spread(found.nearest.distances),
        "held_out": None,
    }
    if found.held_out is not None and found.yardstick is not None:
        seen = see(network, found.held_out.split.images, batches)
        record["held_out"] = {
            "set": found.held_out.record(),
            "log_px": spread(seen.log_px),
            "distances": spread(found.yardstick.distances),
        }
    return record


def spread(values: Tensor) -> dict[str, float]:
    """Returns the least, the median and the largest of `[N]` values.

    >>> spread(torch.tensor([3.0, 1.0, 2.0, 9.0]))
    {'least': 1.0, 'median': 2.5, 'most': 9.0}
    """
    found = values.double()
    return {
        "least": found.min().item(),
        "median": found.quantile(0.5).item(),
        "most": found.max().item(),
    }


def _see(
    network: Network,
    read: Callable[[int, int], Tensor],
    count: int,
    batches: Batches,
) -> Seen:
    @torch.no_grad()
    def run(first: int, last: int) -> tuple[Tensor, Tensor]:
        result = network(read(first, last).to(network.device))
        return result.logits.cpu(), result.log_px.cpu()

    found = batches.run(run, count)
    logits, log_px = (torch.cat(each) for each in zip(*found, strict=True))
    confidences, predictions = logits.softmax(1).max(1)
    return Seen(log_px, predictions, confidences)


def summary(record: Record) -> list[str]:
    """Returns what the record says about the samples, line by line."""
    chains, states, images = record["chains"], record["states"], record["images"]
    favourite = max(images["predicted"], key=images["predicted"].__getitem__)
    lines = [
        f"{chains['count']} samples of {record['model']['name']}: "
        f"{chains['sampler']['steps']} steps from {chains['start']}.",
        f"Predicted: {len(images['predicted'])} of {record['model']['classes']} "
        f"classes, most often {favourite} ({images['predicted'][favourite]:.0%}).",
        f"Outside [0, 1]: {states['pixels_outside']:.1%} of the pixels, by "
        f"{states['farthest']:.3g} at most.",
    ]
    if chains["classes"]:
        lines.append(f"Predicted as drawn: {images['predicted_as_drawn']:.0%}.")
    lines += _comparison(images, record["beside"]) if "beside" in record else []
    if "fid" in record:
        real = record["fid"]["set"]
        lines.append(
            f"FID {record['fid']['value']:.4g} between {record['fid']['samples']} "
            f"samples and the {real['images']} {real['split']} images of "
            f"{real['name']}, none filtered."
        )
    return lines


def _comparison(images: Record, beside: Record) -> list[str]:
    densities = {"samples": images, "training images": beside}
    distances = {"samples": beside}
    if beside["held_out"] is not None:
        densities["test images"] = distances["test images"] = beside["held_out"]
    medians = ", ".join(
        f"{name} {each['log_px']['median']:.4g}" for name, each in densities.items()
    )
    nearest = "; ".join(
        f"{name} {each['distances']['least']:.3g}, {each['distances']['median']:.3g}"
        for name, each in distances.items()
    )
    return [
        f"log p(x), median: {medians}.",
        f"Distance to the nearest training image, least and median: {nearest}.",
    ]

"""The records stored with every score: what decides it, and how it was made."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import numpy as np
import torch

from oodbench.base.files import Record, key_of
from oodbench.base.sources import sources_key
from oodbench.data.image_set import ImageSet
from oodbench.networks.network import Network
from oodbench.scoring.batch import Need
from oodbench.scoring.spec import Entry


def method_key(entry: Entry, fits: Mapping[str, str], network: Network) -> str:
    """Returns a hash of all that decides a detector's scores, given the images.

    Args:
        entry: The detector.
        fits: The keys of the samples that detectors are fitted on, by stage.
        network: The network; its own hash is not in this one.
    """
    stage = entry.detector.fitted_on
    layers = layers_of(entry, network)
    return key_of(
        "+".join(kind.__qualname__ for kind in entry.kinds),
        entry.parameters,
        source_of(entry.kinds),
        fits[stage] if stage else None,
        *([layers] if layers else []),
        *([entry.tuned] if entry.tuned else []),
    )


def layers_of(entry: Entry, network: Network) -> Record:
    """Returns the layers that a detector depends on, where there is a choice."""
    layers: Record = {}
    # An objective may read the features, whose gradient the detector then reads.
    of_head = Need.FEATURES | Need.HEAD | Need.GRADIENT | Need.BLOCKS
    if entry.detector.needs & of_head and network.head_layer:
        layers["head"] = network.head_layer
    if Need.BLOCKS in entry.detector.needs:
        layers["blocks"] = list(network.block_names)
    return layers


@cache
def source_of(kinds: tuple[type, ...]) -> str:
    """Returns a hash of the sources that decide what a detector computes.

    It is taken once, since later changes of a file do not change a class in memory.
    """
    return "+".join(map(sources_key, kinds))


def of_model(network: Network, fingerprint: str) -> Record:
    """Returns the record of a network."""
    return {
        "name": network.title,
        "key": fingerprint,
        "precision": network.precision,
        "classes": network.classes,
        "shape": list(network.shape),
        "mean": list(network.mean),
        "std": list(network.std),
        "density_head": network.has_density_head,
        "source": dict(network.source),
    }


def of_detector(
    entry: Entry, key: str, fits: Mapping[str, ImageSet], network: Network
) -> Record:
    """Returns the record of a detector, `key` being its `method_key`."""
    stage = entry.detector.fitted_on
    return {
        "label": entry.label,
        "key": key,
        "name": entry.name,
        "parameters": entry.parameters,
        "source": source_of(entry.kinds),
        "layers": layers_of(entry, network),
        "control": entry.detector.control,
        "tuned": entry.tuned,
        "fitted_on": fits[stage].record() if stage else None,
        "drawn": {
            type(part).__name__: part.fitted_images
            for part in entry.detector.parts
            if part.fitted_images is not None
        },
    }


def of_run(network: Network, batch_size: int, seconds: float) -> Record:
    """Returns the record of a run: how it was made; nothing here decides a score."""
    return {
        "oodbench": version("oodbench"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(network.device),
        "compiled": network.compiled,
        "batch_size": batch_size,
        "seconds": round(seconds, 3),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(),
    }

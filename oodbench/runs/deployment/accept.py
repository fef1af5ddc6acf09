"""Accepts or rejects image files by a stored threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.progress import Progress, Tell, silent
from oodbench.data.dataset import Shape
from oodbench.data.given import pixels_of
from oodbench.data.image_files import UnreadableImageError, images_below
from oodbench.networks.load import Model
from oodbench.runs.deployment.deployed import Scorer
from oodbench.scoring.batches import cut


class Verdict(NamedTuple):
    """Whether one image is accepted as in-distribution."""

    path: Path
    score: float | None
    """None for a file that cannot be read."""
    accepted: bool
    fault: str = ""
    """Why the file cannot be read."""


def score(
    images: str | Path | Iterable[str | Path],
    *,
    threshold: str | Path | Record,
    model: Model | None = None,
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
    batch_size: int = 32,
    device: str = "auto",
    quiet: bool = False,
) -> list[Verdict]:
    """Scores image files and accepts or rejects each one.

    A file that cannot be read is rejected, with the reason as its `fault`.

    Args:
        images: Image files, and folders of them.
        threshold: What `oodbench.threshold` returns, or the file that it wrote.
        model: A bundled name, a file, or a network: that of the threshold. None for the
            bundled one of that name.
        checkpoint: Keywords of `load_network` for a file.
        batch_size: Images per pass of the network.
        device: auto, cpu or cuda.
        quiet: Whether to print no progress on stderr.

    Raises:
        InputError: Network, detector or fitting images are not those of the threshold,
            or a folder has no images.
    """
    paths = files_of([images] if isinstance(images, str | Path) else images)
    with Progress(quiet=quiet) as progress:
        scorer = Scorer.load(
            threshold,
            model=model,
            checkpoint=checkpoint,
            batch_size=batch_size,
            device=device,
            watch=progress,
        )
        tell = progress("score", len(paths))
        return list(verdicts(scorer, paths, batch_size=batch_size, tell=tell))


def files_of(paths: Iterable[str | Path]) -> list[Path]:
    """Returns files as they are, and for a folder the images in it at any depth.

    Raises:
        InputError: A folder has no images.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inner = images_below(path) if path.is_dir() else [path]
        if not inner:
            raise InputError(f"{path} has no images; name another folder.")
        found += inner
    return found


def verdicts(
    scorer: Scorer, paths: Sequence[Path], *, batch_size: int = 32, tell: Tell = silent
) -> Iterator[Verdict]:
    """Yields the verdicts on image files in order, a batch at a time."""
    for start, stop in cut(0, len(paths), batch_size):
        yield from _judged(scorer, paths[start:stop])
        tell(stop - start)


def _judged(scorer: Scorer, paths: Sequence[Path]) -> Iterator[Verdict]:
    read = [_read(path, scorer.shape) for path in paths]
    pixels = [one for one in read if isinstance(one, Tensor)]
    scores = iter(scorer.scores(torch.cat(pixels)).tolist() if pixels else [])
    for path, one in zip(paths, read, strict=True):
        if isinstance(one, Tensor):
            value = next(scores)
            yield Verdict(path, value, value >= scorer.threshold)
        else:
            yield Verdict(path, None, accepted=False, fault=one)


def _read(path: Path, shape: Shape) -> Tensor | str:
    """Returns the pixels `[1, *shape]` of a file, or why there are none."""
    try:
        return pixels_of([path], shape)
    except UnreadableImageError as error:
        return str(error)

"""Writes results for others: an archive, a row per image, or to a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.files import writing
from oodbench.output import trackers
from oodbench.output.formats.csv import escape
from oodbench.output.image_scores import NAMES, image_scores
from oodbench.results.exchange import archive, claims
from oodbench.results.opened import Source, folder_of, open_results

if TYPE_CHECKING:
    import pandas as pd


def export(results: Source = RESULTS, *, to: str | Path) -> str:
    """Writes results to a file, or sends them to a program that tracks experiments.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        to: A file: `.zip` for all stored scores, which `table`, `report` and `compare`
            read; `.csv` or `.parquet` for the rows of `image_scores`. Or a tracker with
            its place: `huggingface:FOLDER` for model cards, `mlflow:URI`,
            `tensorboard:FOLDER`, `wandb:PROJECT`.

    Returns:
        What was written, in words.

    Raises:
        InputError: Another suffix, no finished results, or the place cannot be written.
    """
    tracker, colon, rest = str(to).partition(":")
    if colon and tracker in trackers.names():
        count = trackers.send(open_results(results).measured, tracker, rest)
        return f"{count} runs written to {to}"
    place = Path(to)
    if place.suffix == ".zip":
        with archive.unpacked(folder_of(results)) as folder:
            archive.pack(folder, place, claims.to_json(open_results(folder).measured))
    elif place.suffix == ".csv":
        _write_csv(image_scores(results), place)
    elif place.suffix == ".parquet":
        _write_parquet(image_scores(results), place)
    else:
        known = ", ".join(f"{name}:PLACE" for name in trackers.names())
        raise InputError(f"{place} must end in .zip, .csv or .parquet, or be {known}.")
    return f"{place.stat().st_size / 1e6:.1f} MB written to {place}"


def _write_csv(found: pd.DataFrame, place: Path) -> None:
    # A spreadsheet would run a name that begins like a formula.
    safe = {name: found[name].cat.rename_categories(escape) for name in NAMES}
    with writing(place) as file:
        found.assign(**safe).to_csv(file, index=False)


def _write_parquet(found: pd.DataFrame, place: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow: pip install 'oodbench[parquet]'."
        ) from None
    with writing(place) as file:
        found.to_parquet(file, index=False)

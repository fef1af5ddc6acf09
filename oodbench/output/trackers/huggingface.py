"""Writes model cards for Hugging Face: one folder per model, with a README.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError, reason
from oodbench.base.files import folder_name, write_atomically
from oodbench.base.text import printable
from oodbench.output.formats.markdown import escape
from oodbench.output.trackers import Tracked

TASK = "Out-of-distribution detection"
"""The name by which a card's earlier results are found and replaced."""


def write(place: str, runs: Iterable[Tracked]) -> None:
    """Writes the evaluation results into the metadata of cards, in a folder.

    A card that is there keeps its text, its other metadata and results of other tasks.
    Nothing is uploaded.
    """
    from huggingface_hub import EvalResult, ModelCard
    from yaml import YAMLError

    def folder(run: Tracked) -> str:
        return folder_name(run.facts["model"], run.facts["model_key"])

    for name, own in groupby(sorted(runs, key=folder), folder):
        path = Path(place) / name / "README.md"
        members = list(own)
        title = printable(members[0].facts["model"])
        try:
            card = ModelCard.load(path) if path.exists() else ModelCard(_text(title))
        except (ValueError, YAMLError) as error:
            raise InputError(f"{path} is no model card: {reason(error)}.") from error
        data: Any = card.data
        data.model_name = data.model_name or title
        kept = [one for one in data.eval_results or () if one.task_name != TASK]
        data.eval_results = kept + [
            EvalResult(**result) for run in members for result in _results(run)
        ]
        write_atomically(path, str(card).encode())


def _results(run: Tracked) -> Iterator[dict[str, Any]]:
    """Yields the fields of each evaluation result of a detector."""
    for (metric, outside), value in run.numbers.items():
        pair = printable(f"{outside} against {run.facts['in']}")
        yield {
            "task_type": "image-classification",
            "task_name": TASK,
            "dataset_type": pair,  # results of one type get the name of the first set
            "dataset_name": pair,
            "metric_type": metric,
            "metric_name": printable(f"{metric} of {run.facts['detector']}"),
            "metric_value": value,
        }


def _text(title: str) -> str:
    return f"""---
library_name: pytorch
---

# {escape(title)}

The evaluation results are of oodbench: values in [0, 1], where a higher score of a
detector means more in-distribution.
"""

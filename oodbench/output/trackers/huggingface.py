"""Writes model cards for Hugging Face: one folder per model, with a README.md."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError
from oodbench.base.files import folder_name
from oodbench.base.text import printable
from oodbench.output.trackers import Tracked

TASK = "Out-of-distribution detection"
"""The name by which a card's earlier results are found and replaced."""


def write(place: str, runs: Iterable[Tracked]) -> None:
    """Writes the evaluation results into the metadata of cards, in a folder.

    A card that is there keeps its text, its other metadata and results of other tasks.
    Nothing is uploaded.
    """
    from huggingface_hub import EvalResult, ModelCard

    def folder(run: Tracked) -> str:
        return folder_name(run.facts["model"], run.facts["model_key"])

    for name, own in groupby(sorted(runs, key=folder), folder):
        path = Path(place) / name / "README.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = own
        title = printable(first.facts["model"])
        try:
            card = ModelCard.load(path) if path.exists() else ModelCard(_text(title))
        except ValueError as error:
            raise InputError(f"{path} is no model card: {error}") from error
        data: Any = card.data
        data.model_name = data.model_name or title
        kept = [one for one in data.eval_results or () if one.task_name != TASK]
        data.eval_results = kept + [
            EvalResult(
                task_type="image-classification",
                task_name=TASK,
                # A card joins results of one type, whatever their sets are called.
                dataset_type=_pair(run, outside),
                dataset_name=_pair(run, outside),
                metric_type=metric,
                metric_name=printable(f"{metric} of {run.facts['detector']}"),
                metric_value=value,
            )
            for run in (first, *others)
            for (metric, outside), value in run.numbers.items()
        ]
        card.save(path)


def _pair(run: Tracked, outside: str) -> str:
    return printable(f"{outside} against {run.facts['in']}")


def _text(title: str) -> str:
    return f"""---
library_name: pytorch
---

# {title}

The evaluation results are of oodbench: values in [0, 1], where a higher score of a
detector means more in-distribution.
"""

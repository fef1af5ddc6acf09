"""Writes the provenance of the numbers: models, sets, detectors and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oodbench.base.files import Record
from oodbench.base.text import printable
from oodbench.output.formats.html import escape, listing
from oodbench.output.report.scrolling import scrolling
from oodbench.results.groups import Group, every_record

KEY = 12
"""Digits of a hash that are enough to distinguish it from others."""
RUN = ("device", "compiled", "batch_size", "oodbench", "torch", "numpy")


def write(groups: Sequence[Group]) -> str:
    """Returns the provenance of the results of some models as HTML."""
    cells = [cell.record for group in groups for cell in group.inside.cells.values()]
    return "".join(
        [
            *(_model(group) for group in groups),
            *(_table("Sets", *_sets(groups)), _table("Detectors", *_detectors(cells))),
            _table("Runs", *_runs([*every_record(groups), *cells])),
        ]
    )


def _model(group: Group) -> str:
    model = group.inside.record["model"]
    facts = {**model["source"], "key": model["key"]}
    if not group.is_imported:
        own_head = (
            "a head of its own" if model["density_head"] else "LogSumExp of the logits"
        )
        facts |= {
            "input": f"{_joined(model['shape'], '×')} pixels in [0, 1]",
            "normalisation": f"mean {_joined(model['mean'])}; deviation "
            f"{_joined(model['std'])}",
            "classes": model["classes"],
            "log p(x)": own_head,
        }
    lines = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>\n"
        for name, value in facts.items()
    )
    title = escape(printable(group.model))
    return f'<h4>Model {title}</h4>\n<dl class="facts">\n{lines}</dl>\n'


def _sets(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    head = ["set", "role", "split", "images", "shared with the in-distribution set"]
    head += ["adaptation", "--limit", "key"]
    rows = [
        [
            one["name"],
            one["role"],
            one["split"],
            str(one["images"]),
            str(one["shared_images"]),
            one["adaptation"],
            "none" if one["limit"] is None else str(one["limit"]),
            one["key"][:KEY],
        ]
        for one in (record["set"] for record in every_record(groups))
    ]
    return head, _unique(rows)


def _detectors(cells: Iterable[Record]) -> tuple[list[str], list[list[str]]]:
    head = ["detector", "parameters", "fitted on", "source"]
    rows = [
        [
            one["label"] + " (control)" * one["control"],
            _settings(one["parameters"]) or "none",
            _fitted(one["fitted_on"], one.get("drawn", {})),
            one["source"][:KEY],
        ]
        for one in (record["detector"] for record in cells)
    ]
    return head, sorted(_unique(rows))


def _runs(records: Iterable[Record]) -> tuple[list[str], list[list[str]]]:
    head = ["last", "first", *(name.replace("_", " ") for name in RUN)]
    dates: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        run = record["run"]
        how = tuple(str(run.get(name, "")) for name in RUN)
        dates.setdefault(how, []).append(run["finished"][:16].replace("T", " "))
    rows = [
        [f"{max(when)} UTC", f"{min(when)} UTC", *how] for how, when in dates.items()
    ]
    return head, sorted(rows, reverse=True)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"<h4>{title}</h4>\n" + scrolling(listing(head, rows), title, "texts")


def _unique(rows: Iterable[list[str]]) -> list[list[str]]:
    return list(map(list, dict.fromkeys(map(tuple, rows))))


def _settings(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _fitted(record: Record | None, drawn: Mapping[str, int]) -> str:
    if record is None:
        return "nothing"
    whole = f"{record['images']} images of {record['name']} {record['split']}"
    parts = (f"; {name} draws {number:,}" for name, number in drawn.items())
    return whole + "".join(parts)


def _joined(values: Iterable[Any], sign: str = ", ") -> str:
    return sign.join(str(value) for value in values)

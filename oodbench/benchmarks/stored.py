"""Finds the sets of a benchmark among stored results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oodbench.base import tuning
from oodbench.base.errors import InputError
from oodbench.benchmarks.benchmark import Benchmark, Member
from oodbench.benchmarks.figures import Figure, Place, Scores, figures
from oodbench.data.spec import stated
from oodbench.results.groups import Group, StoredSet


@dataclass
class Entry:
    """One detector on the networks of one model."""

    model: str
    """The name without `@` and the seed behind it."""
    detector: str
    control: bool
    figures: dict[Place, Figure]


@dataclass
class Outcome:
    """What a benchmark gives for some stored results."""

    benchmark: Benchmark
    entries: list[Entry] = field(default_factory=list)
    doubts: dict[str, str] = field(default_factory=dict)
    """Why figures of a set are not the benchmark's, by the set's label."""
    substitutes: dict[str, str] = field(default_factory=dict)
    """What was opened in place of a set, by its label."""
    images: dict[str, int] = field(default_factory=dict)
    """The stored images of each set."""
    missing: list[str] = field(default_factory=list)
    """Labels of sets that are not stored."""
    left_out: list[str] = field(default_factory=list)
    """Detectors that not all networks of a model have scores of, in words."""

    def notes(self) -> list[str]:
        """Returns what a reader must know, in sentences without a full stop."""
        notes = [
            f"{label}: {spec} in its place" for label, spec in self.substitutes.items()
        ]
        notes += [f"{label}: {why}" for label, why in self.doubts.items()]
        if self.missing:
            labels = ", ".join(self.missing)
            notes.append(f"missing: {labels}; no mean over their groups")
        notes += self.left_out
        notes += tuning.notes(entry.detector for entry in self.entries)
        return [*notes, *self.benchmark.notes]


def outcome(benchmark: Benchmark, groups: Iterable[Group]) -> Outcome:
    """Returns the figures of all models and detectors that are stored.

    Raises:
        InputError: Nothing is stored of the in-distribution set.
    """
    own = [group for group in groups if _is_of(group.inside, benchmark.inside)]
    exact = [group for group in own if _is_exact(group.inside, benchmark.inside)]
    own = exact or own
    if not own:
        raise InputError(
            f"Nothing is stored of the in-distribution set {benchmark.inside.label} of "
            f"{benchmark.name}; run `oodbench run --benchmark {benchmark.name}` first."
        )
    found = Outcome(benchmark)
    families: dict[str, list[Group]] = {}
    for group in own:
        # What stands behind the seed, such as (bf16), makes another model.
        families.setdefault(re.sub(r"@\S*", "", group.model), []).append(group)
    for model, members in sorted(families.items()):
        members = _uncut(members)
        if len({group.inside.record["set"]["key"] for group in members}) > 1:
            found.doubts[benchmark.inside.label] = (
                f"several stored sets of {model} have this name, so that it has no "
                "figures; use one folder of results each"
            )
            continue
        networks = [_Network(benchmark, group) for group in members]
        for network in networks:
            _look_at(found, network)
        found.entries += _entries(found, model, networks)
    return found


def _uncut(groups: list[Group]) -> list[Group]:
    """Returns the groups with whole `inside` sets, or all if `--limit` has cut each."""
    whole = [one for one in groups if one.inside.record["set"]["limit"] is None]
    return whole or groups


class _Network:
    """What is stored of one network, by the labels of the benchmark."""

    def __init__(self, benchmark: Benchmark, group: Group) -> None:
        self.inside = group.inside
        self.sets: dict[str, StoredSet] = {}
        self.several: list[str] = []
        for member in benchmark.outside:
            named = [each for each in group.outside if _is_of(each, member)]
            exact = [each for each in named if _is_exact(each, member)]
            chosen = exact or named
            if len(chosen) == 1:
                self.sets[member.label] = chosen[0]
            elif chosen:
                self.several.append(member.label)
        self.correct = _correct(self.inside)
        self.correct_outside = {
            label: correct
            for label, one in self.sets.items()
            if (correct := _correct(one)) is not None
        }

    def scores(self, detector: str) -> Scores | None:
        """Returns a detector's scores; None without any on the in-distribution set."""
        inside = self.inside.cells.get(detector)
        if inside is None or "failure" in inside.record:
            return None
        cells = {label: each.cells.get(detector) for label, each in self.sets.items()}
        outside = {
            label: cell.scores
            for label, cell in cells.items()
            if cell is not None and "failure" not in cell.record
        }
        return Scores(inside.scores, outside, self.correct, self.correct_outside)


def _correct(one: StoredSet) -> NDArray[np.bool_] | None:
    """Returns which predictions are right, `[N]`; None without the classes."""
    known = one.arrays
    if known.keys() >= {"predictions", "labels", "nll"}:
        return np.equal(known["predictions"], known["labels"])
    return None


def _entries(found: Outcome, model: str, networks: list[_Network]) -> Iterator[Entry]:
    labels = {
        label: cell for one in networks for label, cell in one.inside.cells.items()
    }
    for detector, cell in sorted(labels.items()):
        scores = [own for one in networks if (own := one.scores(detector))]
        if len(scores) == len(networks):
            control = bool(cell.record["detector"]["control"])
            yield Entry(model, detector, control, figures(found.benchmark, scores))
        elif scores:
            found.left_out.append(
                f"{detector} of {model} is left out: {len(scores)} of {len(networks)} "
                "networks have scores"
            )


def _look_at(found: Outcome, network: _Network) -> None:
    """Adds what a network's sets differ in from the benchmark's."""
    benchmark = found.benchmark
    sets = {benchmark.inside.label: network.inside, **network.sets}
    for member in (benchmark.inside, *benchmark.outside):
        label = member.label
        if label in network.several:
            found.doubts[label] = (
                "several stored sets have this name; use one folder of results each"
            )
        if label not in sets:
            if label not in found.missing:
                found.missing.append(label)
            continue
        about = sets[label].record["set"]
        if not _is_exact(sets[label], member) or member.is_substitute:
            found.substitutes[label] = stated(str(about.get("spec"))).plain
        found.images[label] = about["images"]
        expected = benchmark.images.get(label)
        if expected is not None and about["images"] != expected:
            found.doubts[label] = (
                f"{about['images']:,} images, and {expected:,} in the benchmark"
            )
        elif about["limit"] is not None:
            found.doubts[label] = "cut by --limit"
        elif about["images"] < benchmark.images_per_draw:
            found.doubts[label] = f"{about['images']:,} images, fewer than a draw"


def _is_exact(one: StoredSet, member: Member) -> bool:
    """Returns whether a stored set was opened as the benchmark opens it."""
    return stated(str(one.record["set"].get("spec"))).plain == member.spec


def _is_of(one: StoredSet, member: Member) -> bool:
    return _is_exact(one, member) or one.record["set"]["name"] == member.label

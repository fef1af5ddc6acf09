"""Which stored networks and sets the figures of a benchmark are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmarks import benchmark
from oodbench.benchmarks.figures import Place
from oodbench.benchmarks.stored import outcome
from oodbench.results.groups import Group, StoredSet
from oodbench.results.store import Cell, SetFile

RULES = benchmark.read("oe-mnist")
RULES = replace(RULES, draws=1, images_per_draw=0, images={})
PLACE = Place("fashionmnist", "auroc")
INSIDE = np.array([1.0, 2, 3, 4])
OUTSIDE = {0.5: [2.5, 2.5], 0.75: [1.5, 1.5, 1.5, 4.5], 1.0: [0, 0]}
"""Scores of an OOD set by the AUROC that they have against `INSIDE`."""


def stored(label, role, scores, limit=None):
    about = {
        "name": label, "spec": "", "key": f"{label} {limit}", "role": role,
        "limit": limit, "images": len(scores),
    }  # fmt: skip
    record = {"set": about, "detector": {"control": False}}
    cells = {"msp": Cell(record, np.array(scores))}
    return StoredSet(label, SetFile(Path(label)), record, {}, cells)


def group(model, area, limit=None):
    inside = stored("mnist", "in", INSIDE, limit)
    return Group(model, inside, [stored("fashionmnist", "far", OUTSIDE[area], limit)])


def figures(*groups):
    found = outcome(RULES, groups)
    return {one.model: one.figures[PLACE] for one in found.entries}, found


def test_the_figure_of_a_model_is_the_mean_over_its_seeds():
    found, _ = figures(group("net@1", 0.5), group("net@2", 1.0))
    assert found["net"].value == pytest.approx(0.75)
    assert (found["net"].runs, found["net"].deviation) == (2, pytest.approx(0.25))


@pytest.mark.parametrize("other", ["(bf16)", "(input noise 0.03)", "(0123abcd)"])
def test_another_precision_noise_or_key_is_no_seed(other):
    found, _ = figures(group("net@1", 0.5), group(f"net@1 {other}", 1.0))
    assert {name: one.value for name, one in found.items()} == {
        "net": 0.5,
        f"net {other}": 1.0,
    }
    assert {one.runs for one in found.values()} == {1}


def test_a_run_on_fewer_images_is_no_second_network():
    found, about = figures(group("net", 0.5, limit=4), group("net", 1.0))
    assert (found["net"].value, found["net"].runs) == (1.0, 1)
    assert "mnist" not in about.doubts
    found, about = figures(group("net", 0.5, limit=4), group("net", 1.0, limit=5))
    assert found == {}
    assert "several stored sets of net have this name" in about.doubts["mnist"]


def test_a_detector_without_scores_of_a_seed_has_no_mean_over_the_others():
    groups = [group("net@1", 0.5), group("net@2", 1.0)]
    del groups[1].inside.cells["msp"]
    found, about = figures(*groups)
    assert found == {}
    note = "msp of net is left out: 1 of 2 networks have scores"
    assert note in about.notes()

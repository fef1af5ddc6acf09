"""The doctor finds what is seeded, says what to do, and keeps who the user is."""

import hashlib
import importlib
import json
import os
from collections import namedtuple
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from oodbench.base import registry
from oodbench.cli import examine, oodbench


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Looks at a home, data and results of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "home" / "data"))
    monkeypatch.setattr(examine, "SIDE", 8)


def findings(topic, results="results"):
    return [one for one in examine.examine(Path(results)) if one.topic == topic]


def only(topic, results="results"):
    (one,) = findings(topic, results)
    return one


def test_a_sound_machine_has_no_fault(tmp_path):
    result = CliRunner().invoke(oodbench, ["doctor", "--results", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"torch {version('torch')}" in result.stdout
    assert "cpu (" in result.stdout
    assert "fault" not in result.stdout


def test_nothing_is_made_or_downloaded(tmp_path):
    list(examine.examine(tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []


def test_json_holds_every_finding(tmp_path):
    options = ["doctor", "--json", "--results", str(tmp_path)]
    found = json.loads(CliRunner().invoke(oodbench, options).stdout)
    assert {one["level"] for one in found} <= {"ok", "warning", "fault"}
    assert (found[0]["topic"], found[-1]["topic"]) == ("versions", "results")
    assert all(bool(one["fix"]) == (one["level"] != "ok") for one in found)


def test_the_home_folder_is_masked(tmp_path):
    assert only("data").text.startswith("~/data: ")
    assert only("results", tmp_path / "home" / "runs").text.startswith("~/runs: ")
    # A folder that only begins alike is another one.
    assert str(tmp_path) in only("results", tmp_path / "homes").text


def test_a_missing_and_an_old_library_are_faults(monkeypatch):
    def version(name):
        if name == "rich":
            raise PackageNotFoundError(name)
        return {"torch": "2.9.1+cu128"}.get(name, "99.0")

    monkeypatch.setattr(examine, "version", version)
    faults = [one for one in findings("versions") if one.level == "fault"]
    assert [one.text for one in faults] == [
        "rich is missing",
        "torch 2.9.1+cu128 is older than 2.10",
    ]
    assert faults[1].fix == "pip install 'torch>=2.10'"


def test_a_broken_device_is_a_fault(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no kernel image\nfor this device")

    monkeypatch.setattr(torch, "ones", broken)
    found = only("devices")
    assert found.level == "fault"
    assert found.text.endswith(": no kernel image")
    assert "--device cpu" in found.fix


def test_a_device_that_multiplies_wrongly_is_a_fault(monkeypatch):
    real = torch.ones
    monkeypatch.setattr(
        torch, "ones", lambda *shape, **more: (real(*shape) * 2).requires_grad_()
    )
    assert "multiplies wrongly" in only("devices").text


def test_more_threads_than_cores_is_a_warning(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    found = only("threads")
    assert found.level == "warning"
    assert "OMP_NUM_THREADS" in found.fix


@pytest.mark.parametrize("topic", ["data", "results"])
def test_a_folder_that_cannot_be_written_to_is_a_fault(tmp_path, monkeypatch, topic):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("OODBENCH_DATA", str(file))
    found = only(topic, file / "runs")
    assert found.level == "fault"
    assert "Not a directory" in found.text


def test_little_room_is_a_warning(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(examine.shutil, "disk_usage", lambda folder: usage(5e8))
    found = only("data")
    assert (found.level, found.text) == (
        "warning",
        "~/data: made when needed, 0.5 GB free",
    )
    assert "OODBENCH_DATA" in found.fix


def test_data_sets_are_present_incomplete_broken_or_absent(tmp_path, monkeypatch):
    content = b"images"
    md5 = "md5:" + hashlib.md5(content).hexdigest()
    module = importlib.import_module("oodbench.datasets.svhn")
    sources = [replace(one, checksum=md5) for one in module.ORIGIN.sources]
    monkeypatch.setattr(module, "ORIGIN", replace(module.ORIGIN, sources=sources))
    assert findings("svhn") == []
    folder = tmp_path / "home" / "data" / "svhn"
    folder.mkdir(parents=True)
    (folder / "train_32x32.mat").write_bytes(content)
    assert only("svhn").text == "only train_32x32.mat present, checksums right"
    (folder / "test_32x32.mat").write_bytes(content)
    assert only("svhn").text == "present, checksums right"
    (folder / "test_32x32.mat").write_bytes(content[:-1])
    found = only("svhn")
    assert found.level == "warning"
    assert found.text.startswith("~/data/svhn/test_32x32.mat has the checksum md5:")


def test_a_broken_plugin_is_a_fault_with_its_reason(monkeypatch):
    class Entry:
        name, value = "bad", "pack:Bad"
        dist = namedtuple("dist", "name")("pack")

        def load(self):
            raise OSError(f"{os.environ['HOME']}/weights are gone")

    registry._plugins.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()])
    try:
        result = CliRunner().invoke(oodbench, ["doctor"])
    finally:
        registry._plugins.cache_clear()
    assert result.exit_code == 1
    assert "detectors  0 of 1 load" in result.stdout
    assert "imported: OSError: ~/weights are gone" in result.stdout
    assert "pip uninstall" in result.stdout

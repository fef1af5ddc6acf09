"""Puts small files of the sets' own layouts into a data folder of the test."""

import importlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from oodbench.data.sources.source import Origin, Source


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The data folder, in which nothing is downloaded."""
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OODBENCH_OFFLINE", "1")
    return tmp_path / "data"


@pytest.fixture
def put(home, monkeypatch):
    """Puts a set's files into the data folder in place of the real ones."""

    def put(module, files):
        found = importlib.import_module(f"oodbench.datasets.{module}")
        for name, value in list(vars(found).items()):
            if name.isupper():
                monkeypatch.setattr(found, name, without_checks(value))
        for name, content in files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return put


def without_checks(value):
    """Returns a source without checksum and size; other values as they are."""
    if isinstance(value, Source):
        return replace(value, checksum="", size=None)
    if isinstance(value, Origin):
        return replace(value, sources=without_checks(value.sources))
    if type(value) is tuple:
        return tuple(map(without_checks, value))
    if type(value) is dict:
        return {without_checks(k): without_checks(v) for k, v in value.items()}
    return value


@pytest.fixture
def packed():
    """Returns a tar archive, or a zip archive for a name with `.zip`, of files."""

    def packed(name, files):
        buffer = io.BytesIO()
        if ".zip" in name:
            with zipfile.ZipFile(buffer, "w") as archive:
                for file, content in files.items():
                    archive.writestr(file, content)
            return {name: buffer.getvalue()}
        mode = "w" if name.endswith(".tar") else "w:gz"
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for file, content in files.items():
                content = content.encode() if isinstance(content, str) else content
                member = tarfile.TarInfo(file)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return {name: buffer.getvalue()}

    return packed

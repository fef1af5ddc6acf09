"""The site: it builds without a warning, is whole, and loads nothing from a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import oodbench
from oodbench import cli

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_the_repository_is_on_the_site(site):
    for place in (*ROOT.glob("docs/*.md"), *ROOT.glob("results/*.md")):
        name = place.relative_to(ROOT).with_suffix(".html").as_posix()
        assert (site / name.replace("README", "index")).is_file()


def test_the_references_have_every_function_and_command(site):
    functions = (site / "docs/python.html").read_text("utf-8")
    for name, home in oodbench._HOMES.items():
        assert f'id="{home}.{name}"' in functions
    commands = (site / "docs/commands.html").read_text("utf-8")
    for name in cli.oodbench.list_commands(click.Context(cli.oodbench)):
        assert f"Usage: oodbench {name} [OPTIONS]" in commands


def test_pages_load_nothing_from_elsewhere(site):
    loaded = r"""<(?:(?:script|img|iframe)[^>]+src|link[^>]+href)=["']?([^"'\s>]+)"""
    for page in site.rglob("*.html"):
        found = re.findall(loaded, page.read_text("utf-8"))
        assert found
        assert not [each for each in found if re.match(r"(https?:)?//", each)]

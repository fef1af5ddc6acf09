"""The commands, the code and the links of README.md, docs/ and help texts are right."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import get_args

import click
import numpy as np
import pytest
from PIL import Image

import oodbench as face
from oodbench import Role, cli
from oodbench.metrics.table import METRICS
from oodbench.output.notes import MARKS

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
}
LINKED = PAGES | {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("results/*.md"))]
}
"""Also the pages whose commands are checked, but not run."""

CONTEXT = click.Context(cli.oodbench)
COMMANDS = {
    name: cli.oodbench.get_command(CONTEXT, name)
    for name in cli.oodbench.list_commands(CONTEXT)
}
HELP = {name: one.help for name, one in COMMANDS.items()}
QUICK = {
    "board",
    "check",
    "compare",
    "costs",
    "export",
    "import",
    "list",
    "rank",
    "table",
}
ELSEWHERE = re.compile(
    r"net\.pth?|resnet20|cifar|svhn|oe-mnist|:PROJECT|sqlite|:logs|:cards|…"
)
"""What a command needs that may not be here: downloads, networks, extras."""

ALSO = {
    "import": ["--results", "imported"],
    "attack": ["--images", "4", "--black-box", "0"],
    "diagnose": ["--chains", "4", "--steps", "20"],
    "sample": ["--steps", "4", "--count", "8"],
    "train": ["--epochs", "1"],
}
"""Options that make commands quicker, or keep their results apart."""


def blocks(page, language):
    """Returns the texts of the fenced blocks of one language, "" for none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", LINKED[page], re.M | re.S)
    return [text for name, text in found if name == language]


def words(line):
    """Returns the words of a shell command, up to a comment, a pipe or the like."""
    split = shlex.split(line, comments=True)
    return list(takewhile(lambda word: word not in ("&&", ">", "|"), split))


def commands(text):
    """Returns the words behind `oodbench` of each line that begins with it."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words(line)[1:] for line in lines if line.strip().startswith("oodbench ")]


def shown(page):
    """Returns all commands in blocks of a page."""
    return [each for block in blocks(page, "") for each in commands(block)]


def inline(page):
    """Returns all commands within the sentences of a page."""
    found = re.findall(r"`(oodbench [a-z][^`]*)`", LINKED[page])
    return commands("\n".join(" ".join(each.split()) for each in found))


def indented(page):
    """Returns all commands in indented blocks of a page."""
    found = re.findall(r"^    (oodbench (?:.*\\\n)*.*)$", LINKED[page], re.M)
    return commands("\n".join(found))


def check_options(arguments):
    name, *rest = arguments
    parser = COMMANDS[name].make_parser(click.Context(COMMANDS[name]))
    parser.parse_args(rest)


@pytest.mark.parametrize("page", LINKED)
def test_commands_on_pages_have_options_that_exist(page):
    for arguments in shown(page) + inline(page) + indented(page):
        if arguments[0] != "best":  # the command that docs/extending.md adds
            check_options(arguments)


@pytest.mark.parametrize("name", HELP)
def test_commands_in_help_texts_have_options_that_exist(name):
    for arguments in commands(HELP[name]):
        check_options(arguments)


@pytest.mark.parametrize("page", PAGES)
def test_python_on_pages_uses_names_that_exist(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "oodbench":
                taken = {alias.name for alias in node.names}
                assert taken <= {*face.__all__, "testing"}
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == "oodbench"
            ):
                assert node.attr in face.__all__


def anchors(page):
    titles = re.findall(
        r"^#+ (.*)", re.sub(r"^```.*?^```", "", LINKED[page], flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_to_files_and_titles(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", LINKED[page]):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), target


def test_counts_of_lines_in_the_table_of_extensions():
    page = PAGES["docs/extending.md"]
    counts = [int(n) for n in re.findall(r"^\| .* \| (\d+) \|$", page, re.M)]
    code = [block.count("\n") for block in blocks("docs/extending.md", "python")]
    assert set(code) <= set(counts)


def test_every_metric_mark_and_role_is_explained():
    page = PAGES["docs/reading.md"]
    assert not [name for name in METRICS if f"`{name}`" not in page]
    assert not [role for role in get_args(Role) if f"| `{role}` |" not in page]
    assert not [mark for mark in MARKS.values() if f"| {mark} |" not in page]


# --- running the commands


@pytest.fixture
def folder(oodbench, tmp_path):
    """A folder with stored scores and the files that the pages name."""
    rng = np.random.default_rng(0)
    for name in ("photo.png", "more.png", "folder/a.png", "photos/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "scores.csv").write_text(
        "set,role,score,model,detector\n"
        + "".join(f"a,in,{n},net,mine\nb,far,{n - 5},net,mine\n" for n in range(20))
    )
    scores = {"in.scores": rng.normal(2, 1, 30), "far.svhn.scores": rng.normal(size=30)}
    np.savez(tmp_path / "seed0.npz", **scores)
    (tmp_path / "scores").mkdir()
    for name in ("cifar10", "cifar100", "tin", "svhn"):
        numbers = {key: rng.integers(0, 9, 20) for key in ("pred", "label")}
        np.savez(tmp_path / f"scores/{name}.npz", conf=rng.random(20), **numbers)
    assert oodbench("run", "--detectors", "msp,energy", "--no-plots")[0] == 0
    assert oodbench("export", "--to", "results.zip")[0] == 0
    (tmp_path / "leaderboard").mkdir()
    shutil.copy(tmp_path / "results.zip", tmp_path / "leaderboard/mine.zip")
    return tmp_path


def runnable(quick):
    """Returns the commands that need nothing from elsewhere, each once."""
    found = [
        tuple(arguments)
        for page in PAGES
        if page not in ("docs/extending.md", "docs/tutorial.md")  # they have own tests
        for arguments in shown(page)
        if (arguments[0] == "import" or not ELSEWHERE.search(" ".join(arguments)))
        and (arguments[0] in QUICK) == quick
    ]
    return list(dict.fromkeys(found))


def run_all(arguments, oodbench):
    for each in arguments:
        code, _, errors = oodbench(*each, *ALSO.get(each[0], ()))
        assert code == ("--fail-under" in each), (each, errors)


def test_commands_on_pages_that_read_results_run(oodbench, folder):
    found = runnable(quick=True)
    assert len(found) > 10
    run_all(found, oodbench)


@pytest.mark.slow
def test_other_commands_on_pages_run(oodbench, folder):
    found = runnable(quick=False)
    assert len(found) > 10
    run_all(found, oodbench)


def files(page):
    """Returns the files that a page shows, `PATH` before a block of code."""
    form = r"`([\w./]+\.\w+)`(?:, for pytest)?:\n\n```\w+\n(.*?)^```$"
    return re.findall(form, PAGES[page], re.M | re.S)


def write_files(page, folder):
    for name, text in files(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def shell(folder, line, path=""):
    """Runs a command in a folder whose modules it may import; returns its output."""
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_leads_to_a_table(tmp_path):
    write_files("docs/tutorial.md", tmp_path)
    offline = "--no-index --no-deps --no-build-isolation --target site ."
    shell(tmp_path, f"pip install {offline}")
    for arguments in shown("docs/tutorial.md"):
        shell(tmp_path, f"oodbench {shlex.join(arguments)}", "site")
    shell(tmp_path, "pytest -q test_relative_distance.py", "site")
    table = (tmp_path / "table.md").read_text("utf-8")
    assert "relative_distance" in table
    assert "relative_distance:order=1" in table


@pytest.mark.slow
def test_the_examples_of_extending_work_in_a_copy_of_the_package(tmp_path):
    shutil.copytree(ROOT / "oodbench", tmp_path / "oodbench")
    for kind in ("detectors", "datasets"):
        shutil.copytree(ROOT / kind, tmp_path / "oodbench" / kind)
    shown_files = dict(files("docs/extending.md"))
    table = "oodbench/metrics/table.py"
    entry = f"_ENTRIES = (\n{shown_files[table].rstrip()},"
    shown_files[table] = (
        (ROOT / table).read_text("utf-8").replace("_ENTRIES = (", entry, 1)
    )
    for name, text in shown_files.items():
        place = name if name.startswith("oodbench/") else f"oodbench/{name}"
        (tmp_path / place).write_text(text, "utf-8")
    (tmp_path / "my_detectors.py").write_text(
        dict(files("docs/extending.md"))["detectors/margin.py"].replace(
            "Margin", "Mine"
        )
    )
    for line in (
        "check detector margin:k=3",
        "check dataset bands:200",
        "train --arch linear --recipe ce --to lin --epochs 1",
        "run --model lin/lin.safetensors --detectors margin:k=3 --out bands:200",
        "run --detectors my_detectors.py:Mine:k=5 --out bands:200",
    ):
        shell(tmp_path, f"oodbench {line}")
    assert "FPR100" in shell(tmp_path, "oodbench table --metric fpr100")
    assert "\t" in shell(tmp_path, "oodbench table --format tsv")
    assert "margin:k=3" in shell(tmp_path, "oodbench best")

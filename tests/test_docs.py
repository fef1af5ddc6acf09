"""The commands, the code and the links of README.md, docs/ and help texts are right."""

import ast
import re
import shlex
import shutil
from itertools import takewhile
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import oodbench as face
from oodbench import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
}
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
    r"net\.pth?|resnet20|cifar|svhn|oe-mnist|:PROJECT|sqlite|:logs|…"
)
"""What a command reads that is not here: downloads, networks, servers."""

ALSO = {
    "import": ["--results", "imported"],
    "attack": ["--images", "4", "--black-box", "0"],
    "sample": ["--steps", "4", "--count", "8"],
    "train": ["--epochs", "1"],
}
"""Options that make commands quicker, or keep their results apart."""


def blocks(page, language):
    """Returns the texts of the fenced blocks of one language, "" for none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.M | re.S)
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
    found = re.findall(r"`(oodbench [a-z][^`]*)`", PAGES[page])
    return commands("\n".join(" ".join(each.split()) for each in found))


def check_options(arguments):
    name, *rest = arguments
    parser = COMMANDS[name].make_parser(click.Context(COMMANDS[name]))
    parser.parse_args(rest)


@pytest.mark.parametrize("page", PAGES)
def test_commands_on_pages_have_options_that_exist(page):
    for arguments in shown(page) + inline(page):
        if arguments[0] != "best":  # the command that docs/extending.md adds
            check_options(arguments)


@pytest.mark.parametrize("name", HELP)
def test_commands_in_help_texts_have_options_that_exist(name):
    for arguments in commands(HELP[name]):
        check_options(arguments)


def test_every_command_is_in_a_section_of_the_help():
    assert sorted(name for names in cli.SECTIONS.values() for name in names) == sorted(
        COMMANDS
    )


@pytest.mark.parametrize("page", PAGES)
def test_python_on_pages_uses_names_that_exist(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "oodbench":
                assert {alias.name for alias in node.names} <= set(face.__all__)
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == "oodbench"
            ):
                assert node.attr in face.__all__


def anchors(page):
    titles = re.findall(
        r"^#+ (.*)", re.sub(r"^```.*?^```", "", PAGES[page], flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_titles(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
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
    return [
        arguments
        for page in PAGES
        if page != "docs/extending.md"  # whose commands a test below runs
        for arguments in shown(page)
        if (arguments[0] == "import" or not ELSEWHERE.search(" ".join(arguments)))
        and (arguments[0] in QUICK) == quick
    ]


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

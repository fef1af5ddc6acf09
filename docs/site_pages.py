"""Gives the site the pages of the repository, and two that are made from the code.

`mkdocs.yml` names this file as a hook. As the pages keep their places, links between
README.md, docs/ and results/ work in the repository and on the site.
"""

import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import oodbench
from oodbench.cli import oodbench as group
from oodbench.cli.group import SECTIONS

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.*", "results/*.*")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Returns the files of the theme and those of the repository."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    names = [
        path.relative_to(ROOT).as_posix()
        for pattern in PAGES
        for path in ROOT.glob(pattern)
    ]
    pages = [
        File(name, str(ROOT), config.site_dir, config.use_directory_urls)
        for name in names
    ]
    made = {"docs/commands.md": _commands(), "docs/python.md": _python()}
    pages += [File.generated(config, name, content=made[name]) for name in made]
    return Files([*theme, *pages])


def _commands() -> str:
    """Returns the page of all commands, each with its help text."""
    settings = {"info_name": "oodbench", "terminal_width": 80, **group.context_settings}
    top = click.Context(group, **settings)
    page = f"# Commands\n\n```text\n{group.get_help(top)}\n```\n"
    for section, names in SECTIONS.items():
        page += f"\n## {section}\n"
        for name in names:
            command = group.get_command(top, name)
            assert command is not None
            with click.Context(command, parent=top, info_name=name) as context:
                text = command.get_help(context)
            page += f"\n### {name}\n\n```text\n{text}\n```\n"
    return page


def _python() -> str:
    """Returns the page of all public names, grouped as in the docstring of oodbench."""
    lines = re.findall(
        r"^(\w[\w-]*): +(\w+,.*(?:\n +.*)*)", oodbench.__doc__ or "", re.M
    )
    groups = {title: re.findall(r"\w+", names) for title, names in lines}
    listed = {name for names in groups.values() for name in names}
    groups["More"] = [name for name in oodbench._HOMES if name not in listed]
    page = "# Python\n\nEverything here is imported from `oodbench`.\n"
    for title, names in groups.items():
        page += f"\n## {title}\n"
        page += "".join(f"\n::: {oodbench._HOMES[name]}.{name}\n" for name in names)
    return page

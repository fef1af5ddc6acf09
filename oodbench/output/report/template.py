"""Fills the template of a page that needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import NamedTuple

from oodbench.output.formats.html import escape


class Chapter(NamedTuple):
    """A part of a page, such as everything about one in-distribution set."""

    anchor: str
    title: str
    sections: dict[str, str]
    """HTML by titles."""


def filled(
    title: str, summary: str, chapters: Sequence[Chapter], scripts: Sequence[str] = ()
) -> str:
    """Returns a page with a list of its contents, whose tables sort."""
    contents = "".join(map(_contents, chapters))
    body = "".join(map(_body, chapters))
    return page(title, summary, contents, body, ["report.js", *scripts])


def page(
    title: str,
    summary: str,
    contents: str,
    body: str,
    scripts: Sequence[str],
    pictures: str = "data:",
) -> str:
    """Returns a page; nothing is loaded but pictures, and nothing is sent.

    Args:
        title: Text.
        summary: Text below it.
        contents: HTML of the links at the top.
        body: HTML.
        scripts: Names of files in this folder.
        pictures: Where pictures may come from, as a content security policy says it.
    """
    script = "".join(map(_resource, scripts))
    digest = hashlib.sha256(script.encode()).digest()
    return Template(_resource("report.html")).substitute(
        hash=base64.b64encode(digest).decode(),
        pictures=pictures,
        script=script,
        style=_resource("report.css"),
        title=escape(title),
        summary=escape(summary),
        contents=contents,
        chapters=body,
    )


def _contents(chapter: Chapter) -> str:
    items = "".join(
        f'<li><a href="#{chapter.anchor}-{number}">{escape(title)}</a></li>\n'
        for number, title in enumerate(chapter.sections)
    )
    return f"<p>{escape(chapter.title)}</p>\n<ul>\n{items}</ul>\n"


def _body(chapter: Chapter) -> str:
    sections = "".join(
        f'<section id="{chapter.anchor}-{number}">\n<h3>{escape(title)}</h3>\n'
        f"{content}</section>\n"
        for number, (title, content) in enumerate(chapter.sections.items())
    )
    return f"<h2>{escape(chapter.title)}</h2>\n{sections}"


def _resource(name: str) -> str:
    return resources.files("oodbench.output.report").joinpath(name).read_text("utf-8")

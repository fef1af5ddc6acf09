"""`oodbench score`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.progress import Progress
from oodbench.cli.options import checkpoint_options, device_option

if TYPE_CHECKING:
    from oodbench.runs.deployment.accept import Verdict

SOME_FILES_FAILED = 1


@click.command()
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE…",
    type=click.Path(path_type=Path),
)
@click.option(
    "--threshold",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that `oodbench threshold --to` wrote.",
)
@click.option(
    "--model",
    help="A file or a bundled name.  [default: the bundled one of the threshold]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a line of JSON for each image."
)
@checkpoint_options
@device_option
def score(images: tuple[Path, ...], file: Path, as_json: bool, **options: Any) -> None:
    """Scores image files and accepts or rejects each one.

    Prints one line per image: file, score, accepted or rejected, separated by tabs. Of
    a folder all images are taken, at any depth. A file that cannot be read is rejected
    without a score, and the exit code is then 1.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench score photo.png more/ --threshold energy.json --json
    """
    from oodbench.runs.deployment import accept
    from oodbench.runs.deployment.deployed import Scorer

    paths = accept.files_of(images)
    failed = False
    with Progress() as progress:
        scorer = Scorer.load(file, watch=progress, **options)
        tell = progress("score", len(paths))
        for one in accept.verdicts(scorer, paths, tell=tell):
            failed |= bool(one.fault)
            click.echo(_json(one) if as_json else _line(one))
            if one.fault and not as_json:
                click.echo(one.fault, err=True)
    if failed:
        raise SystemExit(SOME_FILES_FAILED)


def _line(one: Verdict) -> str:
    value = "" if one.score is None else f"{one.score:.6g}"
    return f"{one.path}\t{value}\t{'accepted' if one.accepted else 'rejected'}"


def _json(one: Verdict) -> str:
    fault = {"fault": one.fault} if one.fault else {}
    return json.dumps(
        {"file": str(one.path), "score": one.score, "accepted": one.accepted, **fault}
    )

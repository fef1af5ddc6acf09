"""A study as a TOML file: the options of `oodbench run` with their values.

model = { "resnet@0" = "a.pt", "resnet@1" = "b.pt" }
in = "cifar10"
out = { near = "cifar100", far = ["svhn", "texture"] }
detectors = ["msp", "react+knn"]
limit = 1000
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

APART = ("config", "print-config", "dry-run", "quiet", "verbose")
"""Options that are about the file itself, or about one run of it."""


def _read(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        found = defaults(context.command, read_toml(path), str(path))
        context.default_map = {**(context.default_map or {}), **found}
    return path


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_read,
    metavar="FILE.toml",
    help="A study: a file of these options. Given options replace its values.",
)


def read_toml(path: Path) -> dict[str, Any]:
    """Returns what is in a TOML file.

    Raises:
        InputError: There is no such file, or it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}.") from error


def defaults(
    command: click.Command, content: Mapping[str, Any], file: str
) -> dict[str, Any]:
    """Returns the values of a study by the names of a command's parameters.

    Args:
        command: Its options are the keys.
        content: Texts, numbers, flags, lists of them, or tables such as
            `{far = ["svhn"]}`, which stands for `far=svhn`.
        file: Where the study comes from, for messages.

    Raises:
        InputError: There is no such option, or it takes no such value.
    """
    options = _options(command)
    found = {}
    for key, value in content.items():
        if key not in options:
            raise InputError(f"{file}: {unknown('key', key, options)}")
        option = options[key]
        if option.is_flag and not isinstance(value, bool):
            raise InputError(f"{file}: {key} is true or false, not {value!r}.")
        texts = [value] if option.is_flag else list(_texts(value))
        if isinstance(value, Mapping) and not option.multiple:
            raise InputError(f"{file}: {key} takes one value, not a table.")
        found[option.name or key] = (
            texts if option.multiple else value if option.is_flag else ",".join(texts)
        )
    return found


def written(context: click.Context, more: Mapping[str, Any]) -> str:
    """Returns a command's options as the text of a study.

    Args:
        context: The command with its values.
        more: Values by parameter that take the place of those that were not given.
    """
    import tomli_w

    values = {**context.params}
    for name, value in more.items():
        if context.get_parameter_source(name) == ParameterSource.DEFAULT:
            values[name] = value
    lines = {
        key: _plain(values[option.name or key])
        for key, option in _options(context.command).items()
    }
    return tomli_w.dumps(
        {key: value for key, value in lines.items() if value not in (None, [])}
    )


def _options(command: click.Command) -> dict[str, click.Option]:
    """Returns the options that a study may set, by their names without dashes."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    named = {max(each.opts, key=len).lstrip("-"): each for each in options}
    return {key: each for key, each in named.items() if key not in APART}


def _texts(value: object) -> Iterator[str]:
    """Yields a value as the command line writes it."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from (f"{name}={text}" for text in _texts(each))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    else:
        yield str(value)


def _plain(value: object) -> object:
    """Returns an option's value as TOML has it."""
    if isinstance(value, tuple | list):
        is_size = any(isinstance(each, int) for each in value)
        texts = [str(each) for each in value]
        return "x".join(texts) if is_size else texts
    return str(value) if isinstance(value, Path) else value

"""Sets of image files that a text file lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oodbench import Dataset, InputError, Shape, Split, SplitName


def listed_set(kind: str, argument: str, read: Callable[[Path], Split]) -> Dataset:
    """Returns the set of a list, all of it as the test split.

    Args:
        kind: The name of the plug-in.
        argument: The path of the list.
        read: Reads the list.

    Raises:
        InputError: There is no such file.
    """
    path = Path(argument).expanduser()
    if not argument or not path.is_file():
        raise InputError(f"There is no file {argument!r}; write {kind}:FILE.")

    def load(split: SplitName, shape: Shape) -> Split:
        with readable(path):
            return read(path)

    return Dataset(
        name=path.stem,
        load=load,
        role="unstated",
        place=path.resolve().with_suffix("").as_posix(),
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Makes an error of reading a text file one sentence."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read as a list ({error}).") from error


def existing(paths: Sequence[Path], source: Path) -> Sequence[Path]:
    """Returns paths that all lead to files.

    Raises:
        InputError: One does not, or there is none.
    """
    if not paths:
        raise InputError(f"{source} lists no images.")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"{source} lists {missing[0]}, and there is no such file ({len(missing)} "
            f"of {len(paths)} are missing); check the folder that its paths start from."
        )
    return paths

"""A JSON record with its array file: read and written as one, by several processes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError
from oodbench.base.files import Record, json_bytes, write_atomically

SCHEMA = 1
TRIES = 5
"""Times that a pair is read or written while another process replaces it."""


class DistrustedError(InputError):
    """A stored file is there, and its numbers must not be used."""


class NewerError(DistrustedError):
    """A newer oodbench wrote the file; it stays as it is."""


@dataclass(frozen=True)
class Pair:
    """The place of a record and of its arrays."""

    path: Path
    """Of the JSON record."""
    suffix: str
    """Of the array file, which has the record's name otherwise."""
    parts: tuple[str, ...]
    """Parts of the record whose keys end the names of the folders and the file."""

    @property
    def _array(self) -> Path:
        return self.path.with_suffix(self.suffix)

    def read(self) -> tuple[Record, bytes] | None:
        """Returns the record and the bytes of its arrays; None where there is no file.

        Both come from one write, even where another process replaces them meanwhile.
        The bytes are empty where the record holds a failure.

        Raises:
            DistrustedError: The file is damaged, or the record of something else.
            NewerError: A newer oodbench wrote it.
        """
        for _ in range(TRIES):
            text = _bytes(self.path)
            if text is None:
                return None
            record = self._record(text)
            if "failure" in record:
                return record, b""
            content = _bytes(self._array)
            if content is not None and _digest(content) == record["arrays"]["sha256"]:
                return record, content
            if _bytes(self.path) == text:  # nobody replaced the pair meanwhile
                break
        raise DistrustedError(
            f"{self.path} is damaged: {self._array.name} is missing or not what was "
            "stored; `oodbench run` computes it again."
        )

    def record(self) -> Record | None:
        """Returns the record; None where there is none that can be trusted."""
        try:
            found = self.read()
        except DistrustedError:
            return None
        return found[0] if found else None

    def read_or_set_aside(self) -> Record | None:
        """Returns the record; renames one that must not be used to NAME.damaged.

        Raises:
            NewerError: A newer oodbench wrote it.
        """
        for _ in range(TRIES):
            judged = self._text()
            try:
                found = self.read()
                return found[0] if found else None
            except NewerError:
                raise
            except DistrustedError:
                if self._set_aside(judged):
                    break
        return None

    def refuse_newer(self) -> None:
        """Checks that what is there may be replaced.

        Raises:
            NewerError: A newer oodbench wrote it.
        """
        if text := self._text():
            try:
                self._record(text)
            except NewerError:
                raise
            except DistrustedError:
                pass

    def write(self, content: bytes, record: Record) -> None:
        """Writes the arrays and then the record.

        Raises:
            InputError: The folder cannot be written to.
            NewerError: A newer oodbench wrote what is there.
        """
        self.refuse_newer()
        arrays = {"file": self._array.name, "sha256": _digest(content)}
        text = json_bytes({"schema": SCHEMA, **record, "arrays": arrays})
        for _ in range(TRIES):
            write_atomically(self._array, content)
            write_atomically(self.path, text)
            # Another process may have replaced the arrays before the record was there.
            if _bytes(self._array) == content:
                break

    def remove(self) -> None:
        """Removes the record and then the arrays."""
        self.path.unlink(missing_ok=True)
        self._array.unlink(missing_ok=True)

    def _record(self, text: bytes) -> Record:
        """Returns the record that a file holds."""
        try:
            record = json.loads(text)
            schema = record["schema"]
            if type(schema) is int and schema > SCHEMA:
                raise NewerError(
                    f"{self.path} was written by a newer oodbench (schema {schema}; "
                    f"this one reads {SCHEMA}) and stays as it is; update oodbench, or "
                    "name another folder with --results."
                )
            sound = schema == SCHEMA and isinstance(record.get("failure", ""), str)
            if "failure" not in record:
                arrays = record["arrays"]
                sound &= arrays["file"] == self._array.name
                sound &= isinstance(arrays["sha256"], str)
            in_place = self._is_in_place(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = in_place = False
        if sound and in_place:
            return record
        what = "is damaged" if not sound else "is the record of something else"
        raise DistrustedError(f"{self.path} {what}; `oodbench run` computes it again.")

    def _is_in_place(self, record: Any) -> bool:
        """Returns whether the record's keys are those of its folders and its file."""
        names = [*self.path.parts[-len(self.parts) : -1], self.path.stem]
        return all(
            name.endswith(f"-{record[part]['key'][:8]}")
            for name, part in zip(names, self.parts, strict=True)
        )

    def _text(self) -> bytes | None:
        """Returns the bytes of the record; None where there are none to be had."""
        try:
            return _bytes(self.path)
        except DistrustedError:
            return None

    def _set_aside(self, judged: bytes | None) -> bool:
        """Renames the record; returns False, and undoes it, where it was replaced."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            self.path.replace(aside)
            # Another process may have written a good record after this one was judged.
            replaced = aside.is_file() and aside.read_bytes() != judged
            if replaced:
                aside.replace(self.path)
        except FileNotFoundError:  # another process has renamed it already
            return True
        except OSError as error:
            raise InputError(
                f"Cannot rename {self.path}, which is damaged: {error.strerror}. "
                "Remove it, and run again."
            ) from error
        return not replaced


def _bytes(path: Path) -> bytes | None:
    """Returns what a file holds; None where there is none."""
    try:
        if not path.is_file() and (path.is_symlink() or path.exists()):
            # A pipe might never end.
            raise DistrustedError(f"{path} is no regular file.")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DistrustedError(f"{path} cannot be read: {error.strerror}.") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

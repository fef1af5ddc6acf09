"""Downloads a file over HTTP: continues where it broke off, waits, tries again."""

from __future__ import annotations

import html
import re
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin

from oodbench.base import progress

if TYPE_CHECKING:
    from requests import Response

TRIES = 4
"""Requests in a row that bring nothing new, before the address is given up."""
FIRST_WAIT = 1.0
"""Seconds before the second try; each later wait is twice as long."""
TIMEOUT = 30.0
"""Seconds without a byte."""
CHUNK = 2**16
MEGABYTE = 10**6
PLAIN = {"Accept-Encoding": "identity"}
"""What a server compresses on its own has another length."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP states that may be better at the next try."""
PAGE = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)


class DownloadError(Exception):
    """An address does not give the file; the text is the reason."""


def size_at(url: str) -> int | None:
    """Returns the bytes of the file at an address; None if the server does not say."""
    import requests

    try:
        with requests.get(url, headers=PLAIN, stream=True, timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            is_file = response.ok and not _is_html(response)
    except requests.RequestException:
        return None
    return int(length) if is_file and length is not None else None


class Download:
    """The download of one file from one address into `part`.

    Args:
        url: The address.
        part: Where the content goes. What is there is kept as the beginning.
        name: What progress calls the file.
        size: Bytes of the whole, if known.
        alike: Whether another request may continue an earlier one without proof that
            the server's file is the same. Only a checksum makes that safe.
    """

    def __init__(
        self, url: str, part: Path, name: str, *, size: int | None, alike: bool
    ) -> None:
        self.url = url
        self._part, self._name, self._size, self._alike = part, name, size, alike
        self._confirmed = False
        self._version = ""  # of the server's file, by which a later request continues

    def run(self) -> None:
        """Downloads the file.

        Raises:
            DownloadError: The address is wrong, or the connection breaks too often.
        """
        from requests import RequestException
        from urllib3.exceptions import NameResolutionError

        most, tries = self._length, 0
        while True:
            try:
                self._continue()
                return
            except RequestException as error:
                fault = _innermost(error)
                why = str(fault).partition("\n")[0]
                if isinstance(fault, NameResolutionError):  # no network, mostly
                    raise DownloadError(why) from error
            tries = 0 if self._length > most else tries + 1
            most = max(most, self._length)
            if tries == TRIES:
                raise DownloadError(why)
            time.sleep(FIRST_WAIT * 2 ** max(0, tries - 1))

    @property
    def _length(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _continue(self) -> None:
        """Requests what is missing, and appends it."""
        import requests

        start = self._length if self._alike or self._version else 0
        headers = {**PLAIN}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._version:
                headers["If-Range"] = self._version
        with requests.get(
            self.url, headers=headers, stream=True, timeout=TIMEOUT
        ) as response:
            if response.status_code == 416:  # nothing lies behind the start
                if response.headers.get("Content-Range") == f"bytes */{start}":
                    return
                self._part.unlink()
                raise requests.HTTPError("the server has less than is here")
            if response.status_code in PASSING:
                raise requests.HTTPError(_state(response))
            if not response.ok:
                raise DownloadError(_state(response))
            behind = response.headers.get("Content-Range", "")
            if response.status_code != 206 or not behind.startswith(f"bytes {start}-"):
                start = 0
            self._save(response, start)

    def _save(self, response: Response, start: int) -> None:
        tag = response.headers.get("ETag", "")
        weak = tag.startswith("W/")
        self._version = "" if weak else tag or response.headers.get("Last-Modified", "")
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        chunks = response.iter_content(CHUNK)
        chunk = next(chunks, b"")
        if start == 0 and (_is_html(response) or PAGE.match(chunk)):
            self._follow(chunk + b"".join(islice(chunks, 4)))
            return
        if self._size is not None and total not in (None, self._size):
            raise DownloadError(f"it has {total} bytes there, not {self._size}")
        with (
            progress.current() as watch,
            self._part.open("r+b" if start else "wb") as file,
        ):
            meter = _Meter(watch, f"{self._name}, MB", start, total)
            file.seek(start)
            file.truncate()
            while chunk:
                file.write(chunk)
                meter.add(len(chunk))
                chunk = next(chunks, b"")

    def _follow(self, page: bytes) -> None:
        """Sends the form in which Google Drive asks to confirm a large download."""
        text = page.decode("utf-8", "replace")
        form = re.search(r'<form[^>]*id="download-form"[^>]*action="([^"]+)"', text)
        if form and not self._confirmed:
            self._confirmed = True
            fields = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text)
            asked = f"{html.unescape(form[1])}?{urlencode(fields)}"
            self.url = urljoin(self.url, asked)
            self._continue()
            return
        if "quota" in text.lower() or "too many users" in text.lower():
            raise DownloadError("Google Drive lets nobody load it for about a day")
        raise DownloadError("a web page comes in its place")


class _Meter:
    """Tells progress whole megabytes, and the rate since the beginning."""

    def __init__(
        self, watch: progress.Watch, stage: str, start: int, total: int | None
    ) -> None:
        self._start = self._done = start
        self._began = time.monotonic()
        self._tell: progress.Tell = progress.silent
        if total is not None:
            self._tell = watch(stage, total // MEGABYTE)
        self._tell(start // MEGABYTE)

    def add(self, count: int) -> None:
        """Counts bytes."""
        before = self._done // MEGABYTE
        self._done += count
        seconds = max(time.monotonic() - self._began, 1e-3)
        rate = (self._done - self._start) / MEGABYTE / seconds
        self._tell(self._done // MEGABYTE - before, f"{rate:.1f} MB/s")


def _innermost(error: Exception) -> Exception:
    """Returns the error that caused all others, which says what happened."""
    parts = (*error.args, getattr(error, "reason", None))
    inner = next((part for part in parts if isinstance(part, Exception)), None)
    return _innermost(inner) if inner else error


def _state(response: Response) -> str:
    return f"the server answers {response.status_code} {response.reason}"


def _is_html(response: Response) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/html")

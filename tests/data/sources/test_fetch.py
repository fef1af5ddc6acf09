"""Files come whole and right, or one error says why: a server that does all wrong."""

import gzip
import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from collections import Counter
from contextlib import suppress

import pytest
from filelock import FileLock

from oodbench import InputError
from oodbench.base import progress
from oodbench.data.sources import download, fetch
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Source

CONTENT = bytes(range(256)) * 4096
HALF = len(CONTENT) // 2
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
FORM = """<!DOCTYPE html><form id="download-form" action="/whole" method="get">
<input type="hidden" name="id" value="1"><input type="hidden" name="confirm" value="t">
</form>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path says what goes wrong."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        kind = self.path.strip("/").partition("?")[0]
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.counts[kind] += 1
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, kind, self.missing)()

    def answer(self, content, *, status=200, claim=None, **headers):
        self.send_response(status)
        length = len(content) if claim is None else claim
        for name, value in {"Content-Length": length, **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)
        if length != len(content):
            self.close_connection = True

    def whole(self, content=CONTENT, end=None, **headers):
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start and start >= len(content):
            value = f"bytes */{len(content)}"
            self.answer(b"", status=416, Content_Range=value)
        elif start:
            value = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(content[start:], status=206, Content_Range=value, **headers)
        else:
            self.answer(content[:end], claim=len(content), **headers)

    def truncated_once(self):
        self.whole(end=HALF if self.server.counts["truncated_once"] == 1 else None)

    def tagged(self):
        self.whole(end=HALF, ETag='"1"')

    def always_truncated(self):
        self.answer(CONTENT[:HALF], claim=len(CONTENT))

    def ignores_range(self):
        self.answer(CONTENT)

    def fails_twice(self):
        if self.server.counts["fails_twice"] < 3:
            self.answer(b"busy", status=503)
        else:
            self.whole()

    def wrong(self):
        self.whole(content=CONTENT[:-1] + b"?")

    def short(self):
        self.whole(content=CONTENT[:-1])

    def page(self):
        self.answer(b"<!DOCTYPE html><p>Sign in", Content_Type="text/html")

    def page_called_data(self):
        self.answer(b"\n<HTML><p>Sign in")

    def form(self):
        self.answer(FORM.encode(), Content_Type="text/html; charset=utf-8")

    def quota(self):
        page = b"<html>Too many users have viewed or downloaded this file recently."
        self.answer(page, Content_Type="text/html")

    def served(self):
        self.whole(content=self.server.content)

    def missing(self):
        self.answer(b"", status=404)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("OODBENCH_OFFLINE", raising=False)
    monkeypatch.setattr(download, "FIRST_WAIT", 0)
    monkeypatch.setattr(fetch, "PATIENCE", 0.05)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.counts, server.asked, server.content = Counter(), [], b""
        server.daemon_threads = True
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of the set, which is not there yet."""
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "set"


@pytest.fixture
def get(server, home):
    """Fetches a file from paths of the server."""

    def get(*kinds, file="set/file.bin", checksum=MD5, **facts):
        urls = tuple(f"{server.url}/{kind}" for kind in kinds)
        return fetched(Source(file, urls, checksum=checksum, **facts))

    return get


def names(home):
    """Returns the names of the files that a user would see."""
    return {path.name for path in home.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("checksum", [MD5, ""])
@pytest.mark.parametrize(
    "kind",
    ["whole", "truncated_once", "tagged", "fails_twice", "ignores_range", "form"],
)
def test_the_file_arrives_whole(kind, checksum, get, home):
    path = get(kind, checksum=checksum)
    assert path == home / "file.bin"
    assert path.read_bytes() == CONTENT
    assert names(home) == {"file.bin", "file.bin.checksum.json"}


def test_only_what_is_missing_is_asked_for_again(get, server):
    get("truncated_once")
    assert server.asked == [
        ("/truncated_once", None),
        ("/truncated_once", f"bytes={HALF}-"),
    ]


def test_a_download_of_another_process_is_continued(get, server, home):
    home.mkdir(parents=True)
    (home / "file.bin.part").write_bytes(CONTENT[:10])
    assert get("whole").read_bytes() == CONTENT
    assert server.asked == [("/whole", "bytes=10-")]


@pytest.mark.parametrize("left", [b"other bytes", CONTENT[:-1] + b"?", 2 * CONTENT])
def test_the_beginning_of_another_file_does_no_harm(left, get, home):
    home.mkdir(parents=True)
    (home / "file.bin.part").write_bytes(left)
    assert get("whole").read_bytes() == CONTENT


def test_without_a_checksum_no_beginning_of_unknown_origin_is_used(get, server, home):
    home.mkdir(parents=True)
    (home / "file.bin.part").write_bytes(b"other bytes")
    assert get("whole", checksum="").read_bytes() == CONTENT
    assert server.asked == [("/whole", None)]


def test_a_finished_download_without_its_name_gets_it(get, home):
    home.mkdir(parents=True)
    (home / "file.bin.part").write_bytes(CONTENT)
    assert get("whole").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_sends_the_whole(get, home):
    home.mkdir(parents=True)
    (home / "file.bin.part").write_bytes(CONTENT[:10])
    assert get("ignores_range").read_bytes() == CONTENT


WRONG = {
    "missing": "404 Not Found",
    "always_truncated": "IncompleteRead",
    "wrong": "checksum md5:",
    "short": "checksum md5:",
    "page": "a web page comes in its place",
    "page_called_data": "a web page comes in its place",
    "quota": "Google Drive lets nobody load it",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_answer_is_one_error_and_no_file(kind, get, home):
    with pytest.raises(InputError, match=WRONG[kind]) as error:
        get(kind)
    assert "Put it from http://127.0.0.1:" in str(error.value)
    assert f"/{kind} into {home} by hand. Its checksum is {MD5}." in str(error.value)
    assert names(home) <= {"file.bin.part"}


@pytest.mark.parametrize("kind", WRONG)
def test_the_next_mirror_is_tried(kind, get):
    assert get(kind, "whole").read_bytes() == CONTENT


def test_every_mirror_is_named_when_all_fail(get):
    with pytest.raises(InputError, match=r"/missing: .*404.*; .*/page: a web page"):
        get("missing", "page")


def test_no_server_is_one_error(home, server):
    source = Source("set/file.bin", ("http://127.0.0.1:1/file.bin",))
    with pytest.raises(InputError, match=r"cannot be downloaded .*refused"):
        fetched(source)


def test_another_size_than_the_stated_one_is_refused(get, home):
    with pytest.raises(InputError, match=f"has {len(CONTENT)} bytes there, not 5"):
        get("whole", checksum="", size=5)
    assert names(home) == set()


@pytest.mark.parametrize(
    ("kind", "size"), [("whole", len(CONTENT)), ("page", None), ("missing", None)]
)
def test_the_server_is_asked_for_a_size_alone(kind, size, server):
    assert download.size_at(f"{server.url}/{kind}") == size
    assert download.size_at("http://127.0.0.1:1/") is None


def test_a_file_that_is_there_is_not_downloaded(get, server, home):
    home.mkdir(parents=True)
    (home / "file.bin").write_bytes(CONTENT)
    get("whole")
    assert server.asked == []


def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(get, home):
    home.mkdir(parents=True)
    (home / "file.bin").write_bytes(b"wrong")
    with pytest.raises(InputError, match=f"and the authors states {MD5}. Remove"):
        get("whole", stated_by="the authors")
    assert (home / "file.bin").read_bytes() == b"wrong"


def test_without_a_stated_checksum_the_first_one_counts(get, home):
    path = get("whole", checksum="")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="the record of its first use states sha256:"):
        get("whole", checksum="")


def test_a_file_that_changes_upstream_is_refused(get, home):
    get("whole", checksum="").unlink()
    with pytest.raises(InputError, match="the record of its first use states sha256:"):
        get("wrong", checksum="")
    assert "file.bin" not in names(home)


def test_offline_says_which_file_to_put_where(get, server, home, monkeypatch):
    monkeypatch.setenv("OODBENCH_OFFLINE", "1")
    message = rf"downloads are switched off. Put it from {server.url}/whole into {home}"
    with pytest.raises(InputError, match=message):
        get("whole")
    (home / "file.bin").write_bytes(CONTENT)
    assert get("whole").read_bytes() == CONTENT
    assert server.asked == []


def test_a_file_without_an_address_names_its_page(home):
    source = Source("set/file.bin", page="https://example.org/form")
    with pytest.raises(InputError, match=r"Put it from https://example.org/form into"):
        fetched(source)


def test_a_folder_that_cannot_be_made_is_one_error(get, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InputError, match=r"another data folder in .* OODBENCH_DATA"):
        get("whole")


def test_two_that_want_one_file_download_it_once(get, server, caplog):
    threads = [threading.Thread(target=get, args=["whole"]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.counts["whole"] == 1


def test_one_that_waits_says_so(get, server, home, caplog):
    home.mkdir(parents=True)
    lock = FileLock(home / ".file.bin.lock")
    lock.acquire()
    thread = threading.Thread(target=get, args=["whole"])
    thread.start()
    thread.join(0.2)
    assert not server.asked
    lock.release()
    thread.join()
    assert server.counts["whole"] == 1
    assert "Waiting for another process that fetches file.bin." in caplog.messages


def test_progress_counts_megabytes_and_tells_the_rate(get, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    get("whole")
    assert " MB/s" in capsys.readouterr().err


def zipped(members):
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members):
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link():
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped({entry: "/etc/passwd"})


GOOD = {"a/1.txt": b"one", "a/b/2.txt": b"two", "a/empty": b""}
HOSTILE = {
    "tar outside": (tarred([(member("../x"), b"1")]), "lead out of its folder"),
    "tar absolute": (tarred([(member("/x"), b"1")]), "lead out of its folder"),
    "tar drive": (tarred([(member("C:x"), b"1")]), "lead out of its folder"),
    "tar symlink": (
        tarred([(member("a", tarfile.SYMTYPE, "/etc"), b""), (member("a/x"), b"1")]),
        "link or device 'a'",
    ),
    "tar hard link": (tarred([(member("a", tarfile.LNKTYPE, "b"), b"")]), "link or"),
    "tar device": (tarred([(member("a", tarfile.CHRTYPE), b"")]), "link or device"),
    "tar pipe": (tarred([(member("a", tarfile.FIFOTYPE), b"")]), "link or device"),
    "tar bomb": (tarred([(member("a"), bytes(2**25))]), "far more bytes"),
    "tar of many": (tarred([(member("a"), b"")] * 3000), "far more files"),
    "zip outside": (zipped({"../x": b"1"}), "lead out of its folder"),
    "zip backslash": (zipped({"..\\x": b"1"}), "lead out of its folder"),
    "zip link": (zip_link(), "link or device 'link'"),
    "zip bomb": (zipped({"a": bytes(2**25)}), "far more bytes"),
    "truncated tar": (tarred([(member("a"), CONTENT)])[:-500], "cannot be unpacked"),
    "tar of a wrong sum": (
        gzip.compress(gzip.decompress(tarred([(member("a"), CONTENT)])))[:-8]
        + b"sum" * 3,
        "cannot be unpacked",
    ),
    "truncated zip": (zipped(GOOD)[:-10], "cannot be unpacked"),
    "no archive": (b"<?xml version='1.0'?><Error>", "cannot be unpacked"),
    "gzip of nothing": (gzip.compress(b"nothing"), "cannot be unpacked"),
}


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_leaves_nothing(case, checksum, get, server, home, tmp_path):
    server.content, message = HOSTILE[case]
    stated = "md5:" + hashlib.md5(server.content).hexdigest() if checksum else ""
    with pytest.raises(InputError, match=message):
        get("served", file="set/images.tar.gz", checksum=stated, unpack=True)
    assert names(home) <= {"images.tar.gz.checksum.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_unpacked_once(kind, get, server, home):
    server.content = zipped(GOOD)
    if kind == "tar":
        folders = [(member("./", tarfile.DIRTYPE), b"")]
        server.content = tarred(folders + [(member(n), c) for n, c in GOOD.items()])
    folder = get("served", file="set/images", checksum="", unpack=True)
    assert {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    } == GOOD
    (home / "images").unlink()
    assert get("served", file="set/images", checksum="", unpack=True) == folder
    assert server.counts["served"] == 1


def test_a_gzipped_file_is_unpacked(get, server):
    server.content = gzip.compress(CONTENT)
    folder = get("served", file="set/table.h5.gz", checksum="", unpack=True)
    assert (folder / "table.h5").read_bytes() == CONTENT


def test_an_archive_put_there_by_hand_is_unpacked(get, server, home):
    home.mkdir(parents=True)
    (home / "images").write_bytes(zipped(GOOD))
    folder = get("served", file="set/images", checksum="", unpack=True)
    assert (folder / "a" / "1.txt").read_bytes() == b"one"
    assert server.asked == []


def test_unpacking_that_broke_off_begins_anew(get, server, home):
    (home / "images.unpacking").mkdir(parents=True)
    (home / "images.unpacking" / "half").write_bytes(b"1")
    server.content = zipped(GOOD)
    folder = get("served", file="set/images", checksum="", unpack=True)
    assert {path.name for path in folder.iterdir()} == {"a"}

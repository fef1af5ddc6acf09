"""CIFAR and SVHN: the real download code, small files, a server on this machine."""

import functools
import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import platformdirs
import pytest
import scipy.io
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset

# torchvision states no filter for members of an archive, which Python 3.12 warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Python 3.14 will, by default, filter:DeprecationWarning"
)

SHAPE = Shape(3, 32, 32)
TRAIN, TEST = 100, 20
KINDS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def images_of(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


TRAIN_IMAGES, TEST_IMAGES = images_of(TRAIN, 0), images_of(TEST, 1)
TRAIN_LABELS, TEST_LABELS = np.arange(TRAIN) % 10, np.arange(TEST) % 10


def md5(content):
    return hashlib.md5(content).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; those called truncated break off in the middle."""

    def log_message(self, *arguments):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        end = len(content) // 2 if "truncated" in self.path else None
        outputfile.write(content[:end])


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # torchvision drops the connection that only looks for redirects


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Where the files of `tmp_path / "served"` can be had."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "served").mkdir()
    handler = functools.partial(Handler, directory=tmp_path / "served")
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The data folder, which is not there yet."""
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def cifar_files(kind):
    """Returns the files of an archive of CIFAR's kind, by name."""
    key = "labels" if kind is CIFAR10 else "fine_labels"

    def batch(images, labels):
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        return pickle.dumps({"data": rows, key: labels.tolist()}, protocol=2)

    names = [name for name, _ in kind.train_list]
    parts = np.array_split(np.arange(TRAIN), len(names))
    files = {
        name: batch(TRAIN_IMAGES[part], TRAIN_LABELS[part])
        for name, part in zip(names, parts, strict=True)
    }
    files[kind.test_list[0][0]] = batch(TEST_IMAGES, TEST_LABELS)
    files[kind.meta["filename"]] = pickle.dumps(
        {kind.meta["key"]: ["a class"]}, protocol=2
    )
    return files


def pack(folder, files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def serve_cifar(kind, address, tmp_path, monkeypatch, name="cifar.tar.gz"):
    files = cifar_files(kind)
    content = pack(kind.base_folder, files)
    (tmp_path / "served" / name).write_bytes(content)
    sums = {file: md5(part) for file, part in files.items()}
    monkeypatch.setattr(kind, "url", f"{address}/{name}")
    monkeypatch.setattr(kind, "tgz_md5", md5(content))
    for part in ("train_list", "test_list"):
        listed = [[file, sums[file]] for file, _ in getattr(kind, part)]
        monkeypatch.setattr(kind, part, listed)
    meta = {**kind.meta, "md5": sums[kind.meta["filename"]]}
    monkeypatch.setattr(kind, "meta", meta)


def serve_svhn(address, tmp_path, monkeypatch):
    listed = {}
    for part, images, labels in (
        ("train", TRAIN_IMAGES, TRAIN_LABELS),
        ("test", TEST_IMAGES, TEST_LABELS),
    ):
        file = f"{part}_32x32.mat"
        path = tmp_path / "served" / file
        tens = np.where(labels == 0, 10, labels)  # SVHN's own name for 0
        arrays = {"X": images.transpose(1, 2, 3, 0), "y": np.uint8(tens)[:, None]}
        scipy.io.savemat(path, arrays)
        listed[part] = [f"{address}/{file}", file, md5(path.read_bytes())]
    monkeypatch.setattr(SVHN, "split_list", listed)


@pytest.fixture(params=["cifar10", "cifar100", "svhn"])
def name(request, address, home, tmp_path, monkeypatch):
    """A set whose files are served."""
    if request.param == "svhn":
        serve_svhn(address, tmp_path, monkeypatch)
    else:
        serve_cifar(KINDS[request.param], address, tmp_path, monkeypatch)
    return request.param


def load(spec, split="test"):
    return open_dataset(spec).load(split, SHAPE)


def test_the_last_tenth_of_the_training_images_is_val(name):
    expected = {
        "train": (TRAIN_IMAGES[:90], TRAIN_LABELS[:90]),
        "val": (TRAIN_IMAGES[90:], TRAIN_LABELS[90:]),
        "test": (TEST_IMAGES, TEST_LABELS),
    }
    for split, (images, labels) in expected.items():
        found = load(name, split)
        assert np.array_equal(found.images, images)
        assert found.images.dtype == np.uint8
        assert found.images.flags.c_contiguous
        assert np.array_equal(found.labels, labels)
        assert found.labels.dtype == np.int64


def test_classes_are_chosen_and_renumbered(name):
    found = load(f"{name}:8-9")
    assert open_dataset(f"{name}:8-9").name == f"{name}:8-9"
    assert np.array_equal(found.images, TEST_IMAGES[TEST_LABELS >= 8])
    assert found.labels.tolist() == [0, 1, 0, 1]


def test_a_download_prints_nothing_to_standard_output(name, capfd):
    load(name)
    assert capfd.readouterr().out == ""


def test_files_that_are_there_need_no_network(name, tmp_path):
    load(name)
    for served in (tmp_path / "served").iterdir():
        served.unlink()
    assert len(load(name).images) == TEST


def test_an_archive_put_there_by_hand_needs_no_network(
    address, home, tmp_path, monkeypatch
):
    serve_cifar(CIFAR10, address, tmp_path, monkeypatch)
    home.mkdir()
    (tmp_path / "served" / "cifar.tar.gz").rename(home / CIFAR10.filename)
    assert len(load("cifar10").images) == TEST


def test_a_missing_file_brings_the_folder_to_put_it_in(name, home, tmp_path):
    for served in (tmp_path / "served").iterdir():
        served.unlink()
    with pytest.raises(InputError, match=f"HTTPError: .* into {home} by hand"):
        load(name)


def test_no_network_brings_the_folder_to_put_the_file_in(home, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:1/cifar.tar.gz")
    message = f"URLError: .* Put cifar-10-python.tar.gz into {home} by hand"
    with pytest.raises(InputError, match=message):
        load("cifar10")


@pytest.mark.parametrize("fault", ["truncated", "altered"])
def test_a_broken_download_is_set_aside(fault, address, home, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        serve_cifar(CIFAR10, address, tmp_path, broken, name=f"{fault}.tar.gz")
        if fault == "altered":
            broken.setattr(CIFAR10, "tgz_md5", "0" * 32)
        with pytest.raises(
            InputError, match=r"checksum .* now cifar-10-python.tar.gz.broken"
        ):
            load("cifar10")
    assert [path.name for path in home.iterdir()] == [f"{CIFAR10.filename}.broken"]
    serve_cifar(CIFAR10, address, tmp_path, monkeypatch)
    assert len(load("cifar10").images) == TEST


def test_a_broken_file_is_downloaded_anew(name, home, tmp_path):
    load(name)
    for path in [path for path in home.rglob("*") if path.is_file()]:
        path.write_bytes(b"broken")
    assert np.array_equal(load(name).images, TEST_IMAGES)


def test_a_data_folder_that_cannot_be_made_is_told(home):
    home.write_text("a file")
    with pytest.raises(InputError, match=f"FileExistsError: .* into {home} by hand"):
        load("cifar10")


def test_files_are_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("OODBENCH_DATA", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda app: str(tmp_path / app))
    (tmp_path / "oodbench").mkdir()
    (tmp_path / "oodbench" / "data").write_text("a file")
    place = tmp_path / "oodbench" / "data"
    with pytest.raises(InputError, match=f"into {place} by hand"):
        load("cifar10")


def test_a_tilde_in_the_environment_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setenv("OODBENCH_DATA", "~/sets")
    with pytest.raises(InputError, match="into /dev/null/sets by hand"):
        load("cifar10")


def test_the_cifars_are_near_each_other_and_far_from_house_numbers():
    inside = open_dataset("cifar10")
    assert open_dataset("cifar100").relative_to(inside).role == "near"
    assert (
        open_dataset("cifar10:8-9").relative_to(open_dataset("cifar10:0-7")).role
        == "near"
    )
    assert open_dataset("svhn").relative_to(inside).role == "far"


@pytest.mark.parametrize("spec", ["cifar10:10", "cifar100:100", "svhn:10"])
def test_classes_that_do_not_exist_are_refused(spec):
    with pytest.raises(InputError, match="must rise and stay within"):
        open_dataset(spec)

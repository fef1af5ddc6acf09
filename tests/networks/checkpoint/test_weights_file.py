"""A file of weights is read as data, whatever it holds."""

import argparse
import contextlib
import hashlib
import io
import os
import pickle
import random
import struct
import sys
import warnings
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from oodbench import InputError
from oodbench.networks.checkpoint import weights_file

LEGACY = {"_use_new_zipfile_serialization": False}
FORMATS = pytest.mark.parametrize("format", [{}, LEGACY], ids=["zip", "legacy"])


class Touch:
    """Unpickled as code, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


def state():
    return {"conv.weight": torch.randn(4, 3, 3, 3), "conv.bias": torch.arange(4.0)}


def saved(content, **format):
    buffer = io.BytesIO()
    torch.save(content, buffer, **format)
    return buffer.getvalue()


def zipped(pickled, **settings):
    """An archive as torch.save writes it, around a pickle written by hand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **settings) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", struct.pack("f", 1.0))
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def rewritten(data, **changes):
    """The archive with the content of some members changed."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in old.namelist():
            change = changes.get(name.rpartition("/")[2].replace(".", "_"))
            new.writestr(name, old.read(name) if change is None else change)
    return buffer.getvalue()


def refusal(path, data=None):
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        weights_file.read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# --- what is read


@FORMATS
def test_read_returns_what_torch_save_was_given_and_the_hash_of_the_file(path, format):
    tensors = state()
    data = saved({"state_dict": tensors, "epoch": 3}, **format)
    path.write_bytes(data)
    file = weights_file.read(path)
    assert file.content["epoch"] == 3
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.metadata == {}
    for name, tensor in tensors.items():
        torch.testing.assert_close(file.content["state_dict"][name], tensor)


def test_safetensors_come_with_their_metadata_under_any_suffix(path):
    tensors = state()
    path.write_bytes(safetensors.torch.save(tensors, {"card": "é"}))
    file = weights_file.read(path)
    assert file.metadata == {"card": "é"}
    torch.testing.assert_close(file.content, tensors)


@pytest.mark.parametrize("spaces", range(8, 264, 8))
def test_safetensors_are_known_whatever_the_length_of_their_header(path, spaces):
    # A length of 128, 384 … begins with the byte that pickles begin with.
    path.write_bytes(safetensors.torch.save(state(), {"card": " " * spaces}))
    assert list(weights_file.read(path).content) == ["conv.bias", "conv.weight"]


@FORMATS
def test_ordinary_company_of_weights_is_accepted(path, format):
    shared = torch.randn(6, 4)
    content = {
        "state_dict": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict(),
        "tied": [shared, shared.t(), shared[2:], shared[:, 1]],
        "half": torch.ones(3, dtype=torch.float16),
        "bfloat": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 7),
        "scalar": torch.tensor(2),
        "parameter": nn.Parameter(torch.ones(2)),
        "scheduler": {"milestones": Counter([30, 30, 60]), "base_lrs": [0.1, -1e300]},
        "facts": (None, True, -(2**70), "text", torch.float16, torch.Size([1, 2])),
        "device": torch.device("cuda:3"),
        "ordered": OrderedDict(a=1),
        "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    path.write_bytes(saved(content, **format))
    read = weights_file.read(path).content
    assert list(read) == list(content)
    torch.testing.assert_close(read["tied"], content["tied"])
    torch.testing.assert_close(read["channels_last"], content["channels_last"])
    assert read["facts"] == content["facts"]
    assert read["scheduler"] == content["scheduler"]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.uint16])
def test_young_dtypes_are_accepted(path, dtype):
    path.write_bytes(saved({"w": torch.ones(3).to(dtype)}))
    assert weights_file.read(path).content["w"].float().tolist() == [1, 1, 1]


# --- what is no file of weights


def test_a_missing_file_a_folder_and_a_pipe_are_told_apart(path, tmp_path):
    assert "There is no file" in refusal(path)
    assert "is a folder" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert "not a regular file" in refusal(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Quota exceeded", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (random.Random(1).randbytes(500), "neither safetensors nor"),
        (b"PK\x03\x04" + bytes(100), "is cut short"),
        (b"\x80\x02}.", "a pickle that torch.save did not write"),
        ((2**40).to_bytes(8, "little") + b'{"a":1}', "is cut short"),
        ((2**60).to_bytes(8, "little") + b'{"a":1}', "neither safetensors nor"),
        ((7).to_bytes(8, "little") + b'{"a":1}', "is damaged"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value.replace(" ", "-"),
)
def test_other_files_are_named_for_what_they_are(path, data, words):
    assert words in refusal(path, data)


def test_a_zip_archive_of_something_else_is_named(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("arr_0.npy", "x")
    assert "without weights" in refusal(path, buffer.getvalue())


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_truncated_file_is_refused(path, kind, tenths):
    data = {
        "zip": saved(state()),
        "legacy": saved(state(), **LEGACY),
        "safetensors": safetensors.torch.save(state()),
    }[kind]
    assert "cut short" in refusal(path, data[: len(data) * tenths // 10])


# --- what would run code


@FORMATS
def test_a_payload_is_named_and_not_run(path, tmp_path, format):
    data = saved({"w": torch.ones(1), "x": Touch(tmp_path / "touched")}, **format)
    assert f"{os.name}.system" in refusal(path, data)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_payload_in_a_plain_pickle_is_not_run(path, tmp_path, protocol):
    refusal(path, pickle.dumps(Touch(tmp_path / "touched"), protocol))
    assert not (tmp_path / "touched").exists()


@FORMATS
def test_a_payload_in_another_protocol_is_not_run(path, tmp_path, format):
    data = saved(Touch(tmp_path / "touched"), pickle_protocol=4, **format)
    assert "the operation" in refusal(path, data)
    assert not (tmp_path / "touched").exists()


@FORMATS
def test_company_that_is_code_is_named_with_the_way_out(path, format):
    message = refusal(path, saved({"args": argparse.Namespace(lr=1)}, **format))
    assert "argparse.Namespace" in message
    assert "torch.save(model.state_dict(), path)" in message


@FORMATS
def test_a_pickled_module_is_named(path, format):
    message = refusal(path, saved(nn.Linear(2, 2), **format))
    assert "a whole pickled module" in message
    assert "torch.nn.modules.linear.Linear" in message


def test_torchscript_is_named_and_not_run(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)
    assert "a TorchScript archive" in refusal(path)


def test_an_exported_program_is_refused_before_its_payload_could_run(path, tmp_path):
    # torch.export.load falls back to a full unpickling of this member.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/models/model.json", "{}")
        payload = saved(Touch(tmp_path / "touched"))
        archive.writestr("model/data/sample_inputs/model.pt", payload)
        archive.writestr("model/archive_format", "pt2")
    assert "a torch.export archive" in refusal(path, buffer.getvalue())
    assert not (tmp_path / "touched").exists()


# --- what would take the memory or the interpreter


@FORMATS
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse tensors"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse tensors"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.quint8), "quant"),
        (lambda: torch.ones(2, device="meta"), "meta tensors"),
        (
            lambda: torch.zeros(1).expand(10**6, 10**5),
            "repeats or exceeds the 1 values",
        ),
    ],
    ids=["coo", "csr", "quantised", "meta", "expanded"],
)
def test_tensors_that_are_no_plain_numbers_are_refused(path, build, words, format):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells that these kinds are in beta
        data = saved({"w": build()}, **format)
    assert len(data) < 4000
    assert words in refusal(path, data)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(path):
    data = zipped(bytes(10**7), compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 20_000
    assert "compressed" in refusal(path, data)


def test_a_member_that_declares_more_than_the_file_holds_is_refused(path):
    data = bytearray(zipped(b"\x80\x02}."))
    header = data.index(b"PK\x01\x02")
    data[header + 20 : header + 28] = struct.pack("<II", 2**31, 2**31)
    assert "declares 2147" in refusal(path, data)


def test_a_legacy_file_that_declares_more_than_it_holds_is_refused(path):
    data = saved({"w": torch.zeros(300)}, **LEGACY)
    few, many = b"M" + struct.pack("<H", 300), b"J" + struct.pack("<i", 2**30)
    many = data.replace(few, many, 1)  # the number that the storage declares
    assert "declares 4294967296 bytes" in refusal(path, many)


def test_a_legacy_file_with_a_storage_that_it_does_not_list_is_refused(path):
    data = saved({"w": torch.zeros(3)}, **LEGACY)
    key = data[data.rindex(b"]q") :]
    unlisted = data[: -len(key)] + b"]q\x00." + key[key.index(b".") + 1 :]
    assert "list of storages" in refusal(path, unlisted)


def test_two_members_of_one_name_are_refused(path):
    buffer = io.BytesIO(zipped(b"\x80\x02}."))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("archive/DATA.pkl", b"\x80\x02]K\x01a.")
    assert "two parts of one name" in refusal(path, buffer.getvalue())


TAIL = struct.Struct("<4s4H2LH")  # the end of the central directory


def test_pytorch_reads_the_archive_that_was_checked(path):
    # Two archives in one file: Python's reader takes the directory before the end,
    # and another reader may take the offset that the end declares.
    hidden, seen = zipped(b"\x80\x02]K\x01a."), zipped(b"\x80\x02}.")
    both = hidden + seen
    *head, size, _, comment = TAIL.unpack(both[-TAIL.size :])
    hidden_offset = TAIL.unpack(hidden[-TAIL.size :])[6]
    tail = TAIL.pack(*head, size, hidden_offset, comment)
    path.write_bytes(both[: -TAIL.size] + tail)
    with contextlib.suppress(InputError):
        assert weights_file.read(path).content == {}


def test_a_misdirected_zip64_locator_harms_nobody(path):
    data = zipped(b"\x80\x02}.")
    for place in (0, 7, 2**31, 2**63, len(data) - TAIL.size):
        locator = b"PK\x06\x07" + struct.pack("<LQL", 0, place, 1)
        path.write_bytes(data[: -TAIL.size] + locator + data[-TAIL.size :])
        with contextlib.suppress(InputError):
            assert weights_file.read(path).content == {}


def tensor(*, values=1, size=b"K\x01\x85", stride=b"K\x01\x85"):
    """A pickled tensor on the storage 0, which has one value of four bytes."""
    count = b"J" + struct.pack("<i", values)
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000"
    storage += b"X\x03\0\0\0cpu" + count + b"tQ"
    rest = b"K\0" + size + stride + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest


def listed(*items):
    return zipped(b"\x80\x02](" + b"".join(items) + b"e.")


def test_a_storage_larger_than_its_part_is_refused(path):
    assert "declares 40 bytes and holds 4" in refusal(path, listed(tensor(values=10)))


def test_a_storage_of_two_sizes_is_refused(path):
    data = listed(tensor(), tensor(values=0, size=b"K\0\x85"))
    assert "declares the storage '0' in two ways" in refusal(path, data)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (b"(" + b"K\x01" * 10**5 + b"t", "of 100000 dimensions"),
        (b"J\xff\xff\xff\xff\x85", "a negative size"),
    ],
    ids=["many", "negative"],
)
def test_dimensions_that_no_weights_have_are_refused(path, size, words):
    assert words in refusal(path, listed(tensor(size=size, stride=size)))


def test_many_views_of_one_storage_are_refused(path):
    values = torch.zeros(10**5)
    assert "share the" in refusal(path, saved({str(n): values[n:] for n in range(20)}))
    path.write_bytes(saved({str(n): values[n:] for n in range(3)}))
    assert len(weights_file.read(path).content) == 3


@pytest.mark.slow
def test_a_pickle_of_millions_of_steps_is_refused(path):
    data = zipped(b"\x80\x02](" + b"N" * 2_100_000 + b"e.")
    assert "more than 2000000 steps" in refusal(path, data)


def test_an_archive_of_many_parts_is_refused(path):
    directory = b"PK\x01\x02" + bytes(42)
    data = zipped(b"\x80\x02}.")
    assert "more than 200000 parts" in refusal(path, data + directory * 200_001)


def test_a_safetensors_header_of_many_dimensions_or_bytes_is_refused(path):
    def file(text):
        return len(text).to_bytes(8, "little") + text.encode() + bytes(4)

    shape = ",".join(["1"] * 10**5)
    header = f'{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}'
    assert "16 dimensions" in refusal(path, file(header))
    assert "header of" in refusal(path, file("{" + " " * 2**24 + "}"))


@FORMATS
@pytest.mark.parametrize(
    "value", [{1, 2}, b"abc", bytearray(b"abc"), bytearray(), 1 + 2j, {(1, 2): {3}}]
)
def test_plain_values_of_the_weights_only_reader_are_data(path, value, format):
    path.write_bytes(saved({"state_dict": state(), "x": value}, **format))
    assert weights_file.read(path).content["x"] == value


@pytest.mark.parametrize(
    "call",
    [
        b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R",
        b"c__builtin__\nset\nX\x01\0\0\0a\x85R",
        b"c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0hex\x86R",
        b"c__builtin__\ncomplex\nX\x01\0\0\x001\x85R",
    ],
)
def test_plain_values_are_made_only_as_torch_save_writes_them(path, call):
    assert "with what torch.save does not write" in refusal(
        path, zipped(b"\x80\x02" + call + b".")
    )


def test_a_key_nested_a_million_deep_is_refused(path):
    # Its hash overflows the stack of the interpreter inside torch.load.
    assert "nests tuples" in refusal(
        path, zipped(b"\x80\x02}()" + b"\x85" * 10**6 + b"K\x01u.")
    )


def test_lists_nested_deep_harm_nobody(path):
    path.write_bytes(zipped(b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."))
    assert isinstance(weights_file.read(path).content, list)


def test_a_tensor_cannot_be_altered_after_it_was_checked(path):
    storage = (
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu"
    )
    storage += b"K\x01tQ"
    args = b"K\0K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + args
    path.write_bytes(zipped(b"\x80\x02" + tensor + b"."))
    assert weights_file.read(path).content.tolist() == [1.0]
    size = b"J" + struct.pack("<i", 2**30)
    state = b"(" + storage + b"K\0" + size + b"\x85K\0\x85t"
    altered = zipped(b"\x80\x02" + tensor + state + b"b.")
    assert "_rebuild_tensor_v2" in refusal(path, altered)


@pytest.mark.parametrize(
    "call",
    [
        b"ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R",
        b"c__builtin__\nfrozenset\n]\x85R",
    ],
    ids=["storage", "frozenset"],
)
def test_calls_that_no_state_dict_needs_are_refused(path, call):
    assert "asks for more than weights" in refusal(
        path, zipped(b"\x80\x02" + call + b".")
    )


def test_one_flipped_bit_in_an_archive_is_found(path):
    data = bytearray(saved({"w": torch.full((100,), 1.5)}))
    data[data.index(struct.pack("3f", 1.5, 1.5, 1.5)) + 6] ^= 1
    assert "cannot be read (Bad CRC-32" in refusal(path, data)


# --- anything at all


def mutated(data, chance):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0 | 1:
                data[at] = chance.randrange(256)
            case 2:
                data[at : at + chance.randrange(1, 9)] = b""
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 4:
                source = chance.randrange(len(data))
                data[at : at + 8] = data[source : source + 8]
        data = data or bytearray(1)
    return bytes(data)


def peak_megabytes():
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def test_mutated_files_are_read_or_refused_and_take_no_memory(path):
    content = {"state_dict": nn.BatchNorm2d(3).state_dict(), "epoch": (1, [2], {3: 4})}
    whole = saved(content)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        pickled = archive.read("archive/data.pkl")
    legacy = saved(content, **LEGACY)
    head = legacy.rindex(b"e.")
    tensors = safetensors.torch.save(nn.BatchNorm2d(3).state_dict(), {"a": "b"})
    kinds = [
        lambda chance: mutated(whole, chance),
        # With right checksums, so that the pickles themselves are read.
        lambda chance: rewritten(whole, data_pkl=mutated(pickled, chance)),
        lambda chance: mutated(legacy[:head], chance) + legacy[head:],
        lambda chance: mutated(tensors, chance),
    ]
    before = peak_megabytes()
    outcomes = Counter()
    for seed in range(800):
        chance = random.Random(seed)
        path.write_bytes(kinds[seed % len(kinds)](chance))
        try:
            weights_file.read(path)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert outcomes["read"] > 40
    assert outcomes["refused"] > 400
    assert peak_megabytes() - before < 200


def test_what_is_read_is_hashed_though_the_file_changes_meanwhile(path, monkeypatch):
    good = saved(state())
    path.write_bytes(good)
    build = weights_file._build

    def swap(data):
        path.write_bytes(b"something else")
        return build(data)

    monkeypatch.setattr(weights_file, "_build", swap)
    assert weights_file.read(Path(path)).sha256 == hashlib.sha256(good).hexdigest()

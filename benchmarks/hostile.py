"""Feeds hostile files to whatever reads files, and prints what came of it.

    python benchmarks/hostile.py [--files 10000] [--seed 0]

Checkpoints and stored results are flipped, cut, spliced, grafted with code, nested
and blown up; half of the damaged arrays get a record with the right hash. Each is then
read as a user's command would read it. Only an answer or an InputError is right:
nothing may be run, nothing else raised, and memory must stay bounded.
"""

import argparse
import collections
import copy
import hashlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import struct
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

import oodbench
from oodbench import InputError, Shape, load_network
from oodbench.networks.architectures.cnn import CNN
from oodbench.networks.checkpoint.card import KEY
from oodbench.results import opened, stale
from oodbench.results.store import Store

HUGE = [0, -1, 1 << 31, 1 << 63, 10**400, 1e308, float("nan"), float("inf"), -0.0]
ODD = [None, True, "", "x" * 100_000, "\x00\x1b[31m", "\ud800", [], {}, [[]], {"a": {}}]


class Payload:
    """Makes a file when somebody unpickles it."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


# --- bytes


def flip(rng, data, others):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_early(rng, data, others):
    """Where headers and pickles are."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 2, 4])):
        data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
    return bytes(data)


def cut(rng, data, others):
    return data[: rng.randrange(len(data))]


def splice(rng, data, others):
    other = rng.choice(others)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def repeat(rng, data, others):
    a, b = sorted(rng.randrange(len(data)) for _ in "ab")
    return data[:b] + data[a:b] * rng.choice([1, 2, 50]) + data[b:]


def insert_number(rng, data, others):
    place = rng.randrange(len(data))
    number = rng.choice([0, 1, 255, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1])
    size = rng.choice([4, 8])
    packed = (number % (1 << 8 * size)).to_bytes(size, "little")
    return data[:place] + packed + data[place + size :]


BYTES = (flip, flip, flip_early, flip_early, cut, splice, repeat, insert_number)


# --- checkpoints


def checkpoints(canary):
    """Returns sound and hostile files, which mutation starts from."""
    tensors = {"a.weight": torch.randn(4, 3), "a.bias": torch.zeros(4)}
    bundled = (
        Path(oodbench.__file__).parent
        / "networks"
        / "bundled"
        / "ce-digits.safetensors"
    )
    files = [bundled.read_bytes(), safetensors.torch.save(tensors, {"a": "b"})]
    for legacy in (False, True):
        for content in (tensors, {"model": tensors, "step": 3, "lr": [0.1, {"x": 1}]}):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
            files.append(buffer.getvalue())
    grafts = [
        pickle.dumps({"a": Payload(canary)}, protocol=2),
        pickle.dumps([tensors, Payload(canary)], protocol=4),
        b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".",
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x02X\xff\xff\xff\x7f" + b"a.",
        b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"a.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
    ]
    files += grafts
    files += [graft(files[2], content) for content in grafts]
    files += [graft(files[2], content) for content in hostile_pickles()]
    files += list(hostile_archives(files[2]))
    files += [header(text) for text in hostile_headers()]
    for card in hostile_cards():
        files.append(safetensors.torch.save(tensors, {KEY: card}))
    return [*files, wide_network()]


def graft(archive, content):
    """Returns a torch archive whose pickle is another."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for member in old.infolist():
            is_pickle = member.filename.endswith("data.pkl")
            new.writestr(member.filename, content if is_pickle else old.read(member))
    return buffer.getvalue()


def header(text):
    data = text.encode()
    return len(data).to_bytes(8, "little") + data + bytes(64)


def hostile_headers():
    yield '{"a":' + "[" * 200_000 + "]" * 200_000 + "}"
    yield '{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,64]}}'
    yield '{"a":{"dtype":"F32","shape":[4,4],"data_offsets":[0,18446744073709551615]}}'
    yield '{"__metadata__":{"oodbench":"' + "[" * 100_000 + '"}}'
    many = ",".join(["1"] * 1_000_000)
    yield f'{{"a":{{"dtype":"F32","shape":[{many}],"data_offsets":[0,4]}}}}'
    empty = '"dtype":"F32","shape":[0],"data_offsets":[0,0]'
    yield "{" + ",".join(f'"{n}":{{{empty}}}' for n in range(250_000)) + "}"
    yield "{" + " " * 90_000_000 + "}"


def hostile_pickles():
    """Pickles of few bytes that build much, or of many steps."""
    dictionary = b"ccollections\nOrderedDict\n)R"

    def tensor(count, size, stride, rest=b""):
        storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000"
        storage += b"X\x03\0\0\0cpu" + count + rest + b"tQ"
        rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0"
        return rebuilt + size + stride + b"\x89" + dictionary + b"tR"

    one, huge = b"K\x01", b"J\xff\xff\xff\x7f"
    minus = b"J\xff\xff\xff\xff"
    yield b"\x80\x02" + tensor(huge, huge + b"\x85", one + b"\x85") + b"."
    yield b"\x80\x02" + tensor(b"K\x0c", huge + b"\x85", b"K\0\x85") + b"."
    yield b"\x80\x02" + tensor(b"K\x0c", minus + b"\x85", one + b"\x85") + b"."
    yield b"\x80\x02" + tensor(b"K\x0c", one + b"\x85", minus + b"\x85") + b"."
    many = b"(" + one * 1_000_000 + b"t"
    yield b"\x80\x02" + tensor(b"K\x0c", many, many) + b"."
    whole = tensor(b"K\x0c", b"K\x0c\x85", one + b"\x85")
    yield b"\x80\x02](" + whole * 50_000 + b"e."
    two = whole + tensor(huge, one + b"\x85", one + b"\x85")
    yield b"\x80\x02](" + two + b"e."
    view = b"(X\x01\0\0\x001K\0K\x01t"
    yield b"\x80\x02" + tensor(b"K\x0c", one + b"\x85", one + b"\x85", view) + b"."
    yield b"\x80\x02](" + b"]" * 10_000_000 + b"e."
    yield b"\x80\x02](" + b")" * 10_000_000 + b"e."
    yield b"\x80\x02](" + b"}" * 3_900_000 + b"e."
    yield b"\x80\x02c__builtin__\nbytearray\n" + huge + b"\x85R."
    yield b"\x80\x02c__builtin__\nset\n](" + one * 1_000_000 + b"e\x85R."
    yield b"\x80\x02}(" + b")\x85" * 30 + b"K\x01u."


def hostile_archives(sound):
    """Archives that two readers may read differently."""
    tail = struct.Struct("<4s4H2LH")
    other = graft(sound, b"\x80\x02cposix\nsystem\nX\x01\0\0\0a\x85R.")
    for first, second in ((sound, other), (other, sound)):
        fields = list(tail.unpack(second[-tail.size :]))
        for offset in (tail.unpack(first[-tail.size :])[6], 0, len(first), 2**32 - 1):
            fields[6] = offset
            yield first + second[: -tail.size] + tail.pack(*fields)
        yield first + second
        yield second[: -tail.size] + first
    for place in (0, 7, len(sound) // 2, 2**31, 2**62, 2**64 - 1):
        locator = b"PK\x06\x07" + struct.pack("<LQL", 0, place, 1)
        yield sound[: -tail.size] + locator + sound[-tail.size :]
        end = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, *[place] * 4)
        at = len(sound) - tail.size
        locator = b"PK\x06\x07" + struct.pack("<LQL", 0, at, 1)
        yield sound[: -tail.size] + end + locator + sound[-tail.size :]
    yield sound + (b"PK\x01\x02" + bytes(42)) * 1_000_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        for number in range(100_000):
            archive.writestr(f"archive/data/{number}", b"")
    yield buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(400_000_000))
    yield buffer.getvalue()


def hostile_cards():
    many = [1] * 1_000_000
    yield "[" * 100_000
    for card in (
        {"architecture": {"name": "mlp", "inputs": [10**9], "classes": 10**9}},
        {"architecture": {"name": "mlp", "inputs": [3], "classes": 2, "hidden": many}},
        {"architecture": {"name": "jem_wrn", "depth": 10**9}},
        {"architecture": {"name": "jem_wrn", "stages": 10**9}},
        {"architecture": {"name": "jem_wrn", "width": 1 << 70}},
        {"architecture": {"name": {}}, "shape": [1, 8, 8], "mean": 3, "std": "x"},
        {"architecture": [], "shape": None},
        {"architecture": {"name": "mlp"}, "shape": [1, 10**9, 10**9], "mean": [0]},
        {"architecture": {"name": "mlp", "inputs": [10**9] * 10**6, "classes": 2}},
        {"architecture": {"name": "mlp", "inputs": [3], "classes": 2, "hidden": 7}},
        {"architecture": {"name": "mlp", "inputs": [3], "classes": 2, "hidden": "a"}},
        {"architecture": {"name": "cnn", "inputs": [1, 8, 8], "classes": 10**6}},
        {"architecture": {"name": "jem_wrn", "depth": 994, "width": 10**6}},
        {"architecture": {"name": "jem_wrn", "norm": [], "activation": {}}},
        {"architecture": {"factory": "os:system(1)"}},
    ):
        images = {"shape": [3, 1, 1], "mean": [0.5], "std": [0.5]}
        yield json.dumps(images | card)


def wide_network():
    """Returns a file of few bytes whose network would fill all memory."""
    cnn = CNN((1, 8, 8), classes=2, width=64)
    architecture = {"name": "cnn", "inputs": [1, 8, 8], "classes": 2, "width": 64}
    card = {"architecture": architecture, "shape": [1, 4096, 4096]}
    text = json.dumps(card | {"mean": [0.5], "std": [0.5]})
    return safetensors.torch.save(cnn.state_dict(), {KEY: text})


def read_checkpoint(path):
    load_network(path, shape=Shape(1, 8, 8))


# --- stored results


def make_results(folder):
    watched = {"models": ["ce-digits"], "limit": 24, "results": folder}
    oodbench.run(out=["digits:8-9"], detectors=["energy", "pixel_stats"], **watched)


def mutate_result(rng, path, others):
    """Writes a damaged file; damaged arrays mostly with a hash that fits."""
    data = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.7:
        path.write_text(mutate_json(rng, data), errors="surrogatepass")
        return
    if path.suffix != ".json" and rng.random() < 0.5:
        changed = hostile_array(rng, path.suffix)
    else:
        changed = rng.choice(BYTES)(rng, data, others)
    path.write_bytes(changed)
    record = path.with_suffix(".json")
    if path.suffix != ".json" and rng.random() < 0.8:
        text = json.loads(record.read_bytes())
        text["arrays"]["sha256"] = hashlib.sha256(changed).hexdigest()
        record.write_text(json.dumps(text))


def mutate_json(rng, data):
    if rng.random() < 0.05:
        deep = rng.choice(["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "1e999"])
        return f'{{"schema": 1, "set": {deep}'
    record = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, key = rng.choice(list(leaves(record)))
        deed = rng.random()
        if deed < 0.2 and isinstance(place, dict):
            del place[key]
        elif deed < 0.3:
            place[key] = rng.choice(
                ["../../x", "/dev/zero", "/etc/passwd", ".", "a\0b"]
            )
        else:
            place[key] = copy.deepcopy(rng.choice(HUGE + ODD))
    return json.dumps(record)


def leaves(tree):
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from leaves(value)


def hostile_array(rng, suffix):
    arrays = [
        np.zeros((24, 3)), np.zeros(0), np.array(1.5), np.full(24, np.nan),
        np.full(24, 1e308), np.arange(24), np.zeros(24, complex), np.array(["x"] * 24),
        np.zeros(23), np.zeros(24, [("a", float)]), np.zeros(24, "M8[s]"),
        np.zeros(5000),
        np.zeros(24, np.float16), np.full(24, -(1 << 63)), np.full(24, 1 << 62),
    ]  # fmt: skip
    buffer = io.BytesIO()
    if suffix == ".npy":
        if rng.random() < 0.3:
            shape = rng.choice(
                ["(10000000000000,)", "(-1,)", "(1000000000,)", "x", "()"]
            )
            descr = rng.choice(["<f8", "|O", "<U99999999", "|V0"])
            text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n"
            size = len(text).to_bytes(2, "little")
            return b"\x93NUMPY\x01\x00" + size + text.encode() + bytes(192)
        np.save(buffer, rng.choice(arrays))
        return buffer.getvalue()
    names = [
        "digests",
        "predictions",
        "confidences",
        "nll",
        "brier",
        "labels",
        "clusters",
    ]
    held = {name: rng.choice(arrays) for name in names if rng.random() < 0.8}
    if rng.random() < 0.6:
        held = dict.fromkeys(held, rng.choice(arrays))
    if rng.random() < 0.02:
        np.savez_compressed(buffer, digests=np.zeros(400_000_000))  # 3.2 GB in 3 MB
    else:
        np.savez(buffer, **held)
    return buffer.getvalue()


def read_results(folder):
    store = Store(folder)
    opened.of_sets(store.sets()).measured  # noqa: B018 - computed when it is read
    stale.stale_cells(store.sets())


# --- the count


class Tally:
    """Counts how reading ended."""

    def __init__(self):
        self.ends = collections.Counter()
        self.wrong = collections.Counter()
        self.slowest = 0.0

    def watch(self, read, place):
        began = time.perf_counter()
        try:
            read(place)
            self.ends["read"] += 1
        except InputError as error:
            if "\n" in str(error):
                self.wrong[f"InputError of several lines: {str(error)[:80]!r}"] += 1
            else:
                self.ends["InputError"] += 1
        except BaseException as error:  # noqa: BLE001 - that is the question
            where = traceback.extract_tb(error.__traceback__)
            own = [f for f in where if "oodbench" in f.filename] or list(where)
            line = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            self.wrong[f"{type(error).__name__} at {line}: {str(error)[:80]}"] += 1
        self.slowest = max(self.slowest, time.perf_counter() - began)

    def tell(self, what):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{what}: {sum(self.ends.values()) + sum(self.wrong.values())} files, "
              f"{dict(self.ends)}, {sum(self.wrong.values())} tracebacks, slowest "
              f"{self.slowest:.2f} s, peak memory {memory:.2f} GB")  # fmt: skip
        for name, count in self.wrong.most_common():
            print(f"  {count} × {name}")
        return not self.wrong


def try_checkpoints(rng, folder, count, canary):
    seeds, tally, path = checkpoints(canary), Tally(), folder / "weights.pt"
    for number in range(count):
        data = seeds[number % len(seeds)]
        if number >= len(seeds):
            for _ in range(rng.choice([1, 1, 3])):
                data = rng.choice(BYTES)(rng, data, seeds) or b"\x80"
        path.write_bytes(data)
        tally.watch(read_checkpoint, path)
    return tally.tell("checkpoints")


def try_results(rng, folder, count):
    sound, tally = folder / "sound", Tally()
    make_results(sound)
    names = [
        path.relative_to(sound) for path in sorted(sound.rglob("*.*")) if path.is_file()
    ]
    others = [(sound / name).read_bytes() for name in names]
    damaged = folder / "damaged"
    shutil.copytree(sound, damaged)
    for number in range(count):
        name = names[number % len(names)]
        mutate_result(rng, damaged / name, others)
        tally.watch(read_results, damaged)
        for suffix in {name.suffix, ".json"}:
            shutil.copy(
                (sound / name).with_suffix(suffix), (damaged / name).with_suffix(suffix)
            )
    return tally.tell("results")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder, canary = Path(name), Path(name) / "canary"
        sound = try_checkpoints(rng, folder, options.files, canary)
        sound &= try_results(rng, folder, options.files)
        print("code was run" if canary.exists() else "no code was run")
        raise SystemExit(int(canary.exists() or not sound))


if __name__ == "__main__":
    main()

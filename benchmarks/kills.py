"""Kills runs at random moments and compares what their resumption leaves on disk.

    python benchmarks/kills.py --kills 100 --trainings 40 --writers 8 --writes 1000

Four counts: runs killed (SIGKILL) and resumed whose score files have other bytes
than those of an undisturbed run; trainings killed and resumed that end with other
weights; cells lost where several processes write to one
folder; torn files among those of a process that was killed while it was writing.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
import sys
from oodbench.runs import chunks
chunks.CHUNK = 64
import oodbench
print("ready", flush=True)
oodbench.run(["ce-digits"], out=["digits:8-9", "photos", "noise:uniform"],
             batch_size=32, device="cpu", results=sys.argv[1])
"""
TRAIN = """
import sys
import torch
from oodbench.jem.training import folder, run
folder.SAVE_SECONDS = -1.0
torch.set_num_threads(1)
print("ready", flush=True)
run.train("digits:0-7", sys.argv[1], export=f"{sys.argv[1]}/model.safetensors",
          epochs=40, snapshot_every=20)
"""
WRITE = """
import sys
from pathlib import Path
from oodbench.base.files import write_atomically
print("ready", flush=True)
for turn in range(10**9):
    for number in range(20):
        content = bytes([turn % 251]) * 200_000
        write_atomically(Path(sys.argv[1]) / f"{number}.bin", content)
"""


def start(code, folder):
    """Starts Python on some code and waits until it prints that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    process.stdout.readline()
    return process


def contents(folder):
    """Returns hashes of the stored arrays and weights."""
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".npy", ".npz", ".safetensors")
    }


def kill_runs(root, kills, code):
    """Returns how many resumed runs differ from an undisturbed one."""
    began = time.perf_counter()
    start(code, root / "clean").wait()
    took = time.perf_counter() - began
    clean, different, killed = contents(root / "clean"), 0, 0
    assert clean
    while killed < kills:
        folder = root / "killed"
        for _ in range(4):
            process = start(code, folder)
            time.sleep(random.uniform(0, took / 3))
            killed += process.poll() is None
            process.kill()
            process.wait()
        start(code, folder).wait()
        different += contents(folder) != clean
        shutil.rmtree(folder)
    return f"{killed} kills, 4 before each resumption: {different} results differ"


def write_together(root, writers):
    """Returns how many files several processes on one folder lose."""
    start(RUN, root / "alone").wait()
    processes = [start(RUN, root / "together") for _ in range(writers)]
    for process in processes:
        process.wait()
    alone, together = contents(root / "alone"), contents(root / "together")
    lost = sum(alone[name] != together.get(name) for name in alone)
    return f"{writers} writers on one folder: {lost} of {len(alone)} files lost or torn"


def tear(root, writes):
    """Returns how many files a killed writer leaves torn."""
    torn = 0
    (root / "torn").mkdir()
    for _ in range(writes // 20):
        process = start(WRITE, root / "torn")
        time.sleep(random.uniform(0.01, 0.1))
        process.kill()
        process.wait()
        for path in (root / "torn").glob("*.bin"):
            content = path.read_bytes()
            torn += len(content) != 200_000 or len(set(content)) != 1
    kills = writes // 20
    return f"{writes} files after {kills} kills of their writer: {torn} torn"


def main():
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trainings", type=int, default=40)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--writes", type=int, default=1000)
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print("runs:", kill_runs(root / "runs", options.kills, RUN), flush=True)
        trained = kill_runs(root / "trainings", options.trainings, TRAIN)
        print("trainings:", trained, flush=True)
        print(write_together(root, options.writers), flush=True)
        print(tear(root, options.writes), flush=True)


if __name__ == "__main__":
    main()

"""Commands end in one sentence when their output or they themselves are cut off."""

import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-m", "oodbench"]
RUN = [
    "run", "--model", "ce-digits", "--out", "digits:8-9", "--limit", "20",
    "--detectors", "msp", "--no-plots",
]  # fmt: skip


def call(*arguments, cwd, **options):
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, text=True, stderr=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, **options},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], ["--help"], RUN], ids=lambda a: a[0])
def test_a_full_output_is_a_sentence(tmp_path, arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        code, _, told = call(*arguments, cwd=tmp_path, stdout=full)
    assert code == 74
    assert told.count("\n") == 1
    assert "cannot be written: No space left" in told


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], RUN], ids=lambda a: a[0])
def test_a_closed_output_is_a_sentence(tmp_path, arguments):
    read, write = os.pipe()
    os.close(read)
    code, _, told = call(*arguments, cwd=tmp_path, stdout=write)
    os.close(write)
    assert (code, told) == (74, "Error: The output cannot be written: Broken pipe.\n")


def test_no_output_at_all_is_a_sentence(tmp_path):
    shell = f"{sys.executable} -m oodbench list >&-"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True)
    assert done.returncode == 74
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_output_lacks_are_escapes(tmp_path, encoding):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": encoding}
    code, out, told = call(*RUN, cwd=tmp_path, env=environment, encoding=encoding)
    assert (code, told.count("Error")) == (0, 0)
    assert "\\u2500" in out or "--" in out


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.7, 1, 1.5, 2, 3])
def test_an_interrupt_at_any_moment_is_a_sentence(tmp_path, seconds):
    process = subprocess.Popen(
        [*COMMAND, "run", "--detectors", "all"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert (process.returncode, told.strip().count("\n")) == (130, 0)
    assert told.strip().startswith("Interrupted.")

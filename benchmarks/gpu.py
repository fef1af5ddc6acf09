"""Runs what needs a GPU, in parts, for whoever has one for half an hour.

    python benchmarks/gpu.py --minutes 25 --out FOLDER \
        --reference JEM --data DATA            # both may be left out

FOLDER/report.md is the result, with the name of the card; FOLDER/PART.json has the
numbers of each part. Both are written after every part, and no part takes more than
nine minutes. A part that fails does not stop the others. The same command continues
where the last one stopped, and tries again what failed.

JEM is a checkout of the paper's code (https://github.com/wgrathwohl/JEM, and it needs
tqdm), DATA the folder of the JPEG archives that `cifar10.py` reads. With `--device cpu
--toy` everything is tried at a small size without a GPU; none of that is a result.
"""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

import torch

HERE = Path(__file__).resolve().parent
LONGEST = 9 * 60
"""Seconds that a part may take."""
SHORTEST = 20
"""Seconds that must be left to begin one."""
AGAIN = "Call it again"
"""What `cifar10.py train` prints until a model is trained."""
TOY = "**A trial at a small size; none of it is a result.**\n\n"


class Part(NamedTuple):
    """One measurement."""

    name: str
    title: str
    command: list[str]
    """Arguments of Python."""
    skipped: str = ""
    """Why it cannot be run."""


def parts(options: Namespace) -> list[Part]:
    """Returns the measurements, the most important first."""
    device, out, toy = options.device, options.out, options.toy
    tests = ["-m", "pytest", "-q", "-n0", "-m", "device", "--device", device]
    small = ["--toy"] if toy else []
    scores = ["gpu_scores.py", "--device", device, "--to", f"{out}/scores-numbers.json"]
    found = [
        Part("tests", "The tests of the device", [*tests, str(HERE.parent / "tests")]),
        Part("scores", "Scores against those of the CPU", [*scores, *small]),
    ]
    for network in ("resnet18", "wrn28_10"):
        speed = ["gpu_speed.py", network, "--device", device, *small]
        speed += ["--to", f"{out}/speed-{network}-numbers.json"]
        title = f"Images a second, {network}"
        found.append(Part(f"speed-{network}", title, speed))
    size = ["--depth", "28", "--width", "10"]
    if toy:
        size = ["--depth", "10", "--width", "1", "--batch", "2", "--rounds", "1"]
    reason = "" if options.reference else "--reference names no checkout of its code"
    for name, fast in (("fp32", []), ("fast", ["--fast"])):
        step = ["jem_step.py", "jem-paper", str(options.reference), *size, *fast]
        title = f"A JEM iteration against the paper's code, {name}"
        found.append(Part(f"jem-step-{name}", title, step, reason))
    return [*found, *experiment(options)]


def experiment(options: Namespace) -> list[Part]:
    """Returns the stages of the experiment on CIFAR-10; each needs those before it."""
    out, script = str(options.out / "cifar10"), "cifar10.py"
    few, network, speed, less = [], [], ["--compile"], []
    if options.toy:
        few = ["--images", "200", "--test-images", "20"]
        network = ["--depth", "10", "--width", "1", "--epochs", "1"]
        network, speed = [*network, "--batch-size", "32", "--sgld-steps", "2"], []
        less = ["--detectors", "msp", "--steps", "2", "--attacked", "2"]
    # A quarter of the time each; the rest is for the measurements.
    train = [*network, "--budget", f"{options.minutes / 4:.1f}", "--minutes", "8"]
    stages = {
        "prepare": ["prepare", str(options.data), out, *few],
        "train-jem": ["train", "jem", out, *train, *speed],
        "train-ce": ["train", "ce", out, *train],
        "shrink": ["shrink", out],
        "measure": ["measure", out, *less],
    }
    reason = "" if options.data else "--data names no folder of its archives"
    return [
        Part(f"cifar10-{name}", f"CIFAR-10: {name}", [script, *arguments], reason)
        for name, arguments in stages.items()
    ]


def run(part: Part, options: Namespace, seconds: float) -> dict[str, object]:
    """Runs a part for so many seconds at most, and returns its record."""
    command = [sys.executable, *part.command]
    if part.command[0].endswith(".py"):
        command[1] = str(HERE / part.command[0])
    began = time.monotonic()
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what it starts ends with it
    )
    try:
        output, _ = child.communicate(timeout=seconds)
        state = "done" if child.returncode == 0 else f"failed ({child.returncode})"
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        state = f"stopped after {seconds:.0f} s"
    if state == "done" and AGAIN in output:
        state = "begun"
    return {
        "part": part.name,
        "title": part.title,
        "state": state,
        "device": device_name(options.device),
        "torch": torch.__version__,
        "command": ["python", *part.command],
        "seconds": round(time.monotonic() - began, 1),
        "output": output,
    }


def complete(options: Namespace) -> bool:
    """Runs the parts that are missing; returns whether none has failed."""
    end = time.monotonic() + 60 * options.minutes
    whole = parts(options)
    for part in whole:
        while not part.skipped and state(options.out, part) != "done":
            left = end - time.monotonic()
            if left < SHORTEST:
                break
            print(f"{part.title} …", flush=True)
            record = run(part, options, min(LONGEST, left))
            path = options.out / f"{part.name}.json"
            path.write_text(json.dumps(record, indent=1) + "\n")
            report(options, whole)
            print(f"  {record['state']}, {record['seconds']} s", flush=True)
            if record["state"] != "begun":
                break
    report(options, whole)
    states = [state(options.out, part) for part in whole if not part.skipped]
    done = f"{states.count('done')} of {len(states)} parts"
    print(f"{options.out / 'report.md'}: {done} are done.")
    if any(one in ("", "begun") for one in states):
        print("The same command continues.")
    return not any(one.startswith(("failed", "stopped")) for one in states)


def state(out: Path, part: Part) -> str:
    """Returns how a part ended; empty if it has not been begun."""
    path = out / f"{part.name}.json"
    return json.loads(path.read_text())["state"] if path.exists() else ""


def report(options: Namespace, whole: list[Part]) -> None:
    """Writes what there is of all parts."""
    lines = [f"# {device_name(options.device)}, torch {torch.__version__}\n"]
    for part in whole:
        lines.append(f"## {part.title}\n")
        path = options.out / f"{part.name}.json"
        if part.skipped:
            lines.append(f"Skipped: {part.skipped}.\n")
        elif not path.exists():
            lines.append("Not reached yet; the same command continues.\n")
        else:
            record = json.loads(path.read_text())
            lines.append(f"`{' '.join(record['command'])}`\n")
            lines.append(f"{record['state']}, {record['seconds']} s\n")
            lines.append(f"{record['output'].strip()}\n")
    trial = TOY if options.toy else ""
    (options.out / "report.md").write_text(trial + "\n".join(lines))


def device_name(device: str) -> str:
    """Returns the name of the card, or the device."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def main() -> None:
    """Runs what is missing."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=25, help="of this call")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--toy", action="store_true", help="try it at a small size")
    parser.add_argument("--reference", type=Path, help="checkout of the paper's code")
    parser.add_argument("--data", type=Path, help="folder of the JPEG archives")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no GPU that torch can use; try it with --device cpu --toy.")
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.resolve()
    if not complete(options):
        sys.exit(1)


if __name__ == "__main__":
    main()

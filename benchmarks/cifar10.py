"""Trains a WRN-28-4 JEM and a plain classifier on JPEG CIFAR-10 and measures both.

JPEG CIFAR-10 is a lossy copy: none of the numbers is an official one of CIFAR-10.
Stage by stage, on a machine with a GPU, DATA being the folder of the JPEG archives:

    python benchmarks/cifar10.py prepare DATA OUT
    python benchmarks/cifar10.py train jem OUT --compile
    python benchmarks/cifar10.py train ce OUT
    python benchmarks/cifar10.py shrink OUT
    python benchmarks/cifar10.py measure OUT

A stage that was interrupted continues when it is called again. `train` stops after
--minutes and prints whether it must be called again. It passes options that it does
not know to `oodbench train`; they must be the same at every call. OUT/report.md is the
result.

Both models use the recipe `jem-fast`; the classifier has no −log p(x). A few trial
epochs measure the speed of training. The JEM gets as many epochs as fit in --budget
minutes, and the classifier as many as fit in the seconds that the JEM was trained, so
that both learning rates end at 0. The seconds are those of iterations, compilation
included. One training image in ten is not trained on: the temperature is fitted on
them.

`shrink` comes before `measure`, so that the measured weights are those that may be
published: float16, at most 12 MB per model. Of OUT, `measure` needs the .json and
.safetensors files and `data`. OUT/*/nearest.png shows training images, which may not
be published.
"""

import json
import shlex
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from cifar10_sets import FAR, NEAR, TEST, TRAIN, VAL, prepare, shared
from tabulate import tabulate

from oodbench import load_network
from oodbench.jem.training.export import Trained
from oodbench.results.fitness import fitness
from oodbench.results.opened import open_results

KINDS = {"jem": (), "ce": ("--weight-x", "0")}
"""The options by which each kind differs from the recipe `jem-fast`."""
EPOCHS_ON_TRIAL = {"jem": 1, "ce": 5}
TITLES = {"jem": "JEM", "ce": "plain classifier"}
MARK = "JPEG CIFAR-10, not official"
FULL = 45_000
"""With fewer training images, the report is only a trial."""
TRIAL = "**A trial of the script on few images; none of it is a result.**"
LARGEST = 12e6
"""The most bytes of a file of weights."""
LOST = 0.001
"""The accuracy that float16 may lose; one image is always allowed."""


class Part(NamedTuple):
    """A section of the report: its commands, and the pictures that it shows."""

    title: str
    commands: list[list[str]]
    pictures: tuple[str, ...] = ()
    """In OUT."""


def oodbench(*arguments: str) -> str:
    """Runs a command of oodbench and returns its output; exits if it fails."""
    done = subprocess.run(["oodbench", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"oodbench {arguments[0]} ended with {done.returncode}.")
    return done.stdout


def train(options: Namespace) -> None:
    """Trains one model for --minutes, from where it was."""
    began, folder = time.monotonic(), options.out / options.kind
    record = options.out / f"{options.kind}.json"
    done = weights(options.out, options.kind)
    if not record.exists():
        choose(options, record)
    plan = json.loads(record.read_text())
    if options.epochs not in (None, plan["epochs"]):
        sys.exit(f"{record} says {plan['epochs']} epochs; remove it and {folder}.")
    if not done.exists():
        left = max(0.1, options.minutes - (time.monotonic() - began) / 60)
        run_training(options, folder, plan["epochs"], "--minutes", f"{left:.3f}")
    reached = torch.load(folder / "checkpoint.pt", weights_only=True, mmap=True)
    plan |= {name: reached[name] for name in ("iteration", "seconds", "faults")}
    record.write_text(json.dumps(plan, indent=1) + "\n")
    print(
        f"{TITLES[options.kind]}: {plan['iteration']} iterations in "
        f"{plan['seconds']:.0f} s, of {plan['epochs']} epochs. "
        f"{'Done' if done.exists() else 'Call it again'}."
    )


def choose(options: Namespace, record: Path) -> None:
    """Stores the number of epochs that a model is trained."""
    epochs = options.epochs
    if epochs is None:
        images = seconds(options) * images_per_second(options)
        epochs = int(images / count(options.out, TRAIN)) or 1
    plan = {"epochs": epochs, "device": device()}
    record.write_text(json.dumps(plan, indent=1) + "\n")
    print(f"{TITLES[options.kind]}: {epochs} epochs on {plan['device']}.")


def seconds(options: Namespace) -> float:
    """Returns the seconds that a model is trained."""
    if options.kind == "jem":
        return 60 * options.budget
    if not weights(options.out, "jem").exists():
        sys.exit("The classifier's time is the JEM's; train that first, to its end.")
    return json.loads((options.out / "jem.json").read_text())["seconds"]


def images_per_second(options: Namespace) -> float:
    """Returns the speed of training, from a few trial epochs."""
    folder = options.out / f"{options.kind}-trial"
    run_training(options, folder, EPOCHS_ON_TRIAL[options.kind], "--overwrite")
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    speeds = [one["images_per_second"] for one in lines if "fault" not in one]
    return median(speeds)  # since the first iterations are slow: caches, compilers


def run_training(options: Namespace, folder: Path, epochs: int, *more: str) -> None:
    """Runs `oodbench train`."""
    oodbench(
        *("train", "--in", npz(options.out, TRAIN), "--test", npz(options.out, TEST)),
        *("--to", str(folder), "--recipe", "jem-fast", *KINDS[options.kind]),
        *("--arch", "jem_wrn", "--arg", f"depth={options.depth}"),
        *("--arg", f"width={options.width}", "--arg", "activation=silu"),
        *("--held-out", "0", "--snapshot-every", "100", "--epochs", str(epochs)),
        *options.more,
        *more,
    )


def shrink(options: Namespace) -> None:
    """Writes the weights in float16 and checks that they are small and as good."""
    for kind in KINDS:
        source, target = weights(options.out, kind), small(options.out, kind)
        if not source.exists():
            sys.exit(f"There is no {source}; call `train {kind}` until it is done.")
        trained = load_network(source)
        card = json.loads(source.with_suffix(".json").read_text())
        card["note"] = f"{MARK}; weights rounded to float16. {card['note']}".rstrip()
        Trained(trained.module.half(), card).write(target)
        size = target.stat().st_size
        if size > LARGEST:
            sys.exit(f"{target} has {size / 1e6:.2f} MB, more than {LARGEST / 1e6:g}.")
        before, after = accuracies(options.out, [source, target])
        allowed = max(LOST, 1 / count(options.out, TEST))
        if abs(after - before) > allowed + 1e-9:
            sys.exit(f"{target} has accuracy {after:.4f}, and {source} {before:.4f}.")
        print(f"{target}: {size / 1e6:.2f} MB, accuracy {after:.4f} from {before:.4f}.")


def accuracies(out: Path, models: list[Path]) -> list[float]:
    """Returns the accuracy of each model on the test images."""
    results = out / "shrunk"
    oodbench(
        *("run", "--model", ",".join(map(str, models)), "--in", npz(out, TEST)),
        *("--out", npz(out, FAR[-1]), "--detectors", "msp", "--no-plots"),
        *("--results", str(results), "--overwrite", "stale"),
    )
    groups = open_results(results).groups
    found = [fitness(group, group.inside) for group in groups]
    known = {one.model: one.values["accuracy"] for one in found if one}
    return [known[model.stem] for model in models]


def measure(options: Namespace) -> None:
    """Runs the commands that the report still needs, and writes it."""
    out, models = options.out, [small(options.out, kind) for kind in KINDS]
    if missing := [str(model) for model in models if not model.exists()]:
        sys.exit(f"There is no {missing[0]}; call `shrink` first.")
    newest = max(model.stat().st_mtime for model in models)
    whole = parts(options).items()
    sections = [section(out, name, part, newest) for name, part in whole]
    report = out / "report.md"
    report.write_text("\n".join([introduction(out), *sections]))
    print(f"{report} is written.")


def parts(options: Namespace) -> dict[str, Part]:
    """Returns the sections of the report by the names of their files."""
    out, jem, ce = options.out, *(str(small(options.out, kind)) for kind in KINDS)
    both = ["--model", f"{jem},{ce}", "--in", npz(out, TEST)]
    train = npz(out, TRAIN)
    outside = [f"near={npz(out, NEAR)}", *(f"far={npz(out, name)}" for name in FAR)]
    run = ["run", *both, "--out", ",".join(outside), "--fit", train]
    run += ["--detectors", options.detectors, "--results", str(out / "runs")]
    run += ["--overwrite", "stale"]
    calibrate = ["calibrate", *both, "--fit", npz(out, VAL)]
    calibrate += ["--to", str(out / "calibration")]
    sample = ["sample", "--model", jem, "--beside", train]
    sample += ["--count", "100", "--steps", str(options.steps)]
    sample += ["--clip", "1"]  # as in training
    attack = ["attack", *both, "--images", str(options.attacked)]
    attack += ["--refine", options.refine, "--to", str(out / "attacks")]
    return {
        "calibration": Part(
            "Accuracy and calibration", [calibrate], ("calibration/*.png",)
        ),
        "ood": Part(
            "OOD detection",
            [run, ["table", str(out / "runs"), "--format", "markdown"]],
            ("plots/histograms-*.png", "plots/roc-*.png"),
        ),
        "samples": Part(
            "Samples of the JEM",
            [
                [*sample, "--to", str(out / "any")],
                [*sample, "--to", str(out / "classes"), "--class", "0-9"],
            ],
            ("*/samples.png", "*/chain.png"),
        ),
        "robustness": Part("Robustness", [attack], ("attacks/*.png",)),
    }


def section(out: Path, name: str, part: Part, newest: float) -> str:
    """Returns a section of the report, made again if commands or weights are new.

    Args:
        out: OUT.
        name: The name of the section's file.
        part: The content of the section.
        newest: When the newer weights were written.
    """
    path = out / "sections" / f"{name}.md"
    commands = "\n".join(shlex.join(["oodbench", *one]) for one in part.commands)
    head = f"## {part.title}\n\n```\n{commands}\n```\n"
    if path.exists() and path.stat().st_mtime > newest:
        text = path.read_text()
        if text.startswith(head):
            return text
    began = time.time()
    printed = [(one[0], oodbench(*one)) for one in part.commands]
    shown = [marked(text) for command, text in printed if command != "run"]
    found = [place for each in part.pictures for place in out.glob(each)]
    drawn = sorted(place for place in found if place.stat().st_mtime > began)
    pictures = [picture(out, place) for place in drawn]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([head, *shown, *pictures]))
    return path.read_text()


def picture(out: Path, path: Path) -> str:
    """Returns Markdown that shows a picture in OUT."""
    name = path.relative_to(out)
    return f"**{MARK}:** {name.with_suffix('')}\n\n![{name.stem}]({name})\n"


def marked(text: str) -> str:
    """Returns Markdown with the mark before each of its tables."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("|") and not inside:
            lines += [f"**{MARK}:**", ""]
        inside = line.startswith("|")
        lines.append(line)
    return "\n".join(lines) + "\n"


def introduction(out: Path) -> str:
    """Returns the beginning of the report: how the models were trained."""
    sets = json.loads((out / "data" / "sets.json").read_text())
    trial = "" if sets[TRAIN]["images"] >= FULL else f"{TRIAL}\n\n"
    rows = [[TITLES[kind], *training(out, kind)] for kind in KINDS]
    head = ["model", "network", "epochs", "iterations", "seconds", "on", "went back"]
    trained = tabulate(rows, head, "pipe", disable_numparse=True)
    counts = [[name, *one.values()] for name, one in sets.items()]
    counted = tabulate(counts, ["set", "images", "classes"], "pipe")
    return (
        f"# A JEM and a plain classifier on {MARK}\n\n{trial}"
        "Written by `benchmarks/cifar10.py`, which explains how the models were "
        "trained; their cards contain the recipes. The weights are in float16.\n\n"
        f"{marked(trained)}\n{marked(counted)}\n"
        f"{NEAR} is Tiny ImageNet (val) without the {len(shared())} of its 200 classes "
        f"that show a class of CIFAR-10. {VAL} is used to fit the temperature only.\n"
    )


def training(out: Path, kind: str) -> list[str]:
    """Returns a model's row of the table of trainings."""
    record = json.loads((out / f"{kind}.json").read_text())
    card = json.loads(small(out, kind).with_suffix(".json").read_text())
    network = card["architecture"]
    return [
        f"WRN-{network['depth']}-{network['width']}",
        f"{card['recipe']['epochs']:g}",
        str(record["iteration"]),
        f"{record['seconds']:.0f}",
        record["device"],
        f"{len(card['faults'])} times",
    ]


def small(out: Path, kind: str) -> Path:
    """Returns the path of a model's weights in float16."""
    return out / f"{kind}-cifar10-jpeg.safetensors"


def weights(out: Path, kind: str) -> Path:
    """Returns the path of a model's weights after training."""
    return out / kind / f"{kind}.safetensors"


def npz(out: Path, name: str) -> str:
    """Returns the name of a set for `--in` and `--out`."""
    return f"npz:{out / 'data' / name}.npz"


def count(out: Path, name: str) -> int:
    """Returns how many images a set has."""
    return json.loads((out / "data" / "sets.json").read_text())[name]["images"]


def device() -> str:
    """Returns the name of the device that training runs on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def main() -> None:
    """Runs a stage."""
    options, more = read()
    if more and options.stage != "train":
        sys.exit(f"{options.stage} takes no {' '.join(more)}.")
    options.more = more
    stages = {"train": train, "shrink": shrink, "measure": measure}
    if options.stage == "prepare":
        folder = options.out / "data"
        prepare(options.data, folder, options.images, options.test_images)
    else:
        stages[options.stage](options)


def read() -> tuple[Namespace, list[str]]:
    """Returns the options, and those that are for `oodbench train`."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    stages = parser.add_subparsers(dest="stage", required=True)
    prepares = stages.add_parser("prepare", help="unpack the sets")
    prepares.add_argument("data", type=Path, help="the folder of the JPEG archives")
    prepares.add_argument("--images", type=int, default=0, help="of CIFAR-10, to train")
    prepares.add_argument("--test-images", type=int, default=0, help="of other sets")
    trains = stages.add_parser("train", help="train a model for --minutes")
    trains.add_argument("kind", choices=KINDS)
    trains.add_argument("--depth", type=int, default=28)
    trains.add_argument("--width", type=int, default=4)
    trains.add_argument("--epochs", type=int, help="instead of what fits in the time")
    trains.add_argument("--budget", type=float, default=12.0, help="minutes of the JEM")
    trains.add_argument("--minutes", type=float, default=9.0, help="of this call")
    shrinks = stages.add_parser("shrink", help="round the weights to float16")
    measures = stages.add_parser("measure", help="measure both, write the report")
    measures.add_argument("--detectors", default="all")
    measures.add_argument("--steps", type=int, default=400, help="of sampling")
    measures.add_argument("--attacked", type=int, default=128, help="images attacked")
    measures.add_argument("--refine", default="1", help="steps before the JEM, as 0,1")
    for stage in (prepares, trains, shrinks, measures):
        stage.add_argument("out", type=Path)
    return parser.parse_known_args()


if __name__ == "__main__":
    main()

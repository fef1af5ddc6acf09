"""Measures memory and time of detectors on generated features of a given size.

    python benchmarks/sizes.py --images 50000 --features 512 --classes 100 --to sizes.md

Features, logits and labels are random: each class has a mean, features are not
negative, and one label in ten is drawn at random. They are held as a run holds those of
a fitting split: above 2 GiB in a temporary file (in TMPDIR), which is removed at the
end. Each detector is fitted in a process of its own, so that it shares no statistic
with others, and then scores 1,000 other images in batches of 250.

Seconds are those of the processor, of all threads together. Memory is the peak of what
a process holds beyond files (RssAnon), above its start, as read each 10 ms; pages of a
file can be dropped. Rows are added to the table at the end of the file, and those that
are there are not measured again.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import torch
from torch import nn

from oodbench import Known, Need, Outputs
from oodbench.base import registry
from oodbench.base.errors import reason
from oodbench.scoring.batch import Batch
from oodbench.scoring.fitting.rows import Rows
from oodbench.scoring.spec import open_detector

BLOCK = 8192
TEST, TEST_BATCH = 1000, 250
NOT_HERE = Need.INPUTS | Need.GRADIENT | Need.NETWORK | Need.BLOCKS | Need.MEMBERS
HEAD = """
| images | features | classes | detector | fit, s | fit, MB | score, s | score, MB \
| images used |
|---|---|---|---|---|---|---|---|---|
"""


class Source:
    """Generates outputs of a network that does not exist."""

    def __init__(self, features, classes):
        torch.manual_seed(0)
        self.means = torch.randn(classes, features).relu()
        self.head = nn.Linear(features, classes).eval().requires_grad_(False)
        self.head.weight.copy_((self.means - self.means.mean(0)) / features**0.5)

    def batch(self, count):
        """Returns the outputs for images of random classes."""
        size, classes = self.means.shape[1], len(self.means)
        features = Rows(count, torch.empty(0, size))
        logits = Rows(count, torch.empty(0, classes))
        true = torch.randint(classes, (count,))
        for own in true.split(BLOCK):
            block = (self.means[own] + torch.randn(len(own), size) / 2).relu()
            features.add(block)
            logits.add(self.head(block))
        return Batch(
            torch.zeros(count, 0),
            logits.whole,
            torch.cat([block.logsumexp(1) for block in logits.whole.split(BLOCK)]),
            features.whole,
            labels=torch.where(torch.rand(count) < 0.1, true.roll(1), true),
            head=self.head,
            numbers=torch.arange(count),
        )


def fitted_detectors():
    """Returns the names of detectors that are fitted on features or logits alone."""
    listed = [one.name for one in registry.listings("detectors")]
    found = {name: open_detector(name).detector for name in listed}
    return [
        name
        for name, one in found.items()
        if one.fitted_on and not one.needs & NOT_HERE and not one.summaries
    ]


def work(name, known, batches, pipe):
    """Fits and scores; sends the seconds of each and the images used, or a failure."""
    detector = open_detector(name).detector

    def fit():
        if detector.fitted_on:
            detector.fit(Known(known, detector))

    def score():
        for batch in batches:
            detector.score(Outputs(batch, detector))

    try:
        for step in (fit, score):
            began = time.process_time()
            step()
            used = detector.fitted_images or len(known.labels)
            pipe.send((f"{time.process_time() - began:.2f}", f"{used:,}"))
    except Exception as error:  # noqa: BLE001 - one row must not stop others
        pipe.send(("", reason(error)))
    pipe.close()


def held(process):
    """Returns what a process holds in memory beyond files, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(one.split()[1]) for one in lines if "RssAnon" in one) / 1024


def measure(name, known, batches):
    """Returns the cells of a detector's row."""
    pipe, end = multiprocessing.Pipe()
    forked = multiprocessing.get_context("fork")
    process = forked.Process(target=work, args=(name, known, batches, end))
    process.start()
    end.close()
    start, cells, remark = held(process.pid), [], ""
    for _ in ("fit", "score"):
        peak = start
        while not pipe.poll(0.01):
            peak = max(peak, held(process.pid))
        try:
            seconds, remark = pipe.recv()
        except EOFError:
            break
        cells += [seconds, f"{peak - start:.0f}"]
    process.join()
    if process.exitcode:
        remark = f"ended with {process.exitcode}"
    return [*cells, *[""] * (4 - len(cells)), remark]


def main():
    """Adds the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--detectors", help="separated by commas; all without it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("sizes.md"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.detectors.split(",") if options.detectors else fitted_detectors()
    size = [f"{options.images:,}", f"{options.features:,}", f"{options.classes:,}"]
    there = options.to.read_text() if options.to.exists() else ""
    starts = {name: f"| {' | '.join([*size, name])} |" for name in names}
    missing = [name for name, start in starts.items() if start not in there]
    source = Source(options.features, options.classes)
    known = source.batch(options.images)
    batches = [source.batch(TEST_BATCH) for _ in range(TEST // TEST_BATCH)]
    with options.to.open("a") as file:
        if HEAD not in there:
            file.write(HEAD)
        for name in missing:
            row = f"{starts[name]} {' | '.join(measure(name, known, batches))} |"
            print(row, file=file, flush=True)


if __name__ == "__main__":
    main()

"""Compares detectors with pytorch-ood 0.4.0: scores, and time to fit and score.

    python benchmarks/parity.py CHECKPOINT --known TRAIN.npz --images TEST.npz \
        --other OTHER.npz > results/parity.md

Both sides get the same network, images and parameters. Their scores are compared on the
images of TEST and OTHER; pytorch-ood's are negated, and ours are brought to their scale
where that is another one. All is on the CPU, in one process, in interleaved rounds.
"""

import argparse
import shlex
import sys
import textwrap
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from parity_pairs import NOT_COMPARED, PAIRS, Parts
from rounds import medians
from scipy.stats import spearmanr
from tabulate import tabulate
from torch.utils.data import DataLoader, TensorDataset

from oodbench import Known, Outputs, Shape, Split, load_network
from oodbench.metrics.ranking import auroc
from oodbench.scoring.batch import Batch
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

BATCH = 256
ENOUGH = 0.9999
"""The rank correlation below which a difference must have a reason."""


@dataclass
class Data:
    """Images to fit on and to score, `[N, H, W, C]` uint8, and their labels."""

    classes: int
    train: Split
    val: Split
    test: Split
    inside: int
    """Images of the test split that are in-distribution."""

    @property
    def fitted(self):
        return len(self.train.images)

    def loader(self, name):
        split = getattr(self, name)
        labels = (
            torch.zeros(len(split.images)) if split.labels is None else split.labels
        )
        return DataLoader(
            TensorDataset(pixels_of(split), torch.as_tensor(labels).long()), BATCH
        )


def pixels_of(split):
    return torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous().float() / 255


def ours(network, pairs, data):
    """Fits and scores all detectors in one shared pass; returns scores by name."""
    engine = Engine(
        network, {one.ours: open_detector(one.ours).detector for one in pairs}, BATCH
    )
    for stage in ("train", "val"):
        assert not engine.fit(stage, getattr(data, stage), tell=quiet)
    scored = engine.score(data.test, has_labels=False, tell=quiet)
    assert not scored.failures
    return scored.scores


def quiet(done):
    """Shows nothing."""


def stage_of(pair):
    return open_detector(pair.ours).detector.fitted_on


def one_after_another(parts, pairs, data):
    """Fits and scores each of pytorch-ood's detectors from images."""
    scores = {}
    for pair in pairs:
        detector = pair.peer(parts)
        if stage := stage_of(pair):
            detector.fit(data.loader(stage))
        with torch.set_grad_enabled(pair.reads == "images"):
            found = [detector.predict(pixels) for pixels, _ in data.loader("test")]
        scores[pair.ours] = -torch.cat(found).detach().double().numpy()
    return scores


@torch.no_grad()
def extracted(parts, data):
    """Returns the outputs of all splits by name, in pytorch-ood's forms."""
    found = {}
    for name in ("train", "val", "test"):
        features = torch.cat([parts.encoder(x) for x, _ in data.loader(name)])
        found[name] = {
            "features": features,
            "logits": parts.head(features),
            "feature_maps": features[:, :, None, None],
        }
    return found


@torch.no_grad()
def ours_from_memory(network, pairs, data, outputs):
    """Fits and scores our detectors from outputs in memory."""
    splits = {
        name: Batch(
            torch.zeros(len(found["logits"]), 0, 1, 1),
            logits=found["logits"],
            log_px=found["logits"].logsumexp(1),
            features=found["features"],
            labels=None if name == "test" else torch.as_tensor(split.labels),
            head=network.head,
        )
        for name, split, found in (
            (name, getattr(data, name), found) for name, found in outputs.items()
        )
    }
    for pair in pairs:
        detector = open_detector(pair.ours).detector
        if detector.fitted_on:
            detector.fit(Known(splits[detector.fitted_on], detector))
        detector.score(Outputs(splits["test"], detector))


def from_memory(parts, pairs, data, outputs):
    """Fits and scores pytorch-ood's detectors from outputs in memory."""
    for pair in pairs:
        detector = pair.peer(parts)
        if stage := stage_of(pair):
            labels = torch.as_tensor(getattr(data, stage).labels)
            getattr(detector, f"fit_{pair.reads}")(outputs[stage][pair.reads], labels)
        getattr(detector, f"predict_{pair.reads}")(outputs["test"][pair.reads])


def parity(pairs, mine, theirs, data):
    """Returns the table of agreement and the reasons of what differs."""
    rows, reasons = [], []
    for pair in pairs:
        own, other = pair.scaled(mine[pair.ours], data), theirs[pair.ours]
        rank = spearmanr(own, other).statistic
        cut = data.inside
        rows.append(
            [
                pair.ours,
                f"{rank:.6f}",
                f"{np.abs(own - other).max():.1e}",
                f"{np.ptp(other):.1e}",
                *(f"{100 * auroc(s[:cut], s[cut:]):.2f}" for s in (own, other)),
            ]
        )
        if rank < ENOUGH:
            why = pair.departs or "not explained"
            reasons.append(item(f"{pair.ours}: {why}."))
    head = ["detector", "rank correlation", "largest difference", "range"]
    head += ["AUROC %, oodbench", "AUROC %, pytorch-ood"]
    return tabulate(rows, head, "pipe", disable_numparse=True), "\n".join(reasons)


def item(text):
    """Returns an item of a list, wrapped."""
    return textwrap.fill(f"- {text}", 88, subsequent_indent="  ")


def times(network, parts, pairs, data, rounds):
    """Returns the table of times to fit and score the pairs without gradients."""
    outputs = extracted(parts, data)
    others = [pair for pair in pairs if not pair.ours.startswith("openmax")]
    runs = {
        "cold: oodbench, one shared pass": partial(ours, network, pairs, data),
        "cold: pytorch-ood, one after another": partial(
            one_after_another, parts, pairs, data
        ),
        "cold: pytorch-ood, one pass, then from memory": lambda: from_memory(
            parts, pairs, data, extracted(parts, data)
        ),
    }
    for kind, taken in (("warm", pairs), ("warm, without openmax", others)):
        runs |= {
            f"{kind}: oodbench": partial(
                ours_from_memory, network, taken, data, outputs
            ),
            f"{kind}: pytorch-ood": partial(from_memory, parts, taken, data, outputs),
        }
    rows, own = [], 0
    for name, median in medians(runs, rounds).items():
        own = median if "oodbench" in name else own
        rows.append([name, f"{median:.2f}", f"{own / median:.2f}"])
    return tabulate(rows, ["", "CPU seconds", "share that oodbench takes"], "pipe")


def opened(options):
    """Returns the network and the Data that the options name."""
    images, labels = (np.load(options.known)[key] for key in ("images", "labels"))
    inside, outside = (np.load(f)["images"] for f in (options.images, options.other))
    train, val = options.train, options.train + options.train // 4
    network = load_network(
        options.checkpoint, shape=Shape(images.shape[3], *images.shape[1:3])
    )
    half = options.count // 2
    return network, Data(
        network.classes,
        Split(images[:train], labels[:train]),
        Split(images[train:val], labels[train:val]),
        Split(np.concatenate([inside[:half], outside[:half]])),
        half,
    )


def main():
    """Prints the page."""
    options = arguments()
    network, data = opened(options)
    parts = Parts.of(network)
    cached = [one for one in PAIRS if one.reads != "images"]
    mine, theirs = ours(network, PAIRS, data), one_after_another(parts, PAIRS, data)
    table, reasons = parity(PAIRS, mine, theirs, data)
    print(
        PAGE.format(
            command=textwrap.fill(f"{shlex.join(sys.argv[1:])}`", 88),
            absent="\n".join(item(f"{reason}.") for reason in NOT_COMPARED),
            about=options.about,
            train=data.fitted,
            val=len(data.val.images),
            count=len(data.test.images),
            table=table,
            reasons=reasons,
            cached=len(cached),
            rounds=options.rounds,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            times=times(network, parts, cached, data, options.rounds),
        )
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="of a family that is recognised")
    parser.add_argument("--known", required=True, help="npz of images and labels")
    parser.add_argument("--images", required=True, help="npz of other such images")
    parser.add_argument(
        "--other", required=True, help="npz of out-of-distribution ones"
    )
    parser.add_argument("--about", default="", help="what the files hold")
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


PAGE = """# Agreement with pytorch-ood 0.4.0

Generated, with `OMP_NUM_THREADS={threads}`, by `python benchmarks/parity.py
{command}
on a CPU with torch {torch}. {about}

Both sides fit on the same {train} images (those that are fitted on validation images:
{val}) and score the same {count} images, half of them in-distribution, with the same
network and parameters. "range" is that of pytorch-ood's scores, for comparison with the
largest difference. Where the two have different scales (a factor, the odds or the
logarithm of a probability), scores are converted first.
pytorch-ood's `MultiMahalanobis` is given the weights of layers that
`mahalanobis_layers` has, and `rankfeat` is compared with the mean logits of two of its
`RankFeat`, one for each block.

{table}

What departs from the paper where the rank correlation is below 0.9999:

{reasons}

Not compared:

{absent}

## Time to fit and score

The {cached} detectors above that need no gradient, medians of {rounds} interleaved
rounds in one process, on one thread. "cold" runs the network. One pass for all
detectors is left to the user in pytorch-ood, and its benchmark class does it for test
images alone. "warm" has the outputs of all images in memory already and runs no
network, as that class does with a full cache.

{times}
"""

if __name__ == "__main__":
    main()

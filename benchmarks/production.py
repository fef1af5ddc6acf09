"""Measures guarantees, single images a second, and the cost of `evaluate`.

Run by hand: `python benchmarks/production.py`. It takes a minute or two; nothing else
should run meanwhile.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import oodbench
from oodbench.metrics.selective_threshold import selective_threshold
from oodbench.metrics.threshold import threshold

SAMPLES, DELTA, RATE, RISK = 1000, 0.1, 0.95, 0.1
SIZES = (200, 2000)


def flat(score):
    """Returns an error rate just above the wanted risk, whatever the score."""
    return np.full_like(score, 1.001 * RISK)


def falling(score):
    """Returns an error rate that falls from 40 % to 0 as the score rises."""
    return 0.4 * (1 - score)


def guarantees() -> None:
    """Prints how often a rate or a risk is violated in simulated samples."""
    rng = np.random.default_rng(0)
    for size in SIZES:
        rows = rng.random((SAMPLES, size))  # a threshold t accepts the share 1 - t
        for certified in ("mean", "delta"):
            found = [
                1 - threshold(row, RATE, certified=certified, delta=DELTA).value
                for row in rows
            ]
            violated = np.mean(np.array(found) < RATE)
            print(
                f"rate {RATE}, certified {certified}, {size} images: accepts "
                f"{100 * np.mean(found):.2f} % on average, less than {100 * RATE:g} % "
                f"in {100 * violated:.1f} % of {SAMPLES} samples"
            )
        for wrong in (flat, falling):
            print(f"risk {RISK}, {wrong.__name__} errors, {size} images:", end=" ")
            print(violations(rng, rows, wrong))


def violations(rng, rows, wrong) -> str:
    """Returns how many samples are certified, and how many of them in error."""
    places = (np.arange(10000) + 0.5) / 10000
    certified = violated = 0
    for row in rows:
        try:
            right = rng.random(row.size) >= wrong(row)
            found = selective_threshold(row, right, RISK, delta=DELTA)
        except oodbench.InputError:
            continue
        certified += 1
        violated += wrong(places[places >= found.value]).mean() > RISK
    return f"{certified} of {len(rows)} samples certified, {violated} violations"


def singles() -> None:
    """Prints how many single images a Scorer judges in a second."""
    with tempfile.TemporaryDirectory() as folder:
        results = oodbench.run(
            "ce-digits",
            out="digits:8-9",
            detectors="energy,msp,mahalanobis,knn",
            device="cpu",
            results=Path(folder) / "runs",
            quiet=True,
        )
        pixels = torch.rand(3000, 1, 8, 8)
        for name in ("energy", "msp", "mahalanobis", "knn"):
            to = Path(folder) / f"{name}.json"
            oodbench.threshold(results, model="ce-digits", detector=name, to=to)
            scorer = oodbench.Scorer.load(to, device="cpu")
            scorer.scores(pixels[:100])
            began = time.perf_counter()
            for image in pixels:
                scorer.accepts(image)
            rate = len(pixels) / (time.perf_counter() - began)
            print(f"{name} of ce-digits: {rate:.0f} single images a second")
            if name == "energy":
                graph(scorer, pixels, to.with_suffix(".onnx"))


def graph(scorer, pixels, to) -> None:
    """Prints how many single images onnxruntime judges, and how scores differ."""
    import onnxruntime

    scorer.export(to)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(to, options)
    images = pixels.numpy()
    began = time.perf_counter()
    for image in images:
        session.run(None, {"pixels": image[None]})
    rate = len(images) / (time.perf_counter() - began)
    _, scores, _ = session.run(None, {"pixels": images})
    away = abs(scores - scorer.scores(pixels)).max()
    print(f"the same as ONNX: {rate:.0f}; scores differ by {away:.1g} at most")


def loader(count):
    """Returns random images of CIFAR's size with labels."""
    sets = TensorDataset(torch.rand(count, 3, 32, 32), torch.randint(10, (count,)))
    return DataLoader(sets, batch_size=128, shuffle=True)


def epoch() -> None:
    """Prints what `evaluate` takes of an epoch of 50,000 images."""
    net = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(64, 10)),
    )
    train, inside, near, far = (loader(n) for n in (50000, 5000, 5000, 5000))
    step = torch.optim.SGD(net.parameters(), 0.01)
    began = time.perf_counter()
    for pixels, labels in train:
        step.zero_grad()
        nn.functional.cross_entropy(net(pixels), labels).backward()
        step.step()
    whole = time.perf_counter() - began
    for detectors, fit in ((["energy", "msp"], None), (["energy", "knn"], train)):
        began = time.perf_counter()
        oodbench.evaluate(net, inside, {"near": near, "far": far}, detectors, fit=fit)
        share = (time.perf_counter() - began) / whole
        print(
            f"evaluate by {detectors}: {100 * share:.1f} % of an epoch ({whole:.0f} s)"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    guarantees()
    singles()
    epoch()

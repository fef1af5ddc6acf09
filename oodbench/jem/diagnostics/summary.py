"""What a diagnosis says, in a few lines."""

from __future__ import annotations

from oodbench.base.files import Record

MIXED = 1.01
"""Largest R-hat of chains that mix, by Vehtari et al. 2021."""


def summary(record: Record) -> list[str]:
    """Returns the summary of a diagnosis, line by line."""
    return [
        *_mixing(record["chains"]),
        *_energies(record["chains"], record["real"]),
        *_log_z(record["log_z"], record["real"]),
        *_coverage(record["samples"], record["model"]["classes"]),
    ]


def _mixing(chains: Record) -> list[str]:
    steps = chains["sampler"]["steps"]
    pixels, fewest = chains["r_hat_pixels"], chains["effective_samples_pixels"]
    worst = [chains["r_hat"], *([] if pixels is None else [pixels])]
    verdict = "mix" if max(worst) <= MIXED else "do not mix"
    lines = [
        f"{chains['count']} chains of {steps} steps, half from test images and half "
        f"from noise, {verdict}.",
        f"log p(x): R-hat {chains['r_hat']:.3f}, {chains['effective_samples']:.0f} "
        f"effective of {chains['states']} states.",
    ]
    if pixels is not None:
        lines.append(
            f"Worst pixel: R-hat {pixels:.3f}, {fewest:.0f} effective samples."
        )
    return lines


def _energies(chains: Record, real: Record) -> list[str]:
    def over_time(key: str) -> str:
        pairs = zip(chains["steps"], chains[key], strict=True)
        return ", ".join(f"{step}: {value:.4g}" for step, value in pairs)

    name, split = real["set"]["name"], real["set"]["split"]
    return [
        f"log p(x) of {name} ({split}), median: {real['log_px']['median']:.4g}.",
        f"Of chains from these images, by step: {over_time('log_px_from_data')}.",
        f"Of chains from noise, by step: {over_time('log_px_from_noise')}.",
        f"The images below the median of the last of these: "
        f"{chains['real_below_noise']:.0%}; 50% where both agree.",
    ]


def _log_z(found: Record | None, real: Record) -> list[str]:
    if found is None:
        return []
    lower, upper = found["lower"], found["upper"]
    low, high = found["interval"]
    median = real["log_px"]["median"]
    return [
        f"log Z: {lower['value']:.4g} ± {lower['error']:.2g} from below, "
        f"{upper['value']:.4g} ± {upper['error']:.2g} from above; {low:.4g} to "
        f"{high:.4g}.",
        f"Normalised log p(x) of the images, median: {median - high:.4g} to "
        f"{median - low:.4g} nats; 0 is the uniform density.",
    ]


def _coverage(samples: Record, classes: int) -> list[str]:
    beside = samples["beside"]
    line = f"Distance to the nearest training image, median: {_median(beside):.3g}"
    if beside["held_out"] is not None:
        line += f"; of test images {_median(beside['held_out']):.3g}"
    return [
        f"Chains from noise end in {samples['classes']} of {classes} classes, as "
        f"diverse as {samples['effective_classes']:.1f} equal ones.",
        f"{line}.",
    ]


def _median(distances: Record) -> float:
    return float(distances["distances"]["median"])

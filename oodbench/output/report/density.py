"""Shows whether chains of a model mix, its log Z, and samples by training images."""

from __future__ import annotations

from oodbench.base.files import Record
from oodbench.base.text import printable, short_name
from oodbench.output.formats.html import escape, listing
from oodbench.output.numbers import minus, percent
from oodbench.output.report.figures import inline_svg, svg_of
from oodbench.output.report.images import data_uri
from oodbench.output.report.scrolling import scrolling
from oodbench.results.densities import Densities, Stored, of_group
from oodbench.results.groups import Group

HEAD = ["measure", "value", "expected", "meaning"]
ABOUT = (
    "Half of the chains start from images and half from noise. Expected is what they "
    "give if they mix and p(x) fits the images."
)
PAIRS = "nearest.png"
"""The picture of samples and their nearest training images, beside their record."""
BEGINNING = b"\x89PNG\r\n"
"""Of a PNG file."""

Line = list[str]


def write(found: Densities, group: Group, anchor: str) -> str:
    """Returns what is known of a network's p(x) as HTML; empty if nothing is.

    Args:
        found: What is stored of all networks.
        group: The scores of the network.
        anchor: Begins the ids of the figure.
    """
    diagnosis, other = of_group(found.diagnoses, group)
    samples, another = of_group(found.samples, group)
    left_out = [f"<p>{escape(why)}</p>\n" for why in (other, another) if why]
    return "".join(
        [
            _diagnosis(diagnosis.record, anchor) if diagnosis else "",
            _pairs(samples) if samples else "",
            *left_out,
        ]
    )


def _diagnosis(record: Record, anchor: str) -> str:
    from oodbench.output.plots.mixing import mixing  # imports matplotlib

    name = short_name(record["model"]["name"])
    label = f"Chains of {name}"
    svg = inline_svg(svg_of(mixing(record)), f"{anchor}-mixing", label)
    lines = [
        *_mixing(record["chains"]),
        *_energies(record["chains"], record["real"]),
        *_log_z(record["log_z"], record["real"]),
        *_coverage(record["samples"], record["model"]["classes"]),
    ]
    table = scrolling(listing(HEAD, lines), f"Chains and log Z of {name}", "texts")
    return f"<p>{escape(ABOUT)}</p>\n{table}{scrolling(svg, label, 'figure')}"


def _mixing(chains: Record) -> list[Line]:
    states = f"of {chains['states']:,} states"
    lines = [
        ["R-hat of log p(x)", f"{chains['r_hat']:.3f}", "at most 1.01",
         "The spread of all chains over the spread within each; 1 where they agree."],
        ["effective samples of log p(x)",
         f"{chains['effective_samples']:,.0f} {states}", "hundreds",
         "How many independent samples the states of the chains are worth."],
    ]  # fmt: skip
    if chains["r_hat_pixels"] is not None:
        lines += [
            ["R-hat of the worst pixel", f"{chains['r_hat_pixels']:.3f}",
             "at most 1.01", "The same for the pixel with the largest value."],
            ["effective samples of the worst pixel",
             f"{chains['effective_samples_pixels']:,.0f} {states}", "hundreds",
             "The same for the pixel with the fewest."],
        ]  # fmt: skip
    return lines


def _energies(chains: Record, real: Record) -> list[Line]:
    last, name = f"{chains['steps'][-1]:,}", short_name(real["set"]["name"])
    median = _number(real["log_px"]["median"])
    return [
        ["log p(x) of images", median, "",
         f"The median over {name} ({real['set']['split']}), not normalised."],
        [f"log p(x) after {last} steps from images",
         _number(chains["log_px_from_data"][-1]), median,
         "A larger value: chains leave images for modes that no image has."],
        [f"log p(x) after {last} steps from noise",
         _number(chains["log_px_from_noise"][-1]), median,
         "Samples of short chains may look right where long chains go elsewhere."],
        ["images below the chains from noise",
         f"{percent(chains['real_below_noise'], 0)} %", "50 %",
         "The share of images whose log p(x) is below these chains' last median."],
    ]  # fmt: skip


def _log_z(found: Record | None, real: Record) -> list[Line]:
    if found is None:
        return []
    low, high = found["interval"]
    median = real["log_px"]["median"]
    return [
        ["log Z", f"{_number(low)} to {_number(high)}", "a narrow interval",
         "The integral of exp log p(x) over pixels in [0, 1]; bounds by annealed "
         "importance sampling."],
        ["normalised log p(x) of images",
         f"{_number(median - high)} to {_number(median - low)} nats", "above 0",
         "The median minus log Z; the uniform density has 0."],
    ]  # fmt: skip


def _coverage(samples: Record, classes: int) -> list[Line]:
    beside = samples["beside"]
    held_out = beside["held_out"]
    return [
        ["classes of samples", f"{samples['classes']} of {classes}", "all",
         "The classes that the network predicts for the chains from noise."],
        ["diversity of classes", f"{samples['effective_classes']:.1f}",
         "near the number of classes",
         "How many equally frequent classes the samples are worth."],
        ["distance to the nearest training image",
         _number(beside["distances"]["median"]),
         "" if held_out is None else _number(held_out["distances"]["median"]),
         "The median over samples, and over test images. Far smaller: copies."],
    ]  # fmt: skip


def _pairs(samples: Stored) -> str:
    """Returns the picture of samples beside their nearest training images, if any."""
    try:
        content = (samples.path.parent / PAIRS).read_bytes()
    except OSError:
        return ""
    if not content.startswith(BEGINNING):
        return ""
    chains = samples.record["chains"]
    text = (
        f"Samples of {short_name(samples.record['model']['name'])}, each with its "
        f"nearest training image: {chains['count']} chains from {chains['start']}."
    )
    return (
        f"<details>\n<summary>{escape(printable(text))}</summary>\n"
        f'<img class="whole" src="{data_uri(content)}" alt="{escape(text)}">\n'
        "</details>\n"
    )


def _number(value: float) -> str:
    return minus(f"{value:.4g}")

"""`oodbench sample`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli.options import checkpoint_options, device_option
from oodbench.cli.progress import Progress

if TYPE_CHECKING:
    from oodbench.base.files import Record
    from oodbench.networks.network import Network

COUPLED = "coupled"


@click.command()
@click.option("--model", required=True, help="A file or a bundled name.")
@checkpoint_options
@click.option("--count", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--class",
    "classes",
    metavar="CLASSES",
    help="As in 0-3+7: chains climb log p(x|y) of these in turn.  [default: log p(x)]",
)
@click.option(
    "--start",
    type=click.Choice(["noise", "buffer"]),
    default="noise",
    show_default=True,
    help="buffer is the replay buffer in a JEM's checkpoint.",
)
@click.option("--steps", type=click.IntRange(0), default=400, show_default=True)
@click.option(
    "--step-size",
    type=float,
    default=1.0,
    show_default=True,
    help="On the gradient of log p(x), for images in [-1, 1].",
)
@click.option(
    "--noise",
    default="0.01",
    show_default=True,
    metavar=f"NUMBER or {COUPLED}",
    help=f"Its deviation; {COUPLED} is that of Langevin dynamics at --temperature.",
)
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--clip", type=float, help="Largest entry of a gradient.")
@click.option("--clamp", type=float, help="Largest pixel; 1 keeps images in [-1, 1].")
@click.option(
    "--beside",
    metavar="SET",
    help="The training set, to look for copies and to compare log p(x) with.",
)
@click.option(
    "--fid",
    metavar="SET",
    help="Measures the Fréchet Inception distance from its training images; needs "
    "oodbench[fid] and thousands of samples.",
)
@click.option(
    "--fid-weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The Inception network's.  [default: torch-fidelity downloads them]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Changes samples by rounding alone.  [default: by the size of the images]",
)
@device_option
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/samples"),
    show_default=True,
)
def sample(
    model: str,
    checkpoint: Mapping[str, Any],
    count: int,
    classes: str | None,
    start: str,
    steps: int,
    step_size: float,
    noise: str,
    temperature: float,
    clip: float | None,
    clamp: float | None,
    beside: str | None,
    fid: str | None,
    fid_weights: Path | None,
    seed: int,
    batch_size: int | None,
    device: str,
    folder: Path,
) -> None:
    """Draws samples from a model's p(x) or p(x|y) by SGLD.

    Writes samples.png, samples.npz, chain.png, nearest.png and samples.json.

    \b
    oodbench sample --model jem-digits --beside digits:0-7
    oodbench sample --model jem.pt --start buffer --steps 0 --beside cifar10
    """
    from oodbench.jem.sampler import SGLD
    from oodbench.jem.samples.run import Request, draw_samples
    from oodbench.networks.hardware import pick_device

    if fid_weights and not fid:
        raise InputError("--fid-weights is for --fid, and there is no --fid.")
    sampler = SGLD(
        steps,
        step_size,
        _noise(noise),
        temperature=temperature,
        clip=clip,
        clamp=clamp,
    )
    network = _network(model, checkpoint, beside).to(pick_device(device))
    request = Request(
        count=count,
        sampler=sampler,
        seed=seed,
        classes=_classes(classes, network),
        buffer=_buffer(model) if start == "buffer" else None,
        beside=beside,
        fid=fid,
        fid_weights=fid_weights,
        batch_size=batch_size,
    )
    with Progress() as progress:
        drawn = draw_samples(network, request, watch=progress.watch)
    drawn.write(folder)
    for line in _summary(drawn.record):
        click.echo(printable(line))
    click.echo(f"Written to {folder}.", err=True)


def _noise(text: str) -> float | None:
    if text == COUPLED:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--noise must be a number or {COUPLED}, not {text!r}."
        ) from None


def _network(model: str, checkpoint: Mapping[str, Any], beside: str | None) -> Network:
    from oodbench.data.image_set import native_shape
    from oodbench.data.spec import open_dataset
    from oodbench.networks.load import load_network

    if checkpoint["arch"] is None:
        return load_network(model, **checkpoint)
    if beside is None:
        raise InputError(
            "With --arch the size of the images is read off the training set; name it "
            "with --beside."
        )
    shape = native_shape(open_dataset(beside))
    return load_network(model, shape=shape, **checkpoint)


def _buffer(model: str) -> Path:
    from oodbench.base import registry

    if model in registry.names("models"):
        raise InputError(
            f"The model {model!r} comes without a replay buffer; use --start noise."
        )
    return Path(model)


def _classes(text: str | None, network: Network) -> Sequence[int]:
    from oodbench.data.dataset import parse_classes

    if text is None:
        return ()
    try:
        return parse_classes(text, network.classes, dataset=network.name)
    except InputError:
        raise InputError(
            f"--class {text!r} must name classes of {network.name}, 0 to "
            f"{network.classes - 1}, as in 0-3+7."
        ) from None


def _summary(record: Record) -> list[str]:
    """Returns what to say of the samples, line by line."""
    chains, states, images = record["chains"], record["states"], record["images"]
    favourite = max(images["predicted"], key=images["predicted"].__getitem__)
    lines = [
        f"{chains['count']} samples of {record['model']['name']}: "
        f"{chains['sampler']['steps']} steps from {chains['start']}.",
        f"Predicted: {len(images['predicted'])} of {record['model']['classes']} "
        f"classes, most often {favourite} ({images['predicted'][favourite]:.0%}).",
        f"Outside [0, 1]: {states['pixels_outside']:.1%} of the pixels, by "
        f"{states['farthest']:.3g} at most.",
    ]
    if chains["classes"]:
        lines.append(f"Predicted as drawn: {images['predicted_as_drawn']:.0%}.")
    lines += _compared(images, record["beside"]) if "beside" in record else []
    if "fid" in record:
        real = record["fid"]["set"]
        lines.append(
            f"FID {record['fid']['value']:.4g} between {record['fid']['samples']} "
            f"samples and the {real['images']} {real['split']} images of "
            f"{real['name']}, none filtered."
        )
    return lines


def _compared(images: Record, beside: Record) -> list[str]:
    densities = {"samples": images, "training images": beside}
    distances = {"samples": beside}
    if beside["held_out"] is not None:
        densities["test images"] = distances["test images"] = beside["held_out"]
    medians = ", ".join(
        f"{name} {each['log_px']['median']:.4g}" for name, each in densities.items()
    )
    nearest = "; ".join(
        f"{name} {each['distances']['least']:.3g}, {each['distances']['median']:.3g}"
        for name, each in distances.items()
    )
    return [
        f"log p(x), median: {medians}.",
        f"Distance to the nearest training image, least and median: {nearest}.",
    ]

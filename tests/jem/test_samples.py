"""Laws of samples, of what is measured of them, and of `oodbench sample`."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from oodbench import Dataset, InputError, Network, Shape, Split
from oodbench.data.spec import open_dataset
from oodbench.jem.energy import gradient, log_density
from oodbench.jem.sampler import SGLD
from oodbench.jem.samples import neighbours, pictures
from oodbench.jem.samples.draw import (
    FILMED,
    draw_samples,
    film_steps,
    pick,
    read_buffer,
)
from oodbench.jem.samples.neighbours import compare, nearest_images, open_training
from oodbench.jem.samples.record import of_sampler, of_states
from oodbench.jem.samples.run import sample
from oodbench.networks.architectures.jem_wrn import JEMWideResNet
from oodbench.scoring.batches import Batches
from oodbench.scoring.fitting.nearest import nearest

SHORT = SGLD(steps=6, step_size=0.1)
SHAPE = Shape(1, 2, 2)


class Mixture(nn.Module):
    """The exact classifier of two Gaussians: f(x)[y] = log π_y − ‖x − μ_y‖² / 2σ²."""

    def __init__(self, centres, deviation, shares=(0.5, 0.5)):
        super().__init__()
        self.centres, self.deviation = torch.tensor(centres), deviation
        self.log_shares = torch.tensor(shares).log()

    def forward(self, states):
        offsets = states.flatten(1)[:, None] - self.centres
        distances = offsets.square().sum(2)
        return self.log_shares - distances / (2 * self.deviation**2)


def mixture(*args):
    return Network(Mixture(*args), SHAPE, "mixture", (0.5,), (0.5,))


def random_images(count, shape=(4, 4, 1), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def arrays(folder):
    """What the archive of samples in a folder holds."""
    with np.load(folder / "samples.npz") as stored:
        return dict(stored)


def dataset(splits):
    """A set of the given images, by split."""
    return Dataset("some", lambda stage, _: Split(splits[stage]), "far", tuple(splits))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_sample_depends_on_seed_and_number_alone(tiny, batch_size):
    seven = draw_samples(tiny, SHORT, 7, seed=5)
    others = draw_samples(tiny, SHORT, 9, seed=5, batches=Batches(batch_size))
    torch.testing.assert_close(others.states[:7], seven.states)
    torch.testing.assert_close(others.film.states[:7], seven.film.states)
    assert not torch.allclose(draw_samples(tiny, SHORT, 7, seed=6).states, seven.states)


def test_no_step_leaves_chains_where_they_begin(tiny):
    still = replace(SHORT, steps=0)
    noise = draw_samples(tiny, still, 500).states
    assert noise.abs().max() <= 1
    assert noise.var().item() == pytest.approx(1 / 3, rel=0.05)
    starts = torch.full((3, 1, 4, 4), 1.5)
    assert torch.equal(draw_samples(tiny, still, 3, starts=starts).states, starts)
    assert torch.equal(draw_samples(tiny, SHORT, 500).film.states[:, 0], noise[:FILMED])


def test_a_film_shows_each_chain_from_its_start_to_its_end(tiny):
    drawn = draw_samples(tiny, SHORT, 20, batches=Batches(3))
    assert drawn.film.steps == (0, 1, 2, 3, 4, 5, 6)
    assert drawn.film.states.shape == (FILMED, 7, 1, 4, 4)
    assert torch.equal(drawn.film.states[:, -1], drawn.states[:FILMED])
    assert not torch.equal(drawn.film.states[:, -1], drawn.film.states[:, -2])


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 100, 12345])
def test_a_film_begins_at_0_ends_at_the_last_step_and_is_short(steps):
    shown = film_steps(steps)
    assert (shown[0], shown[-1]) == (0, steps)
    assert len(shown) <= 10
    assert list(shown) == sorted(set(shown))


def test_samples_of_a_mixture_have_its_mean_and_variance():
    deviation, shares, centre = 0.3, (0.3, 0.7), 0.1
    network = mixture([[-centre] * 4, [centre] * 4], deviation, shares)
    rate = 0.05
    sampler = SGLD(steps=150, step_size=rate * deviation**2, noise=None)
    states = draw_samples(network, sampler, 1500).states
    mean = (shares[1] - shares[0]) * centre
    between = centre**2 - mean**2
    # Steps of this length make a Gaussian's variance larger by 1 / (1 − rate / 2).
    variance = deviation**2 / (1 - rate / 2) + between
    assert states.mean().item() == pytest.approx(mean, abs=0.02)
    assert states.var().item() == pytest.approx(variance, rel=0.06)


def test_chains_on_a_class_come_to_its_gaussian():
    deviation, rate = 0.1, 0.1
    centres = [[-0.5, 0.5, 0.0, 0.25], [0.5, -0.5, 0.25, 0.0]]
    network = mixture(centres, deviation, (0.9, 0.1))
    sampler = SGLD(steps=120, step_size=rate * deviation**2, noise=None)
    drawn = draw_samples(network, sampler, 600, classes=(1, 0))
    assert drawn.labels.tolist() == [1, 0] * 300
    for label, centre in enumerate(centres):
        states = drawn.states[drawn.labels == label].flatten(1)
        assert states.mean(0).tolist() == pytest.approx(centre, abs=0.03)
        variance = deviation**2 / (1 - rate / 2)
        assert states.var(0).mean().item() == pytest.approx(variance, rel=0.1)


def test_log_density_is_that_of_the_pixels_and_has_half_the_gradient(tiny):
    states = torch.linspace(-1.5, 1.5, 48).view(3, 1, 4, 4)
    pixels, labels = (states + 1) / 2, torch.tensor([0, 5, 2])
    result = tiny(pixels)
    assert torch.equal(log_density(tiny)(states), result.log_px)
    # With equal shares of six classes, log p(x|y) = f(x)[y] + log 6.
    expected = result.logits[range(3), labels] + math.log(6)
    torch.testing.assert_close(log_density(tiny, labels)(states), expected)
    by_pixels = gradient(lambda x: tiny(x).log_px, pixels)
    torch.testing.assert_close(gradient(log_density(tiny), states), by_pixels / 2)


@pytest.mark.parametrize("k", [1, 4])
def test_the_nearest_is_the_naive_one(k):
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(300, 12, generator=rng, dtype=torch.float64)
    others = torch.rand(50, 12, generator=rng, dtype=torch.float64)
    found = nearest(images, others, k)
    for image, distance, place in zip(images, *found, strict=True):
        naive = (others - image).square().sum(1).sqrt()
        ranked = naive.sort()
        assert distance.item() == pytest.approx(ranked.values[k - 1].item())
        assert place == ranked.indices[k - 1]


def test_nearest_images_read_in_parts_are_those_of_the_whole(monkeypatch):
    splits = {"train": random_images(40), "test": random_images(9, seed=1)}
    training = open_training(dataset(splits), Shape(1, 4, 4))
    pixels = torch.from_numpy(splits["test"]).permute(0, 3, 1, 2) / 255
    bank = torch.from_numpy(splits["train"]).permute(0, 3, 1, 2) / 255
    whole = nearest(pixels.flatten(1).double(), bank.flatten(1).double())
    monkeypatch.setattr(neighbours, "BATCH", 7)
    found = nearest_images(pixels, training)
    assert torch.equal(found.distances, whole.distances)
    assert torch.equal(found.places, whole.places)
    assert torch.equal(found.pixels, bank[whole.places])


def test_a_training_image_is_its_own_nearest_at_distance_0():
    images = random_images(30)
    training = open_training(dataset({"train": images}), Shape(1, 4, 4))
    found = compare(torch.from_numpy(images).permute(0, 3, 1, 2) / 255, training)
    assert found.nearest.distances.tolist() == [0.0] * 30
    assert found.nearest.places.tolist() == list(range(30))
    assert found.held_out is None


def test_test_images_are_the_yardstick_as_many_as_samples():
    splits = {"test": random_images(50, seed=1), "train": random_images(20)}
    training = open_training(dataset(splits), Shape(1, 4, 4))
    assert training.stage == "train"
    found = compare(torch.rand(6, 1, 4, 4), training)
    assert found.held_out.count == len(found.yardstick.distances) == 6


def test_the_record_says_how_far_states_left_the_range(tiny):
    states = torch.zeros(4, 1, 4, 4)
    states[0, 0, 0, :2] = torch.tensor([1.5, -1.2])
    record = of_states(tiny, states, Batches(3))
    assert record["images_outside"] == 1 / 4
    assert record["pixels_outside"] == 2 / 64
    assert record["farthest"] == 0.25
    assert record["log_px"]["median"] == pytest.approx(
        tiny(torch.full((1, 1, 4, 4), 0.5)).log_px.item()
    )


def test_an_infinite_temperature_is_no_number_in_the_record():
    assert of_sampler(SGLD(step_size=0.0))["effective_temperature"] is None
    assert of_sampler(SGLD())["effective_temperature"] == pytest.approx(5e-5)


def test_states_of_a_buffer_are_drawn_once_each_by_the_seed():
    buffer = torch.arange(50.0).view(50, 1, 1, 1)
    first, second = pick(buffer, 20, seed=0), pick(buffer, 50, seed=0)
    assert torch.equal(second[:20], first)
    assert second.flatten().sort().values.tolist() == list(range(50))
    assert not torch.equal(pick(buffer, 20, seed=1), first)


@pytest.fixture
def checkpoint(tmp_path):
    """The path of a small JEM with a replay buffer of eight states."""
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = JEMWideResNet(depth=10, width=1, classes=3)
    buffer = 2.4 * torch.rand(8, 3, 32, 32, generator=rng) - 1.2
    state = {"model_state_dict": module.state_dict(), "replay_buffer": buffer}
    torch.save(state, tmp_path / "jem.pt")
    return tmp_path / "jem.pt"


def test_a_buffer_can_be_shown_as_it_lies(oodbench, checkpoint):
    code, out, _ = oodbench(
        "sample", "--model", "jem.pt", "--start", "buffer", "--steps", "0",
        "--count", "8", "--to", "shown",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("8 samples of jem: 0 steps from replay buffer of jem.pt.\n")
    buffer = torch.load(checkpoint)["replay_buffer"].clamp(-1, 1)
    levels = ((buffer + 1) / 2 * 255).round().byte().permute(0, 2, 3, 1).numpy()
    shown = arrays(checkpoint.parent / "shown")["images"]
    assert sorted(map(bytes, shown)) == sorted(map(bytes, levels))


def test_chains_from_a_buffer_begin_there(checkpoint):
    network = Network(JEMWideResNet(depth=10, width=1), (3, 32, 32))
    buffer = read_buffer(checkpoint, network)
    film = sample(
        checkpoint, None, count=2, steps=1, step_size=0.1, start="buffer"
    ).samples.film
    assert torch.equal(film.states[:, 0], pick(buffer, 2, seed=0))
    assert not torch.equal(film.states[:, 1], film.states[:, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"batch_size": -1}, "batch size must be at least 1, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"start": "buffers"}, "from noise or buffer, not 'buffers'"),
        ({"start": "buffer"}, "'tiny' comes without a replay buffer"),
        ({"classes": [6]}, "classes of tiny are 0 to 5, not 6"),
        ({"classes": "0-6"}, "--class '0-6' must name classes of tiny, 0 to 5"),
    ],
)
def test_wrong_arguments_are_one_sentence(tiny, options, message):
    with pytest.raises(InputError, match=message):
        sample(tiny, None, **options)


def test_a_network_and_a_set_in_memory_can_be_sampled(tiny, tmp_path):
    beside = dataset({"train": random_images(20), "test": random_images(9, seed=1)})
    options = {"count": 5, "steps": 3, "classes": "1+4", "beside": beside}
    found = sample(tiny, tmp_path, **options)
    assert found.labels.tolist() == [1, 4, 1, 4, 1]
    assert repr(found) == "<Sampling: 5 samples of tiny: 3 steps from noise.>"
    assert np.array_equal(arrays(tmp_path)["images"], found.images)
    same = sample(tiny, None, **{**options, "classes": [1, 4]})
    assert np.array_equal(same.images, found.images)


COMMAND = (
    "sample", "--model", "jem-digits", "--beside", "digits:0-7", "--count", "12",
    "--steps", "5", "--to", "drawn",
)  # fmt: skip


def test_the_command_writes_pictures_images_and_record(oodbench, tmp_path):
    code, out, errors = oodbench(*COMMAND)
    assert code == 0, errors
    folder = tmp_path / "drawn"
    record = json.loads((folder / "samples.json").read_text())
    stored = arrays(folder)
    assert stored["images"].shape == (12, 8, 8, 1)
    assert record["chains"]["sampler"]["steps"] == 5
    assert sum(record["images"]["predicted"].values()) == pytest.approx(1)
    assert record["beside"]["set"]["images"] == 863
    distances = record["beside"]["distances"]
    assert distances["least"] == stored["distances"].min()
    assert f"samples {distances['least']:.3g}, {distances['median']:.3g};" in out
    for name in ("samples", "chain", "nearest"):
        with Image.open(folder / f"{name}.png") as picture:
            picture.load()


def test_the_samples_can_be_scored_as_a_set(oodbench):
    oodbench(*COMMAND, "--class", "3+5")
    drawn = open_dataset("npz:drawn/samples.npz").load("test", SHAPE)
    assert drawn.labels.tolist() == [3, 5] * 6
    code, out, errors = oodbench(
        "run", "--model", "jem-digits", "--out", "far=npz:drawn/samples.npz",
        "--detectors", "energy", "--no-plots",
    )  # fmt: skip
    assert code == 0, errors
    assert "samples" in out


def test_the_same_command_gives_the_same_bytes(oodbench, tmp_path):
    def content():
        oodbench(*COMMAND)
        files = sorted((tmp_path / "drawn").iterdir())
        return {f.name: f.read_bytes() for f in files if f.suffix != ".json"}

    first = content()
    assert sorted(first) == ["chain.png", "nearest.png", "samples.npz", "samples.png"]
    assert content() == first


def test_networks_do_not_replace_the_samples_of_each_other(oodbench, tmp_path):
    for model in ("jem-digits", "ce-digits"):
        code, _, errors = oodbench("sample", "--model", model, "--steps", "1")
        assert code == 0, errors
    folders = sorted((tmp_path / "results" / "samples").iterdir())
    assert [each.name.partition("-digits-")[0] for each in folders] == ["ce", "jem"]
    assert all((each / "samples.json").is_file() for each in folders)


def test_a_picture_of_earlier_samples_does_not_stay(oodbench, tmp_path):
    oodbench(*COMMAND)
    oodbench("sample", "--model", "jem-digits", "--steps", "1", "--to", "drawn")
    assert not (tmp_path / "drawn" / "nearest.png").exists()


def test_classes_stand_in_rows_of_equal_length():
    labels = torch.arange(12) % 2
    shades = (labels + 1).view(-1, 1, 1, 1) / 3
    png = pictures.samples_png(shades.expand(-1, 1, 8, 8), labels)
    with Image.open(io.BytesIO(png)) as picture:
        sheet = np.asarray(picture)[..., 0]
    # Six of a class on two rows of three, not on rows of four and two.
    rows = [sheet[row * 50 + 2 : row * 50 + 50, -150:] for row in range(4)]
    assert sheet.shape[0] == 4 * 50 + 2
    assert [int(np.median(row)) for row in rows] == [85, 85, 170, 170]


def test_chains_that_run_away_are_one_sentence():
    network = mixture([[0.0] * 4, [0.0] * 4], 0.1)
    with pytest.raises(InputError, match=r"3 of 3 chains have values that are not"):
        draw_samples(network, SGLD(steps=60, step_size=1.0), 3)


@pytest.mark.parametrize("fits", [3, 0])
def test_chains_that_do_not_fit_run_in_smaller_batches(tiny, monkeypatch, fits):
    expected, forward = draw_samples(tiny, SHORT, 9), tiny.module.forward

    def fail(images):
        if len(images) > fits:
            raise torch.OutOfMemoryError
        return forward(images)

    steps = []
    monkeypatch.setattr(tiny.module, "forward", fail)
    if not fits:
        with pytest.raises(InputError, match="Out of memory with one image at a time"):
            draw_samples(tiny, SHORT, 9)
        return
    found = draw_samples(tiny, SHORT, 9, tell=steps.append)
    torch.testing.assert_close(found.states, expected.states)
    torch.testing.assert_close(found.film.states, expected.film.states)
    assert sum(steps) == 9 * SHORT.steps


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--class", "7-9"], "--class '7-9' must name classes of jem-digits, 0 to 7"),
        (["--class", "x"], "--class 'x' must name classes of jem-digits, 0 to 7"),
        (["--class", "1", "--steps", "0"], "Chains without steps do not reach a class"),
        (["--noise", "much"], "--noise must be a number or coupled, not 'much'"),
        (["--noise", "-1"], "The SGLD noise -1.0 must be at least 0"),
        (["--temperature", "2"], "A temperature needs noise that is coupled"),
        (["--clip", "0"], "The SGLD clip must be positive"),
        (["--start", "buffer"], "'jem-digits' comes without a replay buffer"),
        (["--beside", "digits:0-99"], "'0-99' in digits:0-99 must rise"),
        (["--fid-weights", "w.pth"], "--fid-weights is for --fid, and there is no"),
    ],
)
def test_bad_options_are_one_sentence(oodbench, options, told):
    code, _, errors = oodbench("sample", "--model", "jem-digits", *options)
    assert code == 3
    assert told in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--count", "9"], "has only 8 states for 9 chains"),
        (["--arch", "nets.py:net"], "With --arch the size of the images comes from"),
    ],
)
def test_bad_options_for_a_checkpoint_are_one_sentence(
    oodbench, checkpoint, options, told
):
    code, _, errors = oodbench(
        "sample", "--model", "jem.pt", "--start", "buffer", "--steps", "0", *options
    )
    assert code == 3
    assert told in errors


@pytest.mark.parametrize(
    ("buffer", "told"),
    [
        (None, "has no replay buffer"),
        ([0.0], "has no replay buffer"),
        (torch.zeros(5, 3, 16, 16), r"is torch.float32 \(5, 3, 16, 16\); the network"),
        (torch.zeros(5, 3, 32, 32, dtype=torch.uint8), "is torch.uint8"),
        (torch.zeros(3, 32, 32), "the network takes images 3x32x32"),
    ],
)
def test_a_buffer_of_another_kind_is_refused(tmp_path, buffer, told):
    torch.save({"replay_buffer": buffer}, tmp_path / "jem.pt")
    network = Network(JEMWideResNet(depth=10, width=1), (3, 32, 32))
    with pytest.raises(InputError, match=told):
        read_buffer(tmp_path / "jem.pt", network)


def test_a_buffer_with_nan_is_refused():
    buffer = torch.zeros(4, 1, 2, 2)
    buffer[1] = math.nan
    with pytest.raises(InputError, match="1 of 4 states of the replay buffer have"):
        pick(buffer, 4, seed=0)

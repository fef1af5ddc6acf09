"""Neighbours in a report: the training images nearest to those that it shows."""

import base64
import html
import io
import json
import re
from math import sqrt

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import (
    InputError,
    Neighbours,
    Network,
    import_scores,
    report,
    run,
)
from oodbench.output.report.images import reopen
from oodbench.results.opened import open_results

TRAINING = [(200, 0), (0, 200), (100, 100)]
"""Two pixels each; the features are the pixels, at 0, 90 and 45 degrees."""
INSIDE = [(80, 0), (0, 90), (60, 60)]
OUTSIDE = [(120, 0), (0, 70)]
DIAGONAL = sqrt(2 - sqrt(2))
"""The distance of two points on the unit circle that are 45 degrees apart."""


def network(weight=1.0, name="plain", **changes):
    """Returns a network on 1x1x2 images whose features are the pixels."""
    linear = torch.nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(weight * torch.eye(2))
        linear.bias.zero_()
    module = torch.nn.Sequential(torch.nn.Flatten(), linear)
    return Network(module, (1, 1, 2), name, **changes)


def save(path, pixels, labels=None):
    images = np.array(pixels, np.uint8).reshape(-1, 1, 2, 1)
    known = {} if labels is None else {"labels": np.array(labels)}
    np.savez(path, images=images, **known)


@pytest.fixture
def scored(tmp_path):
    """Scores the images by a network; returns the results."""
    save(tmp_path / "train.npz", TRAINING, [0, 1, 1])
    save(tmp_path / "in.npz", INSIDE, [0, 1, 1])
    save(tmp_path / "out.npz", OUTSIDE)

    def score(model=None, detectors="knn:k=1,msp", **options):
        return run(
            model or network(),
            inside=f"npz:{tmp_path / 'in.npz'}",
            out=f"far=npz:{tmp_path / 'out.npz'}",
            fit=f"npz:{tmp_path / 'train.npz'}",
            detectors=detectors,
            results=tmp_path / "runs",
            quiet=True,
            **options,
        )

    return score


def told_by(results, near, **options):
    """Returns what a report with neighbours says, and its page."""
    told = []
    path = report(results, neighbours=near, tell=told.append, **options)
    return told, path.read_text()


def given(model=None, count=2):
    return Neighbours(count, {"plain": model or network()})


def test_neighbours_are_those_of_the_unit_circle(scored):
    (group,) = open_results(scored()).groups
    near = given(count=3)(group)(reopen(group.inside))
    assert near.places.tolist() == [[0, 2, 1], [1, 2, 0], [2, 0, 1]]
    expected = [[0, DIAGONAL, sqrt(2)]] * 2 + [[0, DIAGONAL, DIAGONAL]]
    assert np.allclose(near.distances, expected, rtol=0, atol=1e-6)


def test_there_are_no_more_neighbours_than_training_images(scored):
    (group,) = open_results(scored()).groups
    assert given(count=9)(group)(reopen(group.inside)).places.shape == (3, 3)


def test_the_distance_to_the_first_is_the_score_of_knn(scored):
    (group,) = open_results(scored()).groups
    for one in (group.inside, *group.outside):
        near = given(count=1)(group)(reopen(one))
        assert np.array_equal(-near.distances[:, 0], one.cells["knn:k=1"].scores)


def test_the_layer_that_a_run_has_chosen_gives_the_features(scored):
    squeeze, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    with torch.no_grad():
        squeeze.weight.copy_(torch.tensor([[1, 0], [0, 0.1]]))
    module = torch.nn.Sequential(torch.nn.Flatten(), squeeze, head)
    chosen = Network(module, (1, 1, 2), "plain", head_layer="1")
    (group,) = open_results(scored(chosen)).groups
    find = given(Network(module, (1, 1, 2), "plain"), count=3)(group)
    distances = find(reopen(group.inside)).distances
    assert np.allclose(distances[0], [0, DIAGONAL, sqrt(2)], rtol=0, atol=1e-6)


def test_the_gallery_shows_them_below_each_image(scored):
    told, text = told_by(scored(), given())
    assert not told
    shown = re.findall(r"#(\d)</span>.*?<ul class=\"near\">(.*?)</ul>", text, re.DOTALL)
    assert len(shown) == 2 * (len(INSIDE) + len(OUTSIDE))
    for place, listed in shown[-2:]:  # of the OOD set by msp
        own = int(place)
        assert f"image {own} of train (test)" in listed
        found = re.findall(r"base64,([^\"]*)", listed)
        pictures = [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]
        pixels = [tuple(np.asarray(one).ravel()) for one in pictures]
        assert pixels == [TRAINING[own], TRAINING[2]]
        lines = re.findall(r"<span>(.*?)</span>", listed)
        assert lines == [f"class {own}", "0.000", "class 1", f"{DIAGONAL:.3f}"]


def test_a_page_of_all_images_holds_them(scored):
    index = report(scored(), images="all", neighbours=given())
    folder = index.parent / "images"
    block = re.search(
        r'<script type="application/json">(.*?)</script>',
        (folder / "s0-0-i1.html").read_text(),
    )
    near = json.loads(block[1])["near"]

    def unpacked(name, kind="<i4"):
        return np.frombuffer(base64.b64decode(near[name]), kind).tolist()

    assert (near["count"], near["name"]) == (2, "train (test)")
    tiles = unpacked("tiles")
    assert [unpacked("places")[tile] for tile in tiles] == [0, 2, 1, 2]
    assert [unpacked("labels")[tile] for tile in tiles] == [0, 1, 1, 1]
    distances = unpacked("distances", "<f4")
    assert np.allclose(distances, [0, DIAGONAL] * 2, rtol=0, atol=1e-6)
    sheet = np.asarray(Image.open(folder / near["sheet"]["urls"][0]))
    shown = [tuple(sheet[:, 2 * tile : 2 * tile + 2, 0].max(0)) for tile in tiles]
    assert shown == [TRAINING[0], TRAINING[2], TRAINING[1], TRAINING[2]]


def test_one_file_holds_their_pictures_too(scored, tmp_path):
    results = scored()
    path = report(results, tmp_path / "one.html", images="all", neighbours=given())
    blocks = re.findall(r"application/json\">(.*?)</script>", path.read_text())
    urls = [json.loads(one)["near"]["sheet"]["urls"] for one in blocks]
    assert len(urls) == 2
    assert all(one[0].startswith("data:image/png") for one in urls)


@pytest.mark.parametrize("images", ["worst", "all"])
def test_without_neighbours_the_report_says_why(scored, images):
    told, text = told_by(scored(), given(network(2.0)), images=images)
    (note,) = told
    assert note.startswith("No neighbours by plain: The scores were made for another")
    assert f"<p>{note}</p>" in html.unescape(text)
    assert 'class="near"' not in text


def refused(results, near):
    """Returns why a model has no neighbours."""
    (group,) = open_results(results).groups
    with pytest.raises(InputError) as error:
        near(group)
    return str(error.value)


FACTORY = """
import torch

def build():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
"""


def test_a_file_is_loaded_again_unless_its_weights_have_changed(scored, tmp_path):
    (tmp_path / "made.py").write_text(FACTORY)
    arch = {"arch": f"{tmp_path / 'made.py'}:build"}
    path = tmp_path / "weights.pt"
    torch.save(network().module.state_dict(), path)
    results = scored(str(path), checkpoint=arch)
    near = Neighbours(1, {"weights": path}, arch)
    (group,) = open_results(results).groups
    assert near(group)(reopen(group.inside)).places[:, 0].tolist() == [0, 1, 2]
    torch.save(network(3.0).module.state_dict(), path)
    assert "has other weights" in refused(results, near)
    path.unlink()
    assert "weights.pt" in refused(results, near)


def test_other_training_images_are_refused(scored, tmp_path):
    results = scored()
    save(tmp_path / "train.npz", TRAINING[::-1], [0, 1, 1])
    assert "are not those that knn:k=1 was fitted on" in refused(results, given())
    (tmp_path / "train.npz").unlink()
    assert "There is no file" in refused(results, given())


def test_code_that_would_make_the_training_images_is_not_run(scored, tmp_path):
    results = scored()
    code = tmp_path / "evil.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (group,) = open_results(results).groups
    group.inside.cells["knn:k=1"].record["detector"]["fitted_on"]["spec"] = f"{code}:f"
    with pytest.raises(InputError, match="is not run for a report"):
        given()(group)
    assert not (tmp_path / "ran").exists()


def test_a_network_without_features_has_no_neighbours(scored):
    module = torch.nn.Sequential(torch.nn.Flatten())
    model = Network(module, (1, 1, 2), "plain")
    results = scored(model, "msp,pixel_knn:k=1")
    assert refused(results, given(model)) == "plain has no features."


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "--network 'plain=FILE'"),
        ({"detectors": "msp"}, "No detector of plain here is fitted"),
        ({"input_noise": 0.1}, "had noise"),
    ],
)
def test_what_cannot_be_had_again_is_said(scored, options, reason):
    assert reason in refused(scored(**options), Neighbours(1))


def test_imported_scores_have_no_neighbours(tmp_path):
    arrays = {"in.scores": np.arange(3.0), "far.x.scores": -np.arange(3.0)}
    np.savez(tmp_path / "net.npz", **arrays)
    import_scores(tmp_path / "net.npz", results=tmp_path / "runs", detector="msp")
    assert "No detector of net" in refused(tmp_path / "runs", Neighbours(1))


def test_neighbours_of_no_images_and_no_neighbours_are_refused(scored):
    with pytest.raises(InputError, match="Neighbours need images"):
        report(scored(), images="none", neighbours=given())
    with pytest.raises(InputError, match="at least 1, got 0"):
        Neighbours(0)


def test_the_command_finds_bundled_networks(oodbench):
    run = ["run", "--model", "ce-digits", "--limit", "9", "--detectors", "pixel_knn"]
    oodbench(*run, "--out", "digits:8-9")
    code, _, errors = oodbench("report", "--images", "all", "--neighbours", "2")
    assert code == 0
    assert "No neighbours" not in errors
    code, _, errors = oodbench("report", "--neighbours", "2", "--network", "ce.pt")
    assert code == 3
    assert "--network must be MODEL=FILE, not 'ce.pt'" in errors
    code, _, errors = oodbench("report", "--network", "ce=ce.pt")
    assert code == 3
    assert "are for --neighbours" in errors

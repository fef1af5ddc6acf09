"""A report with all images: every number leads to the images behind it."""

import base64
import html
import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError, image_scores, import_scores, report, run
from oodbench.data.dataset import Dataset, Split
from oodbench.output.report import page

LABEL = "energy:temperature=2"


@pytest.fixture
def results(tiny, images, tmp_path):
    """A folder of results on sets that can be opened again."""
    rng = np.random.default_rng(1)
    for name, split in {
        "in": images,
        "out": Split(rng.integers(0, 256, (450, 4, 4, 1), dtype=np.uint8)),
    }.items():
        arrays = {"images": split.images}
        if split.labels is not None:
            arrays["labels"] = split.labels
        np.savez(tmp_path / f"{name}.npz", **arrays)
    run(
        tiny,
        inside=f"npz:{tmp_path / 'in.npz'}",
        out=f"far=npz:{tmp_path / 'out.npz'}",
        detectors=f"{LABEL},msp",
        results=tmp_path / "runs",
        quiet=True,
    )
    return tmp_path / "runs"


def data_of(text):
    """Returns the JSON blocks of a page."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', text)
    return [json.loads(one) for one in found]


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def links(text):
    return [html.unescape(one) for one in re.findall(r'<td><a href="([^"]*)"', text)]


def test_every_number_leads_to_a_page_that_chooses_its_detector(results):
    index = report(results, images="all")
    assert index == results.parent / "report" / "index.html"
    found = links(index.read_text())
    assert len(found) == 4  # two detectors, AUROC and FPR95
    for link in found:
        place, _, anchor = link.partition("#")
        view, _, label = anchor.partition("=")
        text = (index.parent / place).read_text()
        assert f'id="{view}"' in text
        (data,) = data_of(text)
        known = [quote(one["label"], safe="") for one in data["detectors"]]
        assert label in known


def test_a_page_holds_every_score_and_its_quantile(results):
    folder = report(results, images="all").parent
    (data,) = data_of((folder / "images" / "s0-0-i1.html").read_text())
    assert (data["images"], data["inside"]) == (450, False)
    own = image_scores(results)
    for one in data["detectors"]:
        rows = own[(own["detector"] == one["label"]) & (own["role"] == "far")]
        scores = unpacked(one["scores"], "<f4")
        assert np.array_equal(scores, rows["score"].to_numpy(np.float32))
        shares = unpacked(one["quantiles"], "<f4")
        assert np.array_equal(shares, rows["quantile"].to_numpy(np.float32))
    predictions = unpacked(data["classes"]["predictions"], "<i4")
    assert np.array_equal(predictions, rows["prediction"])


def test_an_image_is_at_its_place_on_the_sheets(results):
    folder = report(results, images="all").parent / "images"
    (data,) = data_of((folder / "s0-0-i1.html").read_text())
    sheet = data["sheet"]
    pictures = [np.asarray(Image.open(folder / url)) for url in sheet["urls"]]
    images = np.load(results.parent / "out.npz")["images"]
    per = sheet["columns"] * sheet["rows"]
    for place in (0, 21, 399, 400, 449):
        row, column = divmod(place % per, sheet["columns"])
        tile = pictures[place // per][
            4 * row : 4 * row + 4, 4 * column : 4 * column + 4
        ]
        assert np.array_equal(tile[..., 0], images[place, ..., 0])


def test_one_file_holds_everything(results, tmp_path, monkeypatch):
    path = report(results, tmp_path / "one.html", images="all")
    text = path.read_text()
    first, second = data_of(text)
    assert first["inside"]
    assert all(url.startswith("data:image/png") for url in second["sheet"]["urls"])
    assert links(text)[0].startswith("#s0-0-i1=")
    assert "img-src data:;" in text
    monkeypatch.setattr(page, "LARGEST", 1000)
    with pytest.raises(InputError, match="name a folder with --to"):
        report(results, tmp_path / "two.html", images="all")


def test_scores_are_shown_where_images_are_not(results, tmp_path):
    (tmp_path / "out.npz").unlink()
    told = []
    folder = report(results, images="all", tell=told.append).parent
    assert any(note.startswith("No images of ") for note in told)
    (data,) = data_of((folder / "images" / "s0-0-i1.html").read_text())
    assert data["sheet"] is None
    assert len(data["detectors"]) == 2


def test_hostile_names_end_no_script(tmp_path):
    name = "</script><b>'\"&"
    arrays = {"in.scores": np.arange(3.0), f"far.{name}.scores": -np.arange(3.0)}
    np.savez(tmp_path / "net.npz", **arrays)
    import_scores(tmp_path / "net.npz", results=tmp_path / "runs", detector=name)
    index = report(tmp_path / "runs", images="all")
    text = (index.parent / "images" / "s0-0-i1.html").read_text()
    assert "<b>" not in text
    assert text.count("</script>") == 2
    (data,) = data_of(text)
    assert data["detectors"][0]["label"] == name
    assert "default-src 'none'" in text


def test_sets_without_a_role_are_linked_too(tiny, images, tmp_path):
    rng = np.random.default_rng(1)
    others = Split(rng.integers(0, 256, (9, 4, 4, 1), dtype=np.uint8))
    found = run(
        tiny,
        inside=Dataset("in", lambda split, shape: images, "unstated"),
        out=[Dataset("out", lambda split, shape: others, "unstated")],
        detectors="msp",
        results=tmp_path / "runs",
        quiet=True,
    )
    assert len(links(report(found, images="all").read_text())) == 2

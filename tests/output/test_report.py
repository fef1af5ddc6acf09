"""The page of `oodbench report`: what it shows, and that it needs nothing else."""

import base64
import hashlib
import io
import json
import math
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from oodbench import cli
from oodbench.base.files import folder_name, key_of
from oodbench.base.text import printable, short_name
from oodbench.data.dataset import digests_of
from oodbench.output.plots import draw
from oodbench.output.plots.mixing import mixing
from oodbench.output.plots.plot import plot
from oodbench.output.report import page
from oodbench.output.report.figures import inline_svg, svg_of
from oodbench.output.report.images import data_uri, png, small
from oodbench.results.opened import of_sets
from oodbench.results.store import Store

RUN = {
    "oodbench": "0", "torch": "2", "numpy": "2", "device": "cpu",
    "precision": "float32", "batch_size": 8, "finished": "2026-01-02T03:04:05",
}  # fmt: skip


class Results:
    """A folder of results made by hand, of one model beside one in-distribution set."""

    def __init__(self, folder, model="net", inside="in"):
        self.folder, self.store = folder, Store(folder / "runs")
        self.model = {
            "name": model, "key": key_of(model), "classes": 2, "shape": [1, 2, 2],
            "mean": [0.5], "std": [0.25], "density_head": False,
            "source": {"file": f"{model}.pt", "sha256": "0" * 64},
        }  # fmt: skip
        self.inside = {"name": inside, "key": key_of(inside)}

    def add(self, name, role, scores, *, spec="", limit=None, failure=""):
        """Stores a set of images that are numbered by their first pixel."""
        count = len(next(iter(scores.values())))
        images = np.zeros((count, 2, 2, 1), np.uint8)
        images[:, 0, 0, 0] = np.arange(count)
        about = {
            "name": name, "spec": spec, "key": key_of(name), "split": "test",
            "images": count, "adaptation": "none", "limit": limit, "role": role,
            "shared_images": 0,
        }  # fmt: skip
        record = {"model": self.model, "inside": self.inside, "set": about, "run": RUN}
        parts = self.model, self.inside, about
        file = self.store.set(*(folder_name(one["name"], one["key"]) for one in parts))
        arrays = {"digests": digests_of(images)}
        file.write(arrays, record)
        for label, values in scores.items():
            detector = {
                "label": label, "key": key_of(label), "name": label, "source": "0" * 64,
                "parameters": {}, "control": label == "pixels", "fitted_on": None,
            }  # fmt: skip
            cell = file.cell(label, key_of(label))
            if failure:
                cell.write_failure(failure, {**record, "detector": detector})
            else:
                cell.write(np.asarray(values, float), {**record, "detector": detector})
        return images

    def add_npz(self, name, role, scores, **changes):
        """Stores a set that can be opened again."""
        path = self.folder / f"{name}.npz"
        images = self.add(name, role, scores, spec=f"npz:{path}", **changes)
        np.savez(path, images=images)
        return path

    def page(self, **options):
        return page.write(of_sets(self.store.sets()).measured, **options)


@pytest.fixture
def results(tmp_path):
    """Eight in-distribution images and nine others, a detector and a control."""
    made = Results(tmp_path)
    scores = {"energy": [5, 4, 3, 2, 6, 7, 8, 9], "pixels": np.arange(8)}
    made.add_npz("in", "in", scores)
    others = {"energy": [1, 2.5, 0, 7.5, 1, 1, 1, 8.5, 1], "pixels": -np.arange(9)}
    made.add_npz("out", "far", others)
    return made


class Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.images = set(), [], [], []
        self.attributes, self.texts, self.within = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.within.append(tag)
        for name, value in attrs:
            self.attributes.append((name, value))
            if name == "id":
                self.ids.append(value)
            if name == "href":
                self.links.append(value)
            if (tag, name) == ("img", "src"):
                self.images.append(value)

    def handle_endtag(self, tag):
        if tag in self.within:
            while self.within.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.within):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "nav", "main", "script",
    "section", "div", "h1", "h2", "h3", "h4", "p", "a", "ul", "li", "dl", "dt", "dd",
    "table", "caption", "colgroup", "thead", "tbody", "tr", "th", "td", "strong",
    "small", "details", "summary", "img", "span",
    "svg", "defs", "g", "path", "text", "tspan", "use", "clippath", "rect", "pattern",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "name", "content", "id", "class", "href", "role",
    "tabindex", "aria-label", "scope", "colspan", "span", "src", "alt", "viewbox",
    "width", "height", "style", "d", "transform", "x", "y", "clip-path",
    "patternunits", "fill",
}  # fmt: skip


def assert_harmless(text):
    """Checks that a page holds nothing that runs, loads or leads elsewhere."""
    found = Page(text)
    assert found.tags <= TAGS
    assert {name for name, _ in found.attributes} <= ATTRIBUTES
    assert "http" not in text.replace("http-equiv", "")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert len(found.ids) == len(set(found.ids))
    assert {f"#{one}" for one in found.ids} >= set(found.links)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(found.ids)
    assert all(one.startswith("data:image/png;base64,") for one in found.images)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest_ = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; ")
    assert f"script-src 'sha256-{digest_}';" in policy
    assert text.count("<script") == 1


def test_page_needs_nothing_else(results):
    assert_harmless(results.page().html)


def test_page_holds_tables_figures_and_provenance(results):
    text = Page(results.page().html).text
    assert "1 model, 2 sets, 2 detectors; scored by 2026-01-02" in text
    assert "AUROC ↑ in %, higher is better" in text
    assert "FPR95 ↓ in %, lower is better" in text
    assert "controls see only pixels, never the network" in text
    assert "ROC curves over a logarithmic axis" in text
    assert f"sha256 {'0' * 64}" in text
    assert "normalisation mean 0.5; deviation 0.25" in text
    assert "2026-01-02 03:04 UTC" in text


def test_the_same_results_give_the_same_page(results):
    assert results.page() == results.page()


def numbers(found):
    """The first pixels of a gallery's images."""
    encoded = [one.partition(",")[2] for one in found.images]
    opened = [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]
    return [int(np.asarray(one)[0, 0]) for one in opened]


def test_gallery_shows_the_lowest_inside_and_the_highest_outside(results):
    found = Page(results.page().html)
    assert numbers(found) == [
        *(3, 2, 1, 0, 4, 5), *(0, 1, 2, 3, 4, 5),
        *(7, 3, 1, 0, 4, 5), *(0, 1, 2, 3, 4, 5),
    ]  # fmt: skip
    # 95 % of eight images are all of them, hence the threshold is 2.
    assert "#7 8.5 accepted #3 7.5 accepted #1 2.5 accepted #0 1 rejected" in found.text


def test_gallery_draws_limited_sets_as_the_run_did(results):
    path = results.add_npz("few", "probe", {"energy": np.arange(4)}, limit=4)
    images = np.zeros((8, 2, 2, 1), np.uint8)
    images[::2, 0, 0, 0] = np.arange(4)
    np.savez(path, images=images)
    written = results.page()
    assert not written.left_out
    assert numbers(Page(written.html))[-4:] == [3, 2, 1, 0]


def change(path):
    images = np.load(path)["images"]
    images[7, 1, 1] = 9
    np.savez(path, images=images)


def shorten(path):
    np.savez(path, images=np.load(path)["images"][:5])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change, "image 7 is not the one that was scored"),
        (shorten, "it holds 5 images, and 9 were scored"),
        (lambda path: path.unlink(), "There is no file"),
    ],
)
def test_a_set_that_is_not_what_it_was_is_left_out_with_the_reason(
    results, spoil, reason
):
    spoil(results.folder / "out.npz")
    written = results.page()
    assert reason in written.left_out["out"]
    found = Page(written.html)
    assert f"out is left out: {printable(written.left_out['out'])}" in found.text
    assert len(found.images) == 12


def test_records_without_a_spec_are_opened_by_their_name(results):
    results.add("noise:uniform", "far", {"energy": np.arange(3)})
    reason = results.page().left_out["noise:uniform"]
    assert reason == "it holds 1000 images, and 3 were scored"


def test_code_that_a_record_names_is_not_run(results):
    code = results.folder / "evil.py"
    code.write_text(f"open({str(results.folder / 'ran')!r}, 'w')")
    for number, spec in enumerate([f"{code}:f", f"far=inverted:{code}:f"]):
        results.add(f"evil{number}", "far", {"energy": np.arange(3)}, spec=spec)
    left_out = results.page().left_out
    assert all("is not run for a report" in left_out[f"evil{i}"] for i in (0, 1))
    assert not (results.folder / "ran").exists()


def test_without_gallery_no_set_is_opened(results):
    (results.folder / "out.npz").unlink()
    written = results.page(images="none")
    assert not written.left_out
    assert not Page(written.html).images


def test_failed_cells_are_told_and_have_no_images(results):
    results.add("out", "far", {"energy": range(9)}, failure="it broke")
    found = Page(results.page(images="none").html)
    assert "energy of net on out failed: it broke" in found.text


def test_results_that_failed_altogether_still_make_a_page(tmp_path):
    made = Results(tmp_path)
    made.add("in", "in", {"energy": range(4)}, failure="it broke")
    made.add("out", "far", {"energy": range(4)}, failure="it broke")
    written = made.page()
    assert_harmless(written.html)
    assert "it broke" in written.html


def test_results_of_the_in_set_alone_make_a_page(tmp_path):
    made = Results(tmp_path)
    made.add("in", "in", {"energy": range(4)})
    assert_harmless(made.page().html)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</style></script><b>",
        "[x](javascript:alert(1))",
        "$hash $script ${style}",
        "$x_$ _x \\input{x}",
        "two\nlines\x1b[31m\0\u202egnp",
        "x" * 10_000,
        "-->]]>&lt;",
        "",
    ],
)
def test_hostile_names_are_text_in_a_page(tmp_path, name):
    made = Results(tmp_path, model=name, inside=name)
    made.add(name, "in", {name: [3, 4, 5], "other": [1, 2, 3]})
    made.add(name + "2", "far", {name: [1, 2], "other": [1, 2]})
    made.add(name + "3", "far", {name: [1, 2]}, failure=name)
    written = made.page()
    assert_harmless(written.html)
    shown = Page(written.html).text
    assert " ".join(short_name(name).split()) in shown


# --- diagnoses and samples next to the results


def diagnosis(results, **changes):
    """A record of `oodbench diagnose` of the network that was scored."""
    return {
        "model": results.model | changes,
        "run": RUN,
        "real": {
            "set": {"name": "in", "split": "test"},
            "log_px": {"median": -1.25},
        },
        "chains": {
            "count": 32, "states": 16000, "r_hat": 5.4567, "effective_samples": 33.2,
            "r_hat_pixels": math.inf, "effective_samples_pixels": 32.4,
            "real_below_noise": 0.6, "steps": [0, 1, 1000],
            "log_px_from_data": [-1.5, -1.125, 0.5],
            "log_px_from_noise": [-4.5, -3.5, -0.75],
        },
        "samples": {
            "classes": 1, "effective_classes": 1.0,
            "beside": {
                "distances": {"median": 1.5},
                "held_out": {"distances": {"median": 2.5}},
            },
        },
        "log_z": {"interval": [-4.75, -4.5]},
    }  # fmt: skip


def reported(results):
    """The report of a folder of results, and the sentences beside it."""
    told = []
    file = page.report(results.folder / "runs", images="none", tell=told.append)
    return file.read_text(), told


def put(results, record, name="one"):
    path = results.folder / "diagnoses" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def test_a_diagnosis_of_the_scored_network_is_shown(results):
    put(results, diagnosis(results))
    text, told = reported(results)
    assert_harmless(text)
    assert not told
    shown = Page(text).text
    for line in (
        "Chains and log Z of net",
        "R-hat of log p(x) 5.457 at most 1.01",
        "R-hat of the worst pixel inf at most 1.01",
        "effective samples of log p(x) 33 of 16,000 states hundreds",
        "log p(x) of images −1.25",
        "log p(x) after 1,000 steps from images 0.5 −1.25",
        "log p(x) after 1,000 steps from noise −0.75 −1.25",
        "images below the chains from noise 60 % 50 %",
        "log Z −4.75 to −4.5",
        "normalised log p(x) of images 3.25 to 3.5 nats above 0",
        "classes of samples 1 of 2 all",
        "distance to the nearest training image 1.5 2.5",
    ):
        assert line in shown
    assert "…" not in shown


def test_of_several_diagnoses_of_a_network_the_last_is_shown(results):
    for name, when, value in (("a", "2026-03", 7.0), ("b", "2026-02", 8.0)):
        record = diagnosis(results) | {"run": {"finished": when}}
        record["chains"]["r_hat"] = value
        put(results, record, name)
    shown = Page(reported(results)[0]).text
    assert "R-hat of log p(x) 7.000" in shown
    assert "8.000" not in shown


def test_a_diagnosis_of_another_network_is_one_sentence(results):
    path = put(results, diagnosis(results, key="0" * 64))
    put(results, diagnosis(results, key="1" * 64, name="other"), "other")
    text, told = reported(results)
    shown = Page(text).text
    key = results.model["key"][:8]
    assert f"{path} is left out: it is of another network of this name" in shown
    assert f"(key 00000000, and {key} was scored)" in shown
    assert "R-hat" not in shown
    assert not told


def test_a_damaged_diagnosis_is_left_out_and_told(results):
    record = diagnosis(results)
    del record["chains"]["r_hat"]
    path = put(results, record)
    text, told = reported(results)
    assert told == [f"{path} is left out: it is damaged, or not of this version."]
    assert "Chains and log Z" not in text


def test_samples_of_the_scored_network_stand_beside_their_neighbours(results):
    folder = results.folder / "samples" / "net"
    folder.mkdir(parents=True)
    record = {"model": results.model, "run": RUN}
    record["chains"] = {"count": 64, "start": "noise"}
    (folder / "samples.json").write_text(json.dumps(record))
    assert not Page(reported(results)[0]).images  # drawn without a training set
    content = png(Image.new("L", (3, 2)))
    (folder / "nearest.png").write_bytes(content)
    text, _ = reported(results)
    assert_harmless(text)
    found = Page(text)
    assert found.images == [data_uri(content)]
    assert "each with its nearest training image: 64 chains from noise." in found.text
    record["model"] = results.model | {"key": "0" * 64}
    (folder / "samples.json").write_text(json.dumps(record))
    found = Page(reported(results)[0])
    assert not found.images
    assert "it is of another network of this name" in found.text


def test_the_figure_of_chains_has_the_values_of_the_record(results):
    (axes,) = mixing(diagnosis(results)).axes
    lines = {line.get_gid(): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {
        "from noise": [[0, -4.5], [1, -3.5], [1000, -0.75]],
        "from images": [[0, -1.5], [1, -1.125], [1000, 0.5]],
        "images": [[0, -1.25], [1, -1.25], [1000, -1.25]],
    }


def test_figures_on_one_page_share_no_ids():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], marker="o")
    axes.fill([0, 1, 1], [0, 0, 1], hatch="/")
    both = [inline_svg(svg_of(figure), prefix, "a < b") for prefix in ("one", "two")]
    ids = [set(Page(one).ids) for one in both]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, own in zip(both, ids, strict=True):
        used = re.findall(r'(?:url\(|href=")#([^")]*)', text)
        assert set(used) == own
        assert text.startswith('<svg aria-label="a &lt; b"')
        assert not re.search(r"xmlns|<style|<metadata|<\?xml|<!", text)


def test_a_report_of_drawn_pictures_is_the_same_and_draws_nothing(results, monkeypatch):
    drawn = reported(results)
    plot(results.folder / "runs")
    monkeypatch.setattr(draw, "figures", None)
    assert reported(results) == drawn


def test_a_report_draws_what_has_changed_since(results):
    drawn = reported(results)
    plot(results.folder / "runs")
    for path in (results.folder / "plots").glob("roc*.svg"):
        path.write_text(path.read_text().replace("ROC", "COR"))
    assert reported(results) == drawn


def test_a_picture_runs_no_code_in_a_page():
    svg = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="a()">
    <a href="javascript:b()"><text onclick="c()">d</text></a><script>e()</script></svg>
    """
    text = inline_svg(svg, "one", "a figure")
    assert "<text>d</text>" in text
    assert not re.search(r"on\w+=|script|\(\)", text)


def test_float_and_large_images_become_small_pictures():
    def size_and_corner(image):
        content = base64.b64decode(data_uri(png(small(image))).partition(",")[2])
        opened = Image.open(io.BytesIO(content))
        return opened.mode, opened.size, opened.getpixel((0, 0))

    grey = np.full((8, 8, 1), 0.5, np.float32)
    assert size_and_corner(grey) == ("L", (8, 8), 128)
    red = np.zeros((200, 100, 3), np.uint8)
    red[..., 0] = 255
    assert size_and_corner(red) == ("RGB", (24, 48), (255, 0, 0))


def test_command_writes_the_page_and_says_what_is_missing(results, monkeypatch, capsys):
    monkeypatch.chdir(results.folder)
    (results.folder / "out.npz").unlink()
    monkeypatch.setattr(sys, "argv", ["oodbench", "report", "runs", "--to", "a.html"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    errors = capsys.readouterr().err
    assert "No images of out: There is no file" in errors
    assert re.search(r"\d\.\d MB written to a\.html", errors)
    assert (results.folder / "a.html").read_text().startswith("<!DOCTYPE html>")

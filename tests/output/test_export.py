"""Results leave as rows of images and as one archive, and come back the same."""

import zipfile

import numpy as np
import pytest

from oodbench import InputError, export, import_scores, rows, run, samples, table

RNG = np.random.default_rng(0)
INSIDE, OUTSIDE = RNG.normal(2, 1, 30), RNG.normal(0, 1, 20)


@pytest.fixture
def results(tmp_path):
    arrays = {
        "in.scores": INSIDE, "in.labels": np.arange(30) % 3,
        "in.predictions": np.arange(30) % 2, "far.out.scores": OUTSIDE,
    }  # fmt: skip
    path = tmp_path / "net.npz"
    np.savez(path, **arrays)
    import_scores(path, results=tmp_path / "runs", detector="energy")
    return tmp_path / "runs"


def test_every_image_and_detector_has_a_row(results):
    found = samples(results)
    assert len(found) == 50
    assert found["score"].tolist() == [*INSIDE, *OUTSIDE]
    inside = found[found["role"] == "in"]
    assert inside["label"].tolist() == [place % 3 for place in range(30)]
    assert found[found["set"] == "out"]["label"].isna().all()
    assert found[found["set"] == "out"]["image"].tolist() == list(range(20))


def test_the_mean_quantile_is_one_minus_the_auroc(results):
    found = samples(results)
    outside = found[found["set"] == "out"]["quantile"].mean()
    assert outside == pytest.approx(1 - rows(results)["auroc"][0], abs=1e-12)
    assert found[found["role"] == "in"]["quantile"].mean() == pytest.approx(0.5)


def test_rows_of_images_can_be_imported_again(results, tmp_path):
    path = export(results, to=tmp_path / "samples.csv")
    import_scores(path, results=tmp_path / "again")
    own, other = rows(results), rows(tmp_path / "again")
    assert own.equals(other)


def test_an_archive_is_read_like_its_folder(results, tmp_path):
    path = export(results, to=tmp_path / "results.zip")
    assert table(path) == table(results)
    assert samples(path).equals(samples(results))
    assert path.read_bytes() == export(path, to=tmp_path / "2.zip").read_bytes()


def test_commands_read_an_archive(results, tmp_path, oodbench):
    assert oodbench("export", str(results), "--to", "results.zip")[0] == 0
    for command in ("table", "compare", "report"):
        assert oodbench(command, "results.zip")[0] == 0
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".zip", b"no archive", "no folder of results and no archive"),
        (".zip", b"", "no folder of results and no archive"),
    ],
)
def test_other_files_are_no_archive(tmp_path, suffix, content, message):
    path = tmp_path / f"results{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        table(path)


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    with pytest.raises(InputError, match=r"unpacks to 10 MB, far more than it holds"):
        table(path)


def test_an_archive_writes_nothing_outside_of_its_folder(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../../../outside.txt", "x")
    with pytest.raises(InputError, match="no finished results"):
        table(path)
    assert not list(tmp_path.rglob("outside.txt"))


def test_another_suffix_is_refused(results, tmp_path):
    with pytest.raises(InputError, match=r"must end in .zip, .csv or .parquet"):
        export(results, to=tmp_path / "results.txt")


def test_a_csv_file_holds_no_formula(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, **{"in.scores": INSIDE, "far.=1+1.scores": OUTSIDE})
    import_scores(path, results=tmp_path / "runs", detector="energy")
    text = export(tmp_path / "runs", to=tmp_path / "samples.csv").read_text()
    assert ",'=1+1," in text
    assert ",=1+1," not in text


def test_paths_of_image_files_are_named(tiny, tmp_path, images):
    from PIL import Image

    for kind in ("in", "out"):
        (tmp_path / kind).mkdir()
        for place in range(12):
            pixels = np.asarray(images.images[place])[..., 0] ^ (255 * (kind == "out"))
            Image.fromarray(pixels).save(tmp_path / kind / f"{place:02}.png")
    result = run(
        tiny,
        inside=f"folder:{tmp_path / 'in'}",
        out=f"folder:{tmp_path / 'out'}",
        detectors="energy",
        results=tmp_path / "runs",
        quiet=True,
    )
    found = samples(result)
    expected = [str(tmp_path / "in" / f"{place:02}.png") for place in range(12)]
    assert found[found["role"] == "in"]["path"].tolist() == expected
    (tmp_path / "out" / "05.png").unlink()
    later = samples(result)
    assert (later[later["role"] != "in"]["path"] == "").all()

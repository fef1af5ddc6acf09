"""Results leave as rows of images and as one archive, and come back the same."""

import os
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from oodbench import InputError, export, image_scores, import_scores, rows, run, table
from oodbench.metrics.table import METRICS

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
    found = image_scores(results)
    assert len(found) == 50
    assert found["score"].tolist() == [*INSIDE, *OUTSIDE]
    inside = found[found["role"] == "in"]
    assert inside["label"].tolist() == [place % 3 for place in range(30)]
    assert found[found["set"] == "out"]["label"].isna().all()
    assert found[found["set"] == "out"]["image"].tolist() == list(range(20))


def test_the_mean_quantile_is_one_minus_the_auroc(results):
    found = image_scores(results)
    outside = found[found["set"] == "out"]["quantile"].mean()
    assert outside == pytest.approx(1 - rows(results)["auroc"][0], abs=1e-12)
    assert found[found["role"] == "in"]["quantile"].mean() == pytest.approx(0.5)


def test_rows_of_images_can_be_imported_again(results, tmp_path):
    path = tmp_path / "samples.csv"
    export(results, to=path)
    import_scores(path, results=tmp_path / "again")
    own, other = rows(results), rows(tmp_path / "again")
    assert own.equals(other)


def test_an_archive_is_read_like_its_folder(results, tmp_path):
    path = tmp_path / "results.zip"
    assert "MB written to" in export(results, to=path)
    assert table(path) == table(results)
    assert image_scores(path).equals(image_scores(results))
    export(path, to=tmp_path / "2.zip")
    assert path.read_bytes() == (tmp_path / "2.zip").read_bytes()


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
    with pytest.raises(
        InputError, match=r"must end in .zip, .csv .* tensorboard:PLACE"
    ):
        export(results, to=tmp_path / "results.txt")
    with pytest.raises(InputError, match="Name a place for mlflow"):
        export(results, to="mlflow:")


def test_a_csv_file_holds_no_formula(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, **{"in.scores": INSIDE, "far.=1+1.scores": OUTSIDE})
    import_scores(path, results=tmp_path / "runs", detector="energy")
    export(tmp_path / "runs", to=tmp_path / "samples.csv")
    text = (tmp_path / "samples.csv").read_text()
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
    found = image_scores(result)
    expected = [str(tmp_path / "in" / f"{place:02}.png") for place in range(12)]
    assert found[found["role"] == "in"]["path"].tolist() == expected
    (tmp_path / "out" / "05.png").unlink()
    later = image_scores(result)
    assert (later[later["role"] != "in"]["path"] == "").all()


def first_row(results):
    row = rows(results).iloc[0]
    return {f"{name}/out": row[name] for name in METRICS}


@pytest.mark.slow
def test_mlflow_gets_one_run_per_detector(results, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with warnings.catch_warnings():  # of its libraries
        warnings.simplefilter("ignore")
        assert export(results, to=f"mlflow:{uri}").startswith("1 runs")
        client = mlflow.MlflowClient(tracking_uri=uri)
        home = client.get_experiment_by_name("oodbench")
        (stored,) = client.search_runs([home.experiment_id])
    assert stored.data.metrics == first_row(results)
    assert stored.data.params["detector"] == "energy"
    assert stored.info.status == "FINISHED"


def test_tensorboard_gets_one_folder_per_detector(results, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    export(results, to=f"tensorboard:{tmp_path / 'board'}")
    (folder,) = (tmp_path / "board").iterdir()
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    found = {
        tag: float(tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto))
        for tag in events.Tags()["tensors"]
    }
    assert found == pytest.approx(first_row(results))


def test_huggingface_gets_a_card_per_model_that_keeps_what_others_wrote(
    results, tmp_path
):
    hub = pytest.importorskip("huggingface_hub")
    np.savez(tmp_path / "net.npz", **{"in.scores": INSIDE, "far.b.scores": OUTSIDE + 1})
    path = tmp_path / "net.npz"
    import_scores(path, results=results, detector="energy")
    export(results, to=f"huggingface:{tmp_path / 'cards'}")
    (path,) = (tmp_path / "cards").glob("*/README.md")
    card = hub.ModelCard.load(path)
    assert card.data.model_name == "net"
    found = {
        (one.dataset_name, one.metric_name): one.metric_value
        for one in card.data.eval_results
    }
    assert found == {
        (f"{row.outside} against in", f"{name} of energy"): getattr(row, name)
        for row in rows(results).itertuples()
        for name in METRICS
    }
    assert len(found) == 2 * len(METRICS)
    other = hub.EvalResult("image-classification", "own", "Own", "accuracy", 0.5)
    card.data.eval_results.append(other)
    card.data.license = "mit"
    card.text += "My words."
    card.save(path)
    export(results, to=f"huggingface:{tmp_path / 'cards'}")
    again = hub.ModelCard.load(path)
    assert again.data.license == "mit"
    assert "My words." in again.text
    assert len(again.data.eval_results) == len(found) + 1
    for text in (
        "---\n- no mapping\n---\n",
        "---\na: [\n---\n",
        "---\nmodel-index: 3\n---\n",
    ):
        path.write_text(text)
        with pytest.raises(InputError, match="is no model card"):
            export(results, to=f"huggingface:{tmp_path / 'cards'}")


@pytest.mark.slow
def test_wandb_gets_one_run_per_detector(results, tmp_path):
    pytest.importorskip("wandb")
    # Its service writes the file when the process ends.
    call = [
        sys.executable,
        "-m",
        "oodbench",
        "export",
        results,
        "--to",
        "wandb:oodbench",
    ]
    offline = {**os.environ, "WANDB_MODE": "offline"}
    subprocess.run(call, check=True, cwd=tmp_path, env=offline)
    (stored,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = stored.read_bytes()
    for name, value in first_row(results).items():
        assert name.encode() in content
        assert repr(float(value)).encode() in content

"""Third-party packages: found, used, and contained where they misbehave."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from oodbench import InputError, Shape, load_network
from oodbench.base import registry
from oodbench.cli import oodbench
from oodbench.data.image_set import native_shape, open_images
from oodbench.data.spec import open_dataset
from oodbench.results.opened import open_results

HERE = Path(__file__).parent / "plugin"
FAULTY = {
    "detectors": {
        "faulty": "faulty:Faulty",
        "undeclared": "faulty:Undeclared",
        "abstract": "faulty:Abstract",
        "plain": "faulty:Plain",
        "not_a_class": "faulty:grey",
        "raises_at_import": "raises_at_import:Detector",
        "exits_at_import": "exits_at_import:Detector",
        "not_there": "not_there:Detector",
        "no_such_class": "faulty:Missing",
        "twice": "faulty:Faulty",
    },
    "datasets": {"faulty": "faulty:faulty_set"},
    "models": {
        "no_network": "faulty:no_network",
        "raising": "faulty:raising_model",
        "exiting": "faulty:exiting_model",
    },
}
GOOD = ["energy", "jem_grad_norm", "pixel_stats"]


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """Returns the folder that the example package was installed into, offline."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(HERE, folder / "source")  # building writes beside it
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps"]
    into = ["--no-build-isolation", "--target", folder / "site", source]
    subprocess.run([*pip, *into], check=True, capture_output=True, timeout=120)
    return folder / "site"


@pytest.fixture
def seen(monkeypatch):
    """Makes a folder's packages visible to the registry."""

    def see(folder):
        monkeypatch.syspath_prepend(str(folder))
        registry._plugins.cache_clear()

    yield see
    registry._plugins.cache_clear()
    sys.modules.pop("faulty", None)


@pytest.fixture
def faulty(tmp_path, seen):
    """Makes the faulty package visible, and another that claims the name `twice`."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(HERE / "faulty.py", folder)
    (folder / "raises_at_import.py").write_text("print('hi'); raise OSError('a\\nb')")
    (folder / "exits_at_import.py").write_text("import sys; sys.exit(3)")
    install(folder, "faulty-package", FAULTY)
    install(folder, "rival", {"detectors": {"twice": "faulty:Plain"}})
    seen(folder)


def install(folder, package, plugins):
    """Writes what pip leaves of a package besides its modules."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
    lines = []
    for kind, entries in plugins.items():
        lines.append(f"[oodbench.{kind}]")
        lines += [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


def run(results, detectors, *more):
    """Runs a small benchmark through the command line."""
    names = ["--detectors", ",".join(detectors), "--results", str(results)]
    sets = ["--model", "ce-digits", "--out", "digits:8-9", "--limit", "40"]
    return CliRunner().invoke(oodbench, ["run", "--no-plots", *sets, *names, *more])


def score_files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")
    }


# --- a package that behaves


def test_an_installed_package_runs_from_the_command_line(example, tmp_path):
    path = f"import sys; sys.path.insert(0, {str(example)!r})"
    code = f"{path}; import oodbench.cli; oodbench.cli.main()"

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search("feature_distance +from oodbench-example", command("list"))
    sets = ["--in", "stripes:4", "--out", "far=stripes"]
    names = ["--detectors", "feature_distance,energy", "--no-plots"]
    assert "feature_distance" in command("run", "--model", "template", *sets, *names)


def test_the_packages_detector_set_and_model_do_what_they_say(example, seen, tmp_path):
    seen(example)
    sets = ["--in", "stripes:4", "--out", "stripes"]
    rest = ["--detectors", "feature_distance", "--no-plots", "--results", str(tmp_path)]
    command = ["run", "--model", "template", *sets, *rest]
    result = CliRunner().invoke(oodbench, command)
    assert result.exit_code == 0, result.output
    (measured,) = open_results(tmp_path).measured
    (row,) = measured.rows
    # Narrow stripes have more edges, and so features farther out.
    assert row.values["auroc"] == 1
    assert (row.model, row.inside, row.outside) == (
        "template",
        "stripes:4",
        "stripes:2",
    )


# --- packages that cannot be loaded


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises_at_import", "package faulty-package cannot be imported: OSError: a"),
        ("exits_at_import", "cannot be imported: SystemExit: 3"),
        ("not_there", "cannot be imported: ModuleNotFoundError"),
        ("no_such_class", "cannot be imported: AttributeError"),
        ("twice", "Two detectors are called 'twice': faulty-package .* and rival"),
        ("undeclared", "'undeclared' declares needs = 'features'"),
        ("abstract", "'abstract' cannot be made: TypeError: .*abstract"),
        ("plain", "'plain' is not a dataclass"),
        ("not_a_class", "'not_a_class' is not a class derived from Detector"),
    ],
)
def test_a_run_goes_on_without_a_detector_that_is_broken(
    faulty, tmp_path, name, reason
):
    result = run(tmp_path / "with", [name, *GOOD])
    assert result.exit_code == 1
    assert f"Failed: {name}: " in result.stderr
    assert re.search(reason, result.stderr)
    assert len(score_files(tmp_path / "with")) == 2 * len(GOOD)


def test_what_a_plugin_prints_at_import_is_not_among_the_results(faulty, tmp_path):
    result = run(tmp_path, ["raises_at_import", "energy"])
    assert "hi" in result.stderr
    assert "hi\n" not in result.stdout


def test_list_says_what_ails_each_plugin(faulty):
    result = CliRunner().invoke(oodbench, ["list", "detectors"])
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "OSError: a" in lines["raises_at_import"]
    assert "SystemExit: 3" in lines["exits_at_import"]
    assert "faulty-package (faulty:Faulty) and rival" in lines["twice"]
    assert "fail" not in lines["energy"]


# --- detectors that misbehave are in test_containment.py; here is the whole way


def test_faulty_detectors_change_no_score_of_the_others(faulty, tmp_path):
    import faulty as plugin  # from the folder that the fixture made

    bad = [f"faulty:deed={deed}" for deed in [*plugin.SCORES, *plugin.DEEDS]]
    assert run(tmp_path / "alone", GOOD).exit_code == 0
    result = run(tmp_path / "with", [GOOD[0], *bad, *GOOD[1:]])
    assert result.exit_code == 1
    found = score_files(tmp_path / "with")
    for path, content in score_files(tmp_path / "alone").items():
        assert found[path] == content
    assert len(found) == 2 * (len(GOOD) + 1)  # who only prints has scores too
    assert "noise of a plug-in" in result.stderr
    assert "noise of a plug-in" not in result.stdout
    for deed in {*plugin.SCORES, *plugin.DEEDS} - {"prints", "raise"}:
        assert f"faulty:deed={deed} of ce-digits" in result.stderr, deed


# --- data sets and models


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("none", "'faulty:none' is a NoneType; its plug-in must return"),
        ("refuses", "'faulty:refuses' failed with LookupError: no such thing"),
        ("raises", "'faulty:raises' failed with ZeroDivisionError"),
        ("exits", "'faulty:exits' failed with SystemExit: 4"),
        ("nothing", "loads a NoneType, not a Split"),
        ("dtype", "gives images of float64, not uint8 or float32"),
        ("rank", r"gives images \(4, 8, 8\), not \[N, H, W, C\]"),
        ("channels", r"gives images \(4, 8, 8, 2\), not"),
        ("range", r"gives images from 7 to 7, not in \[0, 1\]"),
        ("labels", r"has labels \(3,\) for 4 images"),
        ("label_kind", "has labels of float64, not an array of integers"),
        ("label_list", "has labels of list, not an array of integers"),
        ("clusters", r"has clusters \(5,\) for 4 images"),
        ("lies", "says that it has 40 images, and gives 35 for 39 from 1 on"),
        ("breaks", "failed with OSError: the disk is gone"),
        ("lists", "gives a list where an array belongs"),
        ("endless", "failed with ValueError"),
        ("number", "failed with TypeError"),
    ],
)
def test_a_faulty_data_set_is_one_sentence_that_names_it(faulty, argument, reason):
    with pytest.raises(InputError, match=reason) as raised:
        open_images(open_dataset(f"faulty:{argument}"), "test", Shape(1, 8, 8))
    assert "faulty" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_faulty_set_fails_alone(faulty, tmp_path):
    with pytest.raises(InputError, match="faulty:labels"):
        native_shape(open_dataset("faulty:labels"))
    result = run(tmp_path, GOOD, "--out", "faulty:lies")
    assert result.exit_code == 1
    assert "Failed: faulty" in result.output
    assert len(score_files(tmp_path)) == 2 * len(GOOD)


def test_a_package_offers_its_modules_to_the_command_line(tmp_path, seen):
    site = tmp_path / "site"
    plugins = site / "own_detectors"
    plugins.mkdir(parents=True)
    (plugins / "__init__.py").touch()
    (plugins / "_shared.py").write_text("raise ImportError('not a plug-in')")
    (plugins / "broken.py").write_text("raise ImportError('on purpose')")
    (plugins / "halved.py").write_text(
        "from dataclasses import dataclass\n"
        "from oodbench import Detector\n\n\n"
        "@dataclass\n"
        "class Halved(Detector):\n"
        '    """Half of the largest logit."""\n\n'
        "    def score(self, batch):\n"
        "        return batch.logits.amax(1) / 2\n"
    )
    install(site, "own-package", {"detectors": {"all": "own_detectors"}})
    seen(site)
    listed = {one.name: one for one in registry.listings("detectors", loaded=True)}
    assert listed["halved"] == registry.Listing("halved", "own-package", "")
    assert "ImportError: on purpose" in listed["broken"].fault
    assert not {"_shared", "all"} & set(listed)
    result = run(tmp_path / "results", ["halved", "energy"])
    assert result.exit_code == 0, result.output


def test_small_labels_are_widened(faulty, monkeypatch):
    import faulty as plugin

    labels = np.arange(4, dtype=np.uint8)
    monkeypatch.setitem(
        plugin.SPLITS, "small", lambda: plugin.Split(plugin.grey(4), labels)
    )
    split = open_images(open_dataset("faulty:small"), "test", Shape(1, 8, 8)).split
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_network", "'no_network' is a Linear; its plug-in must return"),
        ("raising", "'raising' failed with RuntimeError: weights$"),
        ("exiting", "'exiting' failed with SystemExit: 5"),
    ],
)
def test_a_faulty_model_is_one_sentence_that_names_it(faulty, name, reason):
    with pytest.raises(InputError, match=reason):
        load_network(name)

"""Selected models, detectors and sets, and kinds of models over seeds."""

import numpy as np
import pytest

from oodbench import InputError, rank, rows, select, table
from oodbench.base.files import folder_name
from oodbench.output.layout import layout
from oodbench.output.plots.ranks import rank_diagram
from oodbench.output.tables import all_numbers
from oodbench.results.kinds import members, over_models
from oodbench.results.opened import open_results
from oodbench.results.ranked import ranked
from oodbench.results.rows import Row
from oodbench.results.store import Store

SHIFTS = {"msp": 1.0, "Energy": 1.1, "energy:temperature=2": 2.0, "pixels": 9.0}


def write(store, model, inside="in"):
    """Stores scores of four detectors on three sets."""
    rng = np.random.default_rng([*model.encode()])
    for name, role in ((inside, "in"), ("near-1", "near"), ("far-1", "far"),
                       (f"rotated:{inside}", "probe")):  # fmt: skip
        places = (model, inside, name)
        file = store.set(*(folder_name(one, f"{one}-key") for one in places))
        record = {
            "model": {
                "name": model, "key": f"{model}-key", "classes": 2,
                "density_head": False,
            },
            "inside": {"name": inside, "key": f"{inside}-key"},
            "set": {
                "name": name, "key": f"{name}-key", "role": role, "images": 60,
                "limit": None, "shared_images": 0,
            },
            "run": {"finished": "2026-01-01"},
        }  # fmt: skip
        file.write({"predictions": np.zeros(60)}, record)
        for label, apart in SHIFTS.items():
            scores = rng.normal(apart * (role == "in"), 1, 60)
            detector = {"label": label, "key": label, "control": label == "pixels"}
            file.cell(label, label).write(scores, {**record, "detector": detector})


@pytest.fixture
def results(tmp_path):
    store = Store(tmp_path / "runs")
    for model in ("jem-0", "jem-1", "jem-2", "ce-0"):
        write(store, model)
    return store.root


def found(results, **selected):
    """Returns the models, detectors and sets that are left."""
    frame = rows(select(results, **selected))
    return [set(frame[name]) for name in ("model", "detector", "outside")]


def test_without_a_name_all_is_selected(results):
    assert rows(select(results)).equals(rows(results))


def test_names_are_taken_in_any_case_and_a_star_is_any_text(results):
    assert found(results, models="JEM-*", detectors="MSP")[:2] == [
        {"jem-0", "jem-1", "jem-2"}, {"msp"},
    ]  # fmt: skip
    assert found(results, detectors="energy*")[1] == {"Energy", "energy:temperature=2"}


def test_a_set_has_the_name_that_tables_show_and_roles_narrow(results):
    assert found(results, out="rotated,near-1")[2] == {"rotated:in", "near-1"}
    assert found(results, out="rotated,near-1", roles=["near"])[2] == {"near-1"}


def test_numbers_do_not_change_and_tests_are_over_what_is_selected(results):
    frame = rows(select(results, detectors="msp,Energy", models="ce-0"))
    whole = rows(results).query("model == 'ce-0' and detector in ('msp', 'Energy')")
    assert list(frame["auroc"]) == list(whole["auroc"])
    assert any("even" in flags for flags in frame["flags"])
    assert not any("even" in flags for flags in whole["flags"])
    assert any("2 detectors are not selected" in note for note in frame.attrs["notes"])


def test_a_control_that_is_not_selected_still_marks_its_sets(results):
    frame = rows(select(results, detectors="msp"))
    assert set(frame["detector"]) == {"msp"}
    assert all("control" in flags for flags in frame["flags"])


@pytest.mark.parametrize(
    ("selected", "message"),
    [
        ({"models": "jem0"}, "no model in these results 'jem0'; did you mean 'jem-0'"),
        ({"detectors": "knn"}, "no detector in these results 'knn'; known: "),
        ({"roles": "covariate"}, "no role in these results 'covariate'"),
        ({"out": "far-1", "roles": "near"}, "fits all of the selected"),
    ],
)
def test_what_fits_nothing_is_named(results, selected, message):
    with pytest.raises(InputError, match=message):
        select(results, **selected)


def kind(results, **kinds):
    measured = [open_results(results).measured]
    (chosen,) = members(kinds, measured)
    return [over_models(name, models) for name, models in chosen.items()]


def test_a_kind_has_the_mean_and_the_sample_deviation_of_its_models(results):
    (jem,) = kind(results, jem=["jem-*"])
    frame = rows(results)
    for row in jem.rows:
        own = frame[
            frame["model"].str.startswith("jem")
            & (frame["outside"] == row.outside)
            & (frame["detector"] == row.detector)
        ]
        assert row.values["fpr95"] == pytest.approx(own["fpr95"].mean())
        assert row.values["fpr95_deviation"] == pytest.approx(own["fpr95"].std())
    assert {row.model for row in jem.rows} == {"jem"}
    assert "jem: mean ± sample deviation over jem-0, jem-1, jem-2" in jem.group.notes
    head, numbers = all_numbers([jem])
    assert "auroc_deviation" in head
    assert "auroc_low" not in head
    assert len(numbers) == 12


def test_the_deviation_of_a_mean_over_sets_is_that_of_the_means(results):
    rows_ = [
        Row("jem", "in", name, "far", "msp", False, 9, 9, values, seeds=seeds)
        for name, values, seeds in (
            ("f1", {"auroc": 0.6}, {"auroc": (0.5, 0.7)}),
            ("f2", {"auroc": 0.8}, {"auroc": (0.9, 0.7)}),
        )
    ]
    ((_, line),) = layout(rows_).blocks[0].detectors
    texts = [one.text for (one,) in line]
    assert texts == ["60.00 ± 14.14", "80.00 ± 14.14", "70.00 ± 0.00"]


def test_a_table_of_kinds_has_their_rows_alone(results):
    text = table(results, kinds={"jem": ["jem-*"]}, metrics=["auroc"])
    assert "| jem " in text
    assert "±" in text
    assert "ce-0" not in text


def test_detectors_alike_over_seeds_are_marked_by_the_paired_test(results):
    (jem,) = kind(results, jem=["jem-0", "jem-2"])
    flags = {(row.outside, row.detector): row.flags for row in jem.rows}
    assert not any("even" in each for each in flags.values())
    assert any("even_seeds" in each for each in flags.values())


def test_a_detector_that_one_model_lacks_is_left_out_with_a_note(results):
    for file in Store(results).sets():
        if "jem-1" in str(file.path) and "far-1" in str(file.path):
            file.cell("msp", "msp").remove()
    (jem,) = kind(results, jem=["jem-*"])
    assert ("far-1", "msp") not in {(row.outside, row.detector) for row in jem.rows}
    assert (
        "msp on far-1 is left out: not all models of jem have scores" in jem.group.notes
    )


def test_ranks_are_over_near_and_far_pairs_without_controls(results):
    frame = rank(results)
    assert set(frame["detector"]) == {"msp", "Energy", "energy:temperature=2"}
    assert frame["detector"][0] == "energy:temperature=2"
    assert set(frame["pairs"]) == {8}  # four models, a near and a far set each
    whole = rows(results).query("role in ('near', 'far')")
    expected = whole[whole["detector"] == "msp"]["fpr95"].mean()
    by_fpr = rank(results, "FPR95").set_index("detector")["fpr95"]
    assert by_fpr["msp"] == pytest.approx(expected)
    assert by_fpr.index[0] == "energy:temperature=2"


def test_ranks_of_few_pairs_say_that_they_cannot_show_a_difference(results):
    frame = rank(select(results, models="ce-0"))
    assert any("too few to show" in note for note in frame.attrs["notes"])
    assert set(frame["alike"]) == {"a"}


def test_a_detector_without_a_number_has_no_rank(results):
    for file in Store(results).sets():
        if "jem-1" in str(file.path) and "far-1" in str(file.path):
            file.cell("msp", "msp").remove()
    frame = rank(results)
    assert "msp" not in set(frame["detector"])
    assert frame.attrs["notes"][0] == (
        "msp is left out: it has no number on far-1 of jem-1"
    )
    few = select(results, detectors=["msp", "energy"])
    with pytest.raises(InputError, match=r"1 of 2 have them. msp .* far-1 of jem-1\. "):
        rank(few)


def test_one_pair_has_no_ranks(results):
    with pytest.raises(InputError, match="near or far set; here is one"):
        rank(select(results, models="ce-0", roles="near"))


def test_the_picture_of_ranks_has_a_bar_for_each_clique(results):
    found = ranked(open_results(results).measured)
    figure = rank_diagram(found)
    bars = [line for line in figure.axes[0].lines if line.get_gid() == "clique"]
    assert len(bars) == len(found.ranks.cliques)
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    for name, mean in found.ranks.means.items():
        assert f"{name}  {mean:.2f}" in texts

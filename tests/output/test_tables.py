import pytest
from made_rows import row

from oodbench.output.classification import layout_fitness
from oodbench.output.layout import layout, transposed
from oodbench.results.fitness import Fitness

ROWS = [
    row("a", "n1", "near", 0.9),
    row("a", "f1", "far", 0.7),
    row("a", "f2", "far", 0.5),
    row("a", "interp:in:set", "probe", 0.6),
    row("b", "n1", "near", 0.8),
    row("b", "f1", "far", 0.75),
    row("b", "f2", "far", 0.65),
    row("b", "interp:in:set", "probe", 0.61),
    row("pixels", "n1", "near", 0.99, flags=("control",)),
    row("pixels", "f1", "far", 0.99),
    row("pixels", "f2", "far", 0.99),
    row("pixels", "interp:in:set", "probe", 0.99),
]


def lines(table):
    return {
        label: [" / ".join(one.text for one in cell) for cell in line]
        for label, line in table.blocks[0].detectors
    }


def test_columns_go_by_role_with_means_over_near_and_far():
    table = layout(ROWS)
    heads = [(column.role, column.label) for column in table.columns]
    assert heads == [
        ("near", "n1"), ("far", "f1"), ("far", "f2"),
        ("near", "mean"), ("far", "mean"), ("probe", "interp"),
    ]  # fmt: skip
    assert lines(table)["a"] == ["90.00", "70.00", "50.00", "90.00", "60.00", "60.00"]


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("auroc", ["a", "b", "b", "a", "b", "b"]),
        ("fpr95", ["a", "b", "b", "a", "b", "b"]),
    ],
)
def test_the_best_detector_is_marked_and_never_a_control(metric, best):
    block = layout(ROWS, metric=metric).blocks[0]
    for index, winner in enumerate(best):
        marked = [label for label, line in block.detectors if line[index][0].best]
        assert marked == [winner]
    assert not any(cell[0].best for _, line in block.apart for cell in line)


def test_an_oracle_stands_apart_and_is_never_the_best():
    rows = [*ROWS, row("a:k=5@oracle", "n1", "near", 0.95, tuned="oracle")]
    table = layout(rows)
    (block,) = table.blocks
    assert [label for label, _ in block.detectors] == ["a", "b"]
    assert [block.title(label) for label, _ in block.apart] == [
        "a:k=5@oracle", "pixels (control)",
    ]  # fmt: skip
    assert not any(cell[0].best for _, line in block.apart for cell in line)
    assert block.detectors[0][1][0][0].best
    assert any(note.startswith("@oracle: ") for note in table.notes)


def test_each_model_has_a_best_of_its_own():
    rows = [*ROWS, row("a", "n1", "near", 0.2, model="other")]
    blocks = {block.model: block for block in layout(rows).blocks}
    assert blocks["other"].detectors[0][1][0][0].best


def test_controls_stand_apart():
    block = layout(ROWS).blocks[0]
    assert [label for label, _ in block.detectors] == ["a", "b"]
    assert [label for label, _ in block.apart] == ["pixels"]


def test_convention_chooses_the_number_and_is_named():
    ours = layout(ROWS, metric="fpr95")
    theirs = layout(ROWS, metric="fpr95_openood")
    assert lines(ours)["a"][0] == "10.00"
    assert lines(theirs)["a"][0] == "5.00"
    assert "accepts 95 % of the in-distribution images" in ours.title
    assert "OpenOOD convention" in theirs.title


def test_intervals_stand_in_brackets():
    assert lines(layout(ROWS, intervals=True))["a"][0] == "90.00 [89.00, 91.00]"
    assert lines(layout(ROWS, intervals=True))["a"][3] == "90.00"


def test_a_failed_cell_says_so_and_spoils_its_mean():
    rows = [*ROWS[:1], row("a", "f1", "far", 0, values={}, failure="NaN"), *ROWS[2:3]]
    table = layout(rows)
    assert lines(table)["a"] == ["90.00", "failed", "50.00", "90.00", "–"]
    assert "a of net on f1 failed: NaN" in table.notes


def test_flags_mark_columns_and_are_explained():
    table = layout(ROWS)
    assert table.columns[0].marks == "†"
    assert any(note.startswith("† a control reaches") for note in table.notes)


def test_equality_of_log_px_and_energy_is_noted():
    rows = [row("log_px", "n1", "near", 0.9)]
    (note,) = layout(rows, equal_to_energy=["net"]).notes
    assert note.startswith("log_px equals energy on net")
    assert layout(rows).notes == []


def test_accuracy_near_chance_is_shouted():
    values = {"accuracy": 0.12, "nll": 2.3, "brier": 0.9}
    values |= {"ece": 0.1, "adaptive_ece": 0.2}
    head, rows = layout_fitness([Fitness("net", "in", 100, 10, values)])
    assert rows[0][0] == "net (near chance!)"
    assert rows[0][head.index("accuracy %")] == "12.00"
    assert rows[0][head.index("adaptive ECE %")] == "20.00"


def test_what_does_not_differ_from_the_best_is_marked_for_auroc_only():
    rows = [row("a", "n1", "near", 0.9), row("b", "n1", "near", 0.89, flags=("even",))]
    table = layout(rows)
    assert lines(table) == {"a": ["90.00", "90.00"], "b": ["89.00≈", "89.00"]}
    assert table.columns[0].marks == ""
    assert any(note.startswith("≈ not significantly different") for note in table.notes)
    assert lines(layout(rows, metric="fpr95"))["b"][0] == "11.00"


def test_the_best_is_not_marked_as_like_itself():
    rows = [row(label, "n1", "near", 0.9, flags=("even",)) for label in "ab"]
    table = layout(rows)
    assert lines(table)["a"][0] == "90.00"
    assert not any("≈" in note for note in table.notes)


def test_lower_areas_of_selective_prediction_are_better():
    rows = [row("a", "n1", "near", 0.9), row("b", "n1", "near", 0.8)]
    for one, area in zip(rows, (0.3, 0.2), strict=True):
        one.values["aurc"] = area
    block = layout(rows, metric="aurc").blocks[0]
    assert [line[0][0].best for _, line in block.detectors] == [False, True]
    assert lines(layout(rows, metric="augrc"))["a"][0] == "–"


def test_intervals_of_fpr95_stand_in_brackets_where_there_are_any():
    ends = {"fpr95_low": 0.05, "fpr95_high": 0.25}
    one = row("a", "n1", "near", 0.9)
    one.values.update(ends)
    table = layout([one], metric="fpr95", intervals=True)
    assert lines(table)["a"][0] == "10.00 [5.00, 25.00]"
    assert any("bootstrap" in note for note in table.notes)


def test_sets_whose_images_share_origins_are_named():
    many = row("a", "n1", "near", 0.9, clusters_out=20)
    few = row("a", "f1", "far", 0.9, clusters_out=2)
    notes = layout([many, few], intervals=True).notes
    assert "n1: intervals and tests are over the 20 origins of its images" in notes
    assert any(note.startswith("f1: its images have only 2 origins") for note in notes)
    assert not any("origins" in note for note in layout([many, few]).notes)


def test_two_metrics_stand_in_one_cell_each_with_its_own_best():
    rows = [row("a", "n1", "near", 0.9), row("b", "n1", "near", 0.8)]
    rows[0].values["fpr95"] = 0.4
    table = layout(rows, metric="auroc/fpr95", decimals=1)
    assert lines(table) == {
        "a": ["90.0 / 40.0", "90.0 / 40.0"],
        "b": ["80.0 / 20.0", "80.0 / 20.0"],
    }
    bests = [[one.best for one in line[0]] for _, line in table.blocks[0].detectors]
    assert bests == [[True, False], [False, True]]
    assert "AUROC ↑ / FPR95 ↓ in %" in table.title


def test_a_cell_without_any_number_says_so_once():
    rows = [row("a", "n1", "near", 0, values={}, failure="NaN"), ROWS[4]]
    assert lines(layout(rows, metric="auroc/fpr95"))["a"][0] == "failed"


def test_decimals_are_those_of_numbers_and_intervals():
    table = layout([row("a", "n1", "near", 0.87654)], intervals=True, decimals=0)
    assert lines(table)["a"] == ["88 [87, 89]", "88"]


def test_a_transposed_table_has_the_same_fields_with_sets_in_rows():
    table = layout(ROWS)
    turned = transposed(table)
    assert [(one.role, one.label) for one in turned.columns] == [
        ("detectors", "a"), ("detectors", "b"), ("apart", "pixels (control)"),
    ]  # fmt: skip
    sets = turned.blocks[0].detectors
    assert [label for label, _ in sets][:4] == [
        "near: n1†", "far: f1", "far: f2", "near: mean",
    ]  # fmt: skip
    across = [
        cells for _, cells in (*table.blocks[0].detectors, *table.blocks[0].apart)
    ]
    assert [
        list(each) for each in zip(*(cells for _, cells in sets), strict=True)
    ] == across


def test_a_transposed_table_has_a_dash_where_a_model_lacks_a_detector():
    rows = [row("a", "n1", "near", 0.9), row("b", "n1", "near", 0.8, model="other")]
    turned = transposed(layout(rows))
    assert [one.label for one in turned.columns] == ["a", "b"]
    assert [cells[1][0].text for _, cells in turned.blocks[0].detectors] == ["–", "–"]

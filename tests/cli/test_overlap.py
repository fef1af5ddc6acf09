"""`oodbench overlap`."""

import json


def test_overlap_counts_and_lists(oodbench):
    code, out, _ = oodbench("overlap", "classes:0-7:digits", "rows:0-99:digits,photos")
    assert code == 0
    lines = [line.split("|") for line in out.splitlines() if line.startswith("| rows")]
    counts = {line[2].strip(): line[4].strip() for line in lines}
    assert counts["classes:0-7:digits (test)"] == "81"
    assert counts["classes:0-7:digits (train)"] == "0"
    assert "- image 0 of rows:0-99:digits (test) is image 0 of classes:0-7:dig" in out
    assert "- and 76 more of rows:0-99:digits (test)" in out


def test_overlap_writes_numbers(oodbench):
    code, out, err = oodbench("overlap", "digits:0", "digits:0-1", "--near",
                              "--format", "json")  # fmt: skip
    assert code == 0
    found = {row["compared with"]: row for row in json.loads(out)}
    assert found["digits:0 (test)"]["exact"] == 43  # all zeros
    assert found["digits:0 (train)"]["exact"] == 0
    assert {"near", "images"} <= found["digits:0 (train)"].keys()
    assert "and 38 more" in err


def test_overlap_needs_two_sets(oodbench):
    code, _, err = oodbench("overlap", "digits")
    assert code == 2
    assert "Missing argument" in err

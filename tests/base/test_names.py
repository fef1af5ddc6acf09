"""What a user writes for several things, and names for files."""

from pathlib import Path

import pytest
import torch

from oodbench import InputError, Network, run
from oodbench.base.names import listed, named_file
from oodbench.runs.sets import default_out


def test_a_string_is_a_comma_list_and_an_object_a_list_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b.pt").touch()
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
    assert listed("a, b,,c") == ["a", "b", "c"]
    assert listed("a,b.pt") == ["a,b.pt"]
    assert listed(Path("a,b.pt")) == [Path("a,b.pt")]
    assert listed(layers) == [layers]
    assert listed(("a,b", "c")) == ["a,b", "c"]
    assert listed(name for name in "ab") == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("seed0=a.pth", "seed0"), ("x=y=z.pth", "x"), ("a.pth", ""), ("=a.pth", "")],
)
def test_a_name_stands_before_a_file(text, name):
    assert named_file(text) == (name, text.removeprefix(f"{name}=" if name else ""))


def test_an_equals_sign_of_a_path_is_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1.pth").touch()
    for text in ("lr=0.1.pth", "runs/lr=0.1.pth", "/a=b/c.pth"):
        assert named_file(text) == ("", text)


def test_a_named_checkpoint_has_its_name_in_the_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(
        "import torch\n"
        "def net():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))\n"
    )
    for seed in (0, 1):
        layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
        torch.save(layers.state_dict(), f"{seed}.pth")
    options = {"out": "digits:8-9", "detectors": "msp", "limit": 20, "device": "cpu"}
    options["checkpoint"] = {"arch": "nets.py:net"}
    result = run("seed0=0.pth,seed1=1.pth", **options)
    assert set(result.rows().model) == {"seed0", "seed1"}
    # The name decides no number.
    again = run("other=0.pth", **options)
    assert again.rows().auroc.tolist()[0] == result.rows().auroc.tolist()[0]


def test_a_module_alone_is_refused_or_wrapped_in_one_sentence():
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
    with pytest.raises(InputError, match=r"Network\(module, shape="):
        run(layers, device="cpu")


def test_a_result_is_three_lines_and_a_table(tmp_path):
    result = run(
        Network(
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8)),
            (1, 8, 8),
            "<b>net</b>",
        ),
        out="digits:8-9",
        detectors="msp,energy",
        limit=20,
        results=tmp_path,
        quiet=True,
    )
    assert len(repr(result).splitlines()) == 3
    html = result._repr_html_()
    assert "digits:8-9" in html
    assert "&lt;b&gt;net" in html
    auroc = 100 * result.rows().set_index("detector").auroc["energy"]
    assert f"{auroc:.2f}" in html


def test_quiet_prints_nothing_and_otherwise_a_summary(tmp_path, capsys):
    options = {
        "out": "digits:8-9", "detectors": "msp", "limit": 20, "device": "cpu",
        "results": tmp_path,
    }  # fmt: skip
    run("ce-digits", quiet=True, **options)
    assert capsys.readouterr() == ("", "")
    run("ce-digits", **options)
    out, told = capsys.readouterr()
    assert out == ""
    assert "0 score files computed, 2 reused" in told


def test_a_set_that_no_name_opens_runs_beside_those_that_need_none():
    assert default_out("") == ["photos", "noise:gaussian", "noise:uniform"]
    assert "inverted:digits" in default_out("digits")

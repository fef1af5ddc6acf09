"""The notebook runs from beginning to end, and is stored without outputs."""

from pathlib import Path

import pytest

PLACE = Path(__file__).resolve().parent.parent / "docs/quickstart.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's libraries
def test_the_notebook_runs_and_shows_tables(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
    notebook = nbformat.read(PLACE, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert (tmp_path / "quickstart/report.html").is_file()
    shown = [output.get("data", {}) for cell in cells for output in cell.outputs]
    assert sum("text/html" in one for one in shown) == 5
    assert sum("image/png" in one for one in shown) == 1

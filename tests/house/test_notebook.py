"""The readme's first lines of Python and the notebook among the examples run with nothing set."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "tour.ipynb"
CITED = re.compile(r"not the net one \[eia-923-instructions\.pdf p\.\d+\]\.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace for both: the bundled PDF is read once."""
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture
def unconfigured(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No endpoint is named, and none is found on its usual port."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("QWENBELT_"):
            monkeypatch.delenv(name)
    for kind in ("OLLAMA", "VLLM", "LLAMACPP", "SGLANG"):
        monkeypatch.setenv(f"{kind}_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("QWENBELT_LANG", "en")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(place / "workspace"))
    return place


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_first_python_of_the_readme_prints_a_cited_answer(unconfigured: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    assert len([line for line in block[1].splitlines() if line]) == 3
    done = subprocess.run(
        [sys.executable, "-c", block[1]],
        cwd=unconfigured,
        capture_output=True,
        encoding="utf-8",
        timeout=500,
    )
    assert CITED.search(done.stdout), done.stderr
    assert "replies that were written in advance" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_notebook_runs(unconfigured: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    client.NotebookClient(
        notebook, timeout=500, resources={"metadata": {"path": str(unconfigured)}}
    ).execute()
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    printed = "".join(each.get("text", "") for each in outputs)
    assert CITED.search(printed)
    shown = [each["data"].get("text/html", "") for each in outputs if "data" in each]
    assert any("eia-923-instructions.pdf p. " in page for page in shown)
    assert "not verified" not in "".join(shown)
    assert "mill.md 1 The mill made 120 tonnes" in printed
    assert "0.25" in printed
    assert "Output grew by 25%." in printed
    assert any("image/png" in each.get("data", {}) for each in outputs)

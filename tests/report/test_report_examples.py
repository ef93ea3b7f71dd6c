"""The examples of this part run."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_plot_chart(tmp_path: Path) -> None:
    lines = run("plot_chart.py", str(tmp_path)).splitlines()
    assert [line.split()[0] for line in lines] == ["text", "image", "file"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".png", ".svg"]


def test_report_on_files(steel: Path, tmp_path: Path) -> None:
    said = run("report_on_files.py", str(tmp_path / "out"), "What was not measured?", str(steel))
    assert "[1] steel.pdf p. 1" in said
    assert said.splitlines()[-1].endswith("citations stand on their pages")

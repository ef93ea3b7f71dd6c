"""The examples about agents run as a reader would run them; a script plays the model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CITIES = "\n".join(f"      - weather: {{city: city{n}}}" for n in range(8))
SCRIPTS = {
    "parallel_tools": (
        f"turns:\n  - calls:\n{CITIES}\n  - answer: Sunny everywhere.\n",
        "",
        ["Sunny everywhere.", "8 calls in"],
    ),
    "custom_tool": (
        "turns:\n  - calls:\n"
        "      - book_seat: {seat: 7, name: Li}\n      - book_seat: {seat: 7, name: Anna}\n"
        "  - answer: Li has seat 7.\n",
        "",
        ["Seat 7 is booked for Li.", "Seat 7 is taken; try another one.", "Li has seat 7."],
    ),
    "planned_calls": (
        "turns:\n  - calls:\n"
        "      - price: {item: bolt}\n      - price: {item: nut}\n"
        '      - times: {count: 40, each: {$result: 1, path: "euros"}}\n'
        '      - times: {count: 40, each: {$result: 2, path: "euros"}}\n'
        "  - answer: ${times#1} and ${times#2} euros.\n",
        "",
        ["50.00 and 20.00 euros.", "2 model calls"],
    ),
    "ask_first": (
        "turns:\n  - calls: [{delete_file: {path: old.txt}}]\n  - answer: It stays.\n",
        "n\n",
        ["delete_file", "allow?", "It stays."],
    ),
    "stop_and_go_on": (
        "turns:\n  - calls: [{dig: {}}]\n  - answer: All right.\n    say: Never mind.\n",
        "",
        ["stopped: True; Error: cancelled by the user", "All right."],
    ),
    "group_chat": (
        "turns:\n  - answer: The sea is wide.\n  - answer: And deep.\n",
        "",
        ["Writer: The sea is wide.", "Critic: And deep."],
    ),
    "agent_in_a_file": (
        "turns:\n  - answer: Der Turm ist 112 m hoch.\n",
        "",
        ["translator: Der Turm ist 112 m hoch."],
    ),
    "code_mode": (
        "turns:\n  - calls:\n      - code_interpreter:\n          code: |\n"
        "            numbers = range(1, 21)\n"
        "            pages = [tools.read_page(number=n) for n in numbers]\n"
        "            print(min(pages, key=lambda page: page['price'])['page'])\n"
        "  - answer: It is page ${code_interpreter}.\n",
        "",
        ["1 call by the model, 20 from code", "It is page 11"],
    ),
    "spans_of_a_run": (
        "turns:\n  - calls: [{weather: {city: Lindau}}, {weather: {city: Rome}}]\n"
        "  - answer: Sunny.\n",
        "",
        ["invoke_agent forecaster", "\n  chat scripted", "\n  execute_tool weather"],
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example(name: str, tmp_path: Path) -> None:
    script, typed, expected = SCRIPTS[name]
    (tmp_path / "model.yaml").write_text(script, encoding="utf-8")
    (tmp_path / "old.txt").write_text("kept", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env={**os.environ, "QWENBELT_ENDPOINT": "scripted:model.yaml"},
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in expected:
        assert words in done.stdout, done.stdout
    assert (tmp_path / "old.txt").exists()


def test_the_regression_test_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(EXAMPLES / "regression_test.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=EXAMPLES.parent,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_dashscope_smoke_says_what_is_missing(tmp_path: Path) -> None:
    env = {
        k: v for k, v in os.environ.items() if k not in ("DASHSCOPE_API_KEY", "QWENBELT_ENDPOINT")
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "dashscope_smoke.py"), "a.png", "a.pdf", "a.mp3"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "DASHSCOPE_API_KEY" in done.stderr

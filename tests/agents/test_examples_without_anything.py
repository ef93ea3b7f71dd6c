"""Every example runs with nothing configured: scripted, and told so; or it shows its usage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# these last until they are stopped; their own tests start them
LASTING = {"chat_gui", "serve_agent"}
SCRIPTED = {path.stem for path in (EXAMPLES / "scripted").glob("*.yaml")}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
SAID = {
    "skills_in_a_folder": "Lines counted by the skill: 3",
    "research_on_files": "2 of 2 citations stand on their pages",
    "durable_question": "Noted.\nNoted.\nlines noted: 1",
}


def test_every_script_is_of_an_example() -> None:
    assert set(NAMES) >= SCRIPTED
    for name in SCRIPTED:
        assert "otherwise=__file__" in (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LASTING])
def test_an_example_runs_with_nothing_configured(name: str, tmp_path: Path) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.endswith("_API_KEY") and not key.startswith("QWENBELT_")
    }
    environment |= {f"{kind}_BASE_URL": "http://127.0.0.1:9/v1" for kind in ("OLLAMA", "VLLM")}
    environment |= {"LLAMACPP_BASE_URL": "http://127.0.0.1:9/v1", "QWENBELT_LANG": "en"}
    environment |= {"SGLANG_BASE_URL": "http://127.0.0.1:9/v1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        input="n\n",
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.stderr.startswith(f"usage: python {name}.py ")
    elif name in SCRIPTED:
        assert "replies that were written in advance" in done.stderr
        assert done.stdout.strip()
    assert SAID.get(name, "") in done.stdout, done.stderr

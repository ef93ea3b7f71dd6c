"""The tutorial is followed to the letter: files are written, commands are run, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from qwenbelt.testing import ScriptedServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing_tutorial.md"
BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)


def environment(model: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "QWENBELT", "CI"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = "-p no:cacheprovider -p no:hypothesispytest"
    return {**kept, "PATH": path, "MODEL": model, "PYTEST_ADDOPTS": quiet}


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
def test_every_block_of_the_tutorial(tmp_path: Path) -> None:
    found = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(found) >= 14
    script = next(m["text"] for m in found if m["note"] == "file: model.yaml")
    printed = []
    with ScriptedServer(script, plays=None) as model:
        env = environment(f"openai:shop@{model.url}")
        for block in found:
            note, text = block["note"] or "", block["text"]
            if note.startswith("file: "):
                path = tmp_path / note.removeprefix("file: ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                if path.suffix in (".yml", ".yaml"):
                    assert yaml.safe_load(text)
                continue
            assert block["kind"] == "sh"
            exported = re.findall(r"^export (\w+)=(\S+)", text, re.MULTILINE)
            env.update(exported)
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", text],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            output = done.stdout + done.stderr
            printed.append(output)
            assert (done.returncode != 0) == (note == "fails"), f"{text}\n{output}"
    assert "together 3.50 euros" in printed[0]
    assert "1 passed" in printed[1]
    assert "4.00" in printed[2]
    assert "3.00" in printed[2]
    assert "1 passed" in printed[-1].replace("3 passed", "1 passed")

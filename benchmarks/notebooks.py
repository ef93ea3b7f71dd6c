"""Runs notebooks in a stock kernel and in the sandbox, and compares what each cell gives.

    python benchmarks/notebooks.py NOTEBOOK.ipynb...

A cell whose outputs differ between two stock runs (times, addresses, unordered sets) is counted as
changing by itself. Tracebacks are compared by the error's name, figures by their pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.tools.code_interpreter.host import KernelHost
from qwenbelt.tools.code_interpreter.options import SessionLimits, SessionOptions
from qwenbelt.tools.code_interpreter.outcome import CellOutcome, Collector
from qwenbelt.tools.code_interpreter.session import CodeCell

SECONDS = 60
SEED = "import random, numpy; random.seed(0); numpy.random.seed(0)"
LIMITS = SessionLimits(seconds=SECONDS, output=1 << 20, rich=64 << 20)


def cells(notebook: Path) -> list[str]:
    parsed = json.loads(notebook.read_text(encoding="utf-8"))
    found = parsed.get("cells") or [c for w in parsed.get("worksheets", []) for c in w["cells"]]
    code = [c.get("source", c.get("input", "")) for c in found if c["cell_type"] == "code"]
    return ["".join(source) for source in code if "".join(source).strip()]


def shown(outcome: CellOutcome) -> dict[str, Any]:
    """What is compared of a cell."""
    plain = re.compile(r"0x[0-9a-f]{6,}|<ipython-input[^>]*>|/tmp/\S+")
    figures = []
    for rich in outcome.rich:
        if rich.ending == "png":
            from PIL import Image

            with Image.open(io.BytesIO(rich.data)) as image:
                figures.append((image.size, hash(image.convert("RGBA").tobytes())))
        else:
            figures.append((rich.ending, plain.sub("", rich.data.decode("utf-8", "replace"))))
    return {
        "stdout": plain.sub("", outcome.stdout),
        "stderr": bool(outcome.stderr),
        "values": [plain.sub("", value) for value in outcome.values],
        "error": outcome.error_name,
        "figures": figures,
        "stopped": outcome.interrupted or outcome.ending,
    }


def stock(codes: list[str], folder: Path) -> list[dict[str, Any]]:
    manager, client = start_new_kernel(cwd=str(folder))
    try:
        out = []
        for code in [SEED, *codes]:
            collector = Collector(LIMITS.output, LIMITS.rich, lambda text: None)
            try:
                reply = client.execute_interactive(
                    code,
                    allow_stdin=False,
                    stop_on_error=False,
                    output_hook=collector.take,
                    timeout=SECONDS,
                )
                collector.reply(reply["content"])
            except TimeoutError:
                manager.interrupt_kernel()
                collector.outcome.interrupted = "timeout"
            out.append(shown(collector.finish()))
        return out[1:]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def sandboxed(codes: list[str], folder: Path) -> list[dict[str, Any]]:
    host = KernelHost()
    try:
        options = SessionOptions(limits=LIMITS)
        out = []
        for code in [SEED, *codes]:
            work = host.run("notebook", folder, options, CodeCell(code, SECONDS))
            out.append(shown(host.submit(work).result(SECONDS * 3).outcome))
        return out[1:]
    finally:
        host.close()


def in_copy(
    run: Callable[[list[str], Path], list[dict[str, Any]]], codes: list[str], notebook: Path
) -> list[dict[str, Any]]:
    """Runs the cells in a new folder with the files that lie beside the notebook."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "notebook")
        ignored = shutil.ignore_patterns("*.ipynb", ".*")
        shutil.copytree(notebook.parent, folder, ignore=ignored)
        return run(codes, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    arguments = parser.parse_args()
    print(f"sandbox: {isolation_level()}\n")
    print("| notebook | cells | same | changing by themselves | different |\n|---|---|---|---|---|")
    totals = [0, 0, 0, 0]
    for notebook in arguments.notebooks:
        codes = cells(notebook)
        first, second = (in_copy(stock, codes, notebook) for _ in range(2))
        inside = in_copy(sandboxed, codes, notebook)
        changing = [n for n in range(len(codes)) if first[n] != second[n]]
        different = [n for n in range(len(codes)) if n not in changing and first[n] != inside[n]]
        counts = [len(codes), len(codes) - len(changing) - len(different)]
        counts += [len(changing), len(different)]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        print(f"| {notebook.stem} | " + " | ".join(map(str, counts)) + " |", flush=True)
        for number in different:
            print(f"\ncell {number}: {codes[number][:300]}")
            for key, value in first[number].items():
                if value != inside[number][key]:
                    print(f"  {key}\n  outside: {str(value)[:400]}")
                    print(f"  inside:  {str(inside[number][key])[:400]}\n")
    print(f"| all {len(arguments.notebooks)} | " + " | ".join(map(str, totals)) + " |")


if __name__ == "__main__":
    main()

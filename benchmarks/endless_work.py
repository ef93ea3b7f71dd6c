"""How soon endless work is ended after its time limit, and how soon the session works again.

python benchmarks/endless_work.py [--limit 1.0]
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
import time
from pathlib import Path

from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.tools.code_interpreter.host import KernelHost
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.session import CodeCell

CELLS = Path(__file__).resolve().parents[1] / "tests" / "code_interpreter" / "endless.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=1.0)
    limit = parser.parse_args().limit
    kinds: dict[str, str] = runpy.run_path(str(CELLS))["ENDLESS"]
    host, options = KernelHost(), SessionOptions(allow_unsandboxed=True)
    print(f"sandbox: {isolation_level()}; limit {limit:g} s\n")
    print("| endless work | over its limit | next call | state |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:

        def run(code: str) -> tuple[float, str]:
            started = time.perf_counter()
            call = CodeCell(code, limit)
            result = host.submit(host.run("endless", Path(name), options, call)).result(120)
            return time.perf_counter() - started, result.outcome.ending

        for kind, code in kinds.items():
            run("1 + 1")
            time.sleep(0.5)
            took, ending = run(code)
            again, _ = run("6 * 7")
            over = max(0.0, took - limit)
            print(
                f"| {kind} | {over:.2f} s | {again:.2f} s | {'gone' if ending else 'kept'} |",
                flush=True,
            )
        host.close()


if __name__ == "__main__":
    main()

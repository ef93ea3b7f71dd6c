"""Runs hostile-looking code safely with the tool `code_interpreter`; needs no agent and no model.

Variables stay between calls; figures come back as files; there is no network and no key inside.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qwenbelt import CodeInterpreter, ToolContext
from qwenbelt.tools import result_items
from qwenbelt.tools.code_interpreter import isolation_level

CELLS = (
    "sold = [30, 12]\nprint('total', sum(sold))",
    "import matplotlib.pyplot as plt\nplt.bar(['一月', '二月'], sold)\nplt.show()",
    "import urllib.request\nurllib.request.urlopen('http://example.org', timeout=5)",
    "while True: pass",
)


def main(folder: str) -> None:
    print("kept apart by:", isolation_level())
    tool = CodeInterpreter({"timeout": 2, "allow_unsandboxed": isolation_level() == "none"})
    context = ToolContext(session="example", folder=Path(folder))
    for code in CELLS:
        for item in result_items(tool.call({"code": code}, context=context)):
            print(item.kind, item.value.splitlines()[-1] if item.value else "")
    tool.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out")

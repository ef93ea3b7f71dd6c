"""Imports that small models forget, and that no other name is taken for."""

from __future__ import annotations

import ast

import pytest

from qwenbelt import CodeInterpreter
from qwenbelt.tools.code_interpreter.inside.usual_imports import (
    forgotten_imports,
    forgotten_in_cells,
)


@pytest.mark.parametrize(
    ("code", "known", "lines"),
    [
        ("df.plot(); plt.show()", {}, ["import matplotlib.pyplot as plt"]),
        ("np.array(json.loads(t))", {}, ["import numpy as np", "import json"]),
        ("pd.DataFrame()", {"pd": 5}, []),
        ("import pandas as pd\npd.DataFrame()", {}, []),
        ("import os.path\nos.getcwd()", {}, []),
        ("def f(re):\n    return re.pattern", {}, []),
        ("for np in range(3):\n    print(np)", {}, []),
        ("from x import plt\nplt.show()", {}, []),
        ("math = 3\nprint(math)", {}, []),
        ("class pd: pass\nprint(pd)", {}, []),
        ("plots.show()", {}, []),
    ],
)
def test_what_a_cell_forgot(code: str, known: dict[str, object], lines: list[str]) -> None:
    assert forgotten_imports([ast.parse(code)], known) == lines


def test_cells_that_python_cannot_read_are_passed_over() -> None:
    cells = ["!pip list", "x = np.ones(3)", "import json\njson.dumps(1)"]
    assert forgotten_in_cells(cells) == ["import numpy as np"]


def test_a_session_imports_what_its_cells_forgot() -> None:
    tool = CodeInterpreter()
    try:
        one = tool.call({"code": "print(pd.Series([1, 2]).sum()); plt.plot([1, 2]); plt.show()"})
        assert [item.type for item in one] == ["text", "image"]
        assert one[0].text == "3"
        # what the session calls so stays what it is
        assert tool.call({"code": "np = 7\nprint(np)"})[0].text == "7"
        assert tool.call({"code": "print(np + 1)"})[0].text == "8"
        raised = tool.call({"code": "print(pd.x, nothing_of_it)"})[0].text
        assert "AttributeError" in raised
    finally:
        tool.close()
